"""The times in events, read as cheaply as their number asks for."""

import functools
from datetime import datetime

# 2026-11-26T22:30:07.123456Z: what changes within a minute begins here.
_SECONDS_AT, _LENGTH = 17, 26


@functools.lru_cache(maxsize=64)
def _minute(text: bytes) -> float:
    return datetime.fromisoformat(text.decode() + "00+00:00").timestamp()


def written_at(text: bytes, at: int) -> float:
    """Seconds since the epoch of the RFC 3339 time in UTC, with six decimals, that begins at `at`."""
    return _minute(text[at : at + _SECONDS_AT]) + float(text[at + _SECONDS_AT : at + _LENGTH])
