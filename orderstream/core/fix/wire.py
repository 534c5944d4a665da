"""FIX messages out of bytes as logs have them: one a line or one after another, behind a time or not, cut or whole.

What separates fields is seen from each message's own beginning: SOH, `|` or `^A`. Where a message ends, BodyLength says
if it is true; anonymised logs have it wrong, so else the first CheckSum does. What cannot be read comes out as
`Unreadable`, and nothing in it stops what follows. The tests hold this against simplefix, which does not do for the
ingest itself: it knows SOH alone, loses its place at the first thing it cannot read, and is six times slower.
"""

import re
from collections.abc import Iterator

import msgspec

# Longer than any order message; bounds what is kept in memory while no end comes.
MESSAGE_MOST_BYTES = 1_000_000

_VERSION = rb"8=FIXT?\.[0-9]\.[0-9][A-Z0-9]*"
# Behind a digit it is another tag's end, unless BodyLength follows: then the message before was cut in a number.
_START = re.compile(rb"(?:(?<![0-9])|(?=" + _VERSION + rb"(?:\x01|\||\^A)9=))" + _VERSION + rb"(\x01|\||\^A)")
_SEPARATORS = (b"\x01", b"|", b"^A")
_BODY_LENGTH = {sep: re.compile(rb"9=([0-9]{1,7})" + re.escape(sep)) for sep in _SEPARATORS}
_TRAILER = {
    sep: re.compile(re.escape(sep) + rb"10=([0-9]{3})(?:" + re.escape(sep) + rb"|(?![0-9]))") for sep in _SEPARATORS
}

# Data field -> the field before it, which says how many bytes it has: these may hold separators.
_LENGTH_OF = {
    b"89": b"93", b"91": b"90", b"96": b"95", b"213": b"212", b"349": b"348", b"351": b"350", b"353": b"352",
    b"355": b"354", b"357": b"356", b"359": b"358", b"361": b"360", b"363": b"362", b"365": b"364", b"446": b"445",
    b"619": b"618", b"622": b"621",
}  # fmt: skip
_DATA_TAGS = frozenset(tag.decode() for tag in _LENGTH_OF)

# Before a line that was set aside, this says where it stood and why; it is then tried again.
_COMMENT = b"#"
_SET_ASIDE = re.compile(rb"# line [0-9]+: ")


class Message(msgspec.Struct, frozen=True):
    """`raw` runs from BeginString to the end of CheckSum; of a field that is repeated, `values` has the first."""

    line: int
    raw: bytes
    pairs: list[list[str]]
    values: dict[str, str]
    checksum_is_good: bool
    # Stands under a line that says why it was set aside.
    is_retried: bool = False


class Unreadable(msgspec.Struct, frozen=True):
    """A piece of the input that holds no whole message; `reason` says what is wrong with it."""

    line: int
    raw: bytes
    reason: str


class Reader:
    """Takes bytes as they come, in pieces of any size, and gives what is whole so far."""

    def __init__(self) -> None:
        self._rest = b""
        self._line = 1
        # What is left of a line behind a message is the log's own.
        self._behind_message = False
        self._under_comment = False

    def feed(self, piece: bytes) -> Iterator[Message | Unreadable]:
        """What ends in this piece; a message that lacks its end waits for the next."""
        self._rest += piece
        return self._take(is_last=False)

    def end(self) -> Iterator[Message | Unreadable]:
        """What is left when nothing more comes."""
        return self._take(is_last=True)

    def _take(self, *, is_last: bool) -> Iterator[Message | Unreadable]:
        text, at = self._rest, 0
        while (start := _START.search(text, at)) is not None:
            own_line = max(at, text.rfind(b"\n", at, start.start()) + 1)
            yield from self._pass(text[at:own_line])
            at = own_line
            end, is_whole = _end(text, start, is_last)
            if end is None:
                break
            raw = text[start.start() : end]
            if is_whole:
                yield self._message(raw, start[1])
            else:
                yield Unreadable(self._line, raw.rstrip(b"\r"), "it is cut short: no CheckSum (10) ends it")
            self._line += raw.count(b"\n")
            self._behind_message, self._under_comment = True, False
            at = end
        else:
            whole = len(text) if is_last or len(text) - at > MESSAGE_MOST_BYTES else text.rfind(b"\n", at) + 1
            yield from self._pass(text[at : max(at, whole)])
            at = max(at, whole)
        self._rest = text[at:]

    def _pass(self, lines: bytes) -> Iterator[Unreadable]:
        """Lines in which no message begins."""
        for line in lines.splitlines(keepends=True):
            said = line.strip()
            if said and not self._behind_message:
                if said.startswith(_COMMENT):
                    self._under_comment = _SET_ASIDE.match(said) is not None
                else:
                    yield Unreadable(self._line, said, "there is no FIX message in it")
            if line.endswith(b"\n"):
                self._line += 1
                self._behind_message = False

    def _message(self, raw: bytes, separator: bytes) -> Message | Unreadable:
        if b"\x00" in raw:
            return Unreadable(self._line, raw, "it holds a NUL byte")
        pairs = _pairs(raw, separator)
        body = raw[: raw.rindex(b"10=")].replace(separator, b"\x01")
        return Message(
            line=self._line,
            raw=raw,
            pairs=pairs,
            # The first one wins, and a dict keeps the last.
            values=dict(reversed(pairs)),
            checksum_is_good=sum(body) % 256 == int(pairs[-1][1]),
            is_retried=self._under_comment,
        )


