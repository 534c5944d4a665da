"""What the checker said of an ingest: asked of the events, once the last one has its number."""

import threading
import time
from collections import Counter

from orderstream.postgres.ingest import Tables

_LOOK_EVERY_S = 0.1
# Whoever numbers events has numbered some more by then.
_PATIENCE_S = 5.0


def verdicts(tables: Tables, after: int, last_order_id: str, stop: threading.Event) -> Counter[str] | None:
    """By verdict and rule, of events past the position `after`; None where nobody numbers events."""
    position, deadline = after, time.monotonic() + _PATIENCE_S
    while True:
        is_led, is_numbered, now_at = tables.numbered(last_order_id, after)
        if is_numbered:
            return Counter({f"{verdict}: {rule}": count for verdict, rule, count in tables.verdicts(after)})
        if now_at > position:
            position, deadline = now_at, time.monotonic() + _PATIENCE_S
        if not is_led or time.monotonic() >= deadline or stop.is_set():
            return None
        time.sleep(_LOOK_EVERY_S)
