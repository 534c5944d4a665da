"""What a registry says at one moment, asked for by name: the very numbers of `/metrics`."""

from collections import defaultdict
from collections.abc import Mapping

from prometheus_client import CollectorRegistry


class Scrape:
    """Every sample of the registry. It takes half a millisecond, on the loop's thread as the counting is."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._samples: defaultdict[str, list[tuple[Mapping[str, str], float]]] = defaultdict(list)
        for family in registry.collect():
            for sample in family.samples:
                self._samples[sample.name].append((sample.labels, sample.value))

    def value(self, name: str) -> float | None:
        """All series of that name together; None where there is none."""
        series = self._samples.get(name)
        return None if series is None else sum(value for _, value in series)

    def by(self, label: str, name: str) -> dict[str, float]:
        """Value of the label -> all series with it together."""
        found: defaultdict[str, float] = defaultdict(float)
        for labels, value in self._samples.get(name, ()):
            found[labels[label]] += value
        return dict(found)
