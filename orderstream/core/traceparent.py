"""Reads `traceparent`: whose distributed trace a request belongs to (W3C Trace Context, section 3.2)."""

import re
from typing import NamedTuple

# "version-format", and for a later version whatever follows the flags: "parsers MUST NOT use information about the
# unknown" beyond them (section 4).
_SHAPE = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 0x01


class Traceparent(NamedTuple):
    """The trace, and the span of the caller in it, in lower-case hexadecimal."""

    trace_id: str
    parent_id: str
    flags: int

    @property
    def sampled(self) -> bool:
        """Whether the caller may have recorded its span."""
        return bool(self.flags & _SAMPLED)


def parse_traceparent(header: str) -> Traceparent | None:
    """None where it is malformed: the request then belongs to no trace, and is answered all the same."""
    found = _SHAPE.fullmatch(header)
    if found is None:
        return None
    version, trace_id, parent_id, flags, more = found.groups()
    # Section 3.2.2: version ff is invalid, and so are ids of zeros only; version 00 ends with its flags.
    if version == "ff" or not trace_id.strip("0") or not parent_id.strip("0") or (version == "00" and more):
        return None
    return Traceparent(trace_id, parent_id, int(flags, 16))
