"""What is so at the moment of a scrape, read from the parts that know it."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric

# name, as in `orderstream_<name>` -> what it is, and how it is read; None: not known now, so there is no sample.
Readings = Mapping[str, tuple[str, Callable[[], float | None]]]


class Gauges:
    """A collector for the registry. Every reading MUST be quick and never raise."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        """Called by the registry at every scrape."""
        for name, (documentation, read) in self._readings.items():
            value = read()
            family = GaugeMetricFamily(f"orderstream_{name}", documentation)
            if value is not None:
                family.add_metric([], value)
            yield family