def _end(text: bytes, start: re.Match[bytes], is_last: bool) -> tuple[int | None, bool]:
    """Where the message ends, and whether it is whole; None while that is not to be said yet."""
    separator = start[1]
    length = _BODY_LENGTH[separator].match(text, start.end())
    # Where CheckSum must stand if BodyLength is true.
    due = length.end() + int(length[1]) - len(separator) if length else 0
    if length and (trailer := _TRAILER[separator].match(text, due)):
        return _closed(text, trailer, is_last)
    trailer = _TRAILER[separator].search(text, start.end())
    following = _START.search(text, start.end(), trailer.start() if trailer else len(text))
    if following:
        line_end = text.find(b"\n", start.end(), following.start())
        return (line_end if line_end >= 0 else following.start()), False
    may_come = not is_last and len(text) - start.start() < MESSAGE_MOST_BYTES
    if trailer and not (may_come and due > len(text) - len("10=000") and _holds_lengths(text[start.end() :])):
        return _closed(text, trailer, is_last)
    if may_come:
        return None, False
    line_end = text.find(b"\n", start.end())
    return (line_end if line_end >= 0 else len(text)), False


def _closed(text: bytes, trailer: re.Match[bytes], is_last: bool) -> tuple[int | None, bool]:
    # A fourth digit, or the separator, may be in the next piece.
    ends_here = trailer.end() == len(text) and text[-1:].isdigit() and not is_last
    return (None if ends_here else trailer.end()), True


def _holds_lengths(text: bytes) -> bool:
    return any(tag + b"=" in text for tag in _LENGTH_OF.values())


def _pairs(raw: bytes, separator: bytes) -> list[list[str]]:
    """`[tag, value]` of each field in order."""
    text = _decoded(raw.rstrip(b"\r\n").removesuffix(separator))
    pairs = [field.split("=", 1) for field in text.split(separator.decode())]
    is_plain = all(len(pair) == 2 and pair[0].isdigit() for pair in pairs)
    if is_plain and not any(pair[0] in _DATA_TAGS for pair in pairs):
        return pairs
    return _pairs_with_data(raw.rstrip(b"\r\n").removesuffix(separator), separator)


def _pairs_with_data(raw: bytes, separator: bytes) -> list[list[str]]:
    """The same, slowly, for fields that hold separators: by their lengths where these are true, and else a piece that
    is no field belongs to the one before it."""
    found: list[tuple[bytes, bytes]] = []
    at = 0
    while at < len(raw):
        end = raw.find(separator, at)
        end = len(raw) if end < 0 else end
        tag, equals, value = raw[at:end].partition(b"=")
        if not equals or not tag.isdigit():
            # There is one: a message begins with BeginString.
            last_tag, last = found.pop()
            tag, value = last_tag, last + separator + raw[at:end]
        elif found and _LENGTH_OF.get(tag) == found[-1][0] and found[-1][1].isdigit():
            by_length = at + len(tag) + 1 + int(found[-1][1])
            if raw[by_length : by_length + len(separator)] == separator:
                value, end = raw[at + len(tag) + 1 : by_length], by_length
        found.append((tag, value))
        at = end + len(separator)
    return [[tag.decode(), _decoded(value)] for tag, value in found]


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        # Older logs are Latin-1, and everything is.
        return text.decode("latin-1")
