"""The cursor `<epoch>.<seq>`: how far a client knows its user's events, on every transport (PROTOCOL "Cursor")."""

import re
from typing import NamedTuple

# fullmatch, never match with `$`: a trailing LF must not pass into an SSE line.
_SHAPE = re.compile(r"([0-9a-f]{8})\.(0|[1-9][0-9]{0,18})", re.ASCII)
# A bigint's. One more would fail the query that this cursor shares with those of other users.
MAX_SEQ = 2**63 - 1


class Cursor(NamedTuple):
    """`seq` is the last event known (0: none yet) of the numbering that `epoch` names."""

    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.seq}"


def parse_cursor(text: str) -> Cursor | None:
    """Gives the cursor that `text` is, or None where its shape is wrong."""
    if (match := _SHAPE.fullmatch(text)) is None or int(match[2]) > MAX_SEQ:
        return None
    return Cursor(match[1], int(match[2]))
