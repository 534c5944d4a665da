"""Server-Sent Events out of bytes, however the network sliced them.

Pure: bytes go in, whole frames come out. A frame that the stream did not finish is never given out, since its
blank line is what says that nothing was lost in between.

Source: WHATWG HTML, "Server-sent events", sections 9.2.5 (parsing) and 9.2.6 (interpreting).
"""

import re

import msgspec

# A whole order with every field at its longest is below 4 KB, a snapshot part holds 50 of them.
EVENT_LIMIT_BYTES = 1_048_576

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")


class FrameTooLarge(ValueError):
    """The stream sent more than the limit without finishing an event."""


class Frame(msgspec.Struct, frozen=True):
    """One dispatched event. `id` is the one it carried itself, None where it only inherits an earlier one."""

    name: str
    payload: str
    id: str | None = None


class Parser:
    """One stream's parser; a new connection needs a new one."""

    def __init__(self, limit_bytes: int = EVENT_LIMIT_BYTES) -> None:
        self.last_event_id = ""
        self.retry_s: float | None = None
        self._limit_bytes = limit_bytes
        self._rest = b""
        self._first_line = True
        self._after_cr = False
        self._name = ""
        self._id: str | None = None
        self._payload: list[str] = []
        self._size_bytes = 0

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames that `chunk` finished, in order. Raises FrameTooLarge, and is of no use after that."""
        frames = [frame for line in self._lines(chunk) if (frame := self._line(line)) is not None]
        self._bound(len(self._rest))
        return frames

    def _lines(self, chunk: bytes) -> list[bytes]:
        if self._after_cr and chunk:
            # The CR that ended the last chunk was already taken as a line's end: its LF is the same end.
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        self._after_cr = self._after_cr or chunk.endswith(b"\r")
        *lines, self._rest = _LINE_END.split(self._rest + chunk)
        if self._first_line and lines:
            # "The UTF-8 decode algorithm strips one leading UTF-8 Byte Order Mark (BOM), if any."
            self._first_line = False
            lines[0] = lines[0].removeprefix(_BOM)
        return lines

    def _line(self, line: bytes) -> Frame | None:
        if not line:
            return self._dispatch()
        self._size_bytes += len(line)
        self._bound(self._size_bytes)
        name, _, value = line.decode("utf-8", "replace").partition(":")
        # "If value starts with a U+0020 SPACE character, remove it from value": one, not all.
        self._field(name, value.removeprefix(" "))
        return None

    def _field(self, name: str, value: str) -> None:
        match name:
            case "event":
                self._name = value
            case "data":
                self._payload.append(value)
            case "id" if "\0" not in value:
                self._id = self.last_event_id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry_s = int(value[:10]) / 1000
            case _:
                # "Otherwise, the field is ignored"; a comment is a field with an empty name.
                pass

    def _dispatch(self) -> Frame | None:
        # "If the data buffer is an empty string, set the data buffer and the event type buffer to the empty
        # string and return": the buffer has a line feed for each data line, so one empty line is not enough.
        frame = None
        if self._payload:
            frame = Frame(self._name or "message", "\n".join(self._payload), self._id)
        self._clear()
        return frame

    def _clear(self) -> None:
        self._name = ""
        self._id = None
        self._payload = []
        self._size_bytes = 0

    def _bound(self, size_bytes: int) -> None:
        if size_bytes > self._limit_bytes:
            raise FrameTooLarge(f"an event of more than {self._limit_bytes} bytes")
