"""Why an order was refused, cancelled or ended."""

from orderstream.client.events import Order
from orderstream.core import reasons


def why(order: Order) -> str | None:
    """The order service's own words, else a sentence for a known code, else nothing."""
    return reasons.why(order.reason_code, order.reason)
