"""Which events are traced, and by what ids: decided by the event alone, so that every process decides the same and the
steps of an event meet in one trace though nothing of it travels with the event."""

from hashlib import blake2b
from typing import NamedTuple

# Spreads numbers that follow each other over all 32 bits (Knuth, The Art of Computer Programming, section 6.4).
_GOLDEN = 0x9E3779B1
_ALL = 1 << 32


class EventTrace(NamedTuple):
    """128 bits for the trace, 64 for the span that the others hang on; neither is 0."""

    trace_id: int
    root_id: int


def is_sampled(written_at: float, seq: int, share: float) -> bool:
    """Whether the event is among the `share` (0 to 1) of all: by its microsecond, and by its number, since a bulk
    update writes many in one. Two products and no hash, because it is asked for every event that is sent."""
    return (round(written_at * 1e6) + seq) * _GOLDEN % _ALL < share * _ALL


def trace_of(epoch: str, seq: int, body: bytes) -> EventTrace:
    """The body makes it one user's: it names the order."""
    digest = blake2b(b"%b.%d %b" % (epoch.encode(), seq, body), digest_size=24).digest()
    return EventTrace(int.from_bytes(digest[:16]) or 1, int.from_bytes(digest[16:]) or 1)
