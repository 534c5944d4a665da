"""What Prometheus scrapes: names `orderstream_<noun>_<unit|total>`; never a user or an order as a label."""

from orderstream.metrics.meter import PrometheusMeter

__all__ = ["PrometheusMeter"]
