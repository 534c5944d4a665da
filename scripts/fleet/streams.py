"""Clients that hold a stream: ours, which is checked number by number, and any other, whose events are counted."""

from abc import abstractmethod

from scripts.fleet.connection import Connection, Target
from scripts.fleet.tally import Tally, count_gap
from scripts.fleet.times import written_at

_DEFAULT_RETRY_S = 2.0
_WRITTEN = b'"written_at":"'


class Stream(Connection):
    """A stream of a user. It comes back by itself while `returns` is true, with the cursor that it has.

    `separator` is what ends an event on its wire.
    """

    __slots__ = ("_partial", "is_open", "request_head", "retry_s", "returns", "tally", "user")

    separator = b"\n\n"

    def __init__(self, target: Target, number: int, user: str, request_head: bytes, tally: Tally) -> None:
        super().__init__(target, number)
        self.user = user
        self.tally = tally
        self.request_head = request_head
        self.returns = False
        self.is_open = False
        self.retry_s = _DEFAULT_RETRY_S
        self._partial = b""

    def request(self) -> bytes:
        self._partial = b""
        return self.request_head + b"\r\n"

    def answered(self, status: int, head: bytes) -> bool:
        self.fleet.is_in(self)  # type: ignore[union-attr]
        if status != 200:
            self.tally.refused[status] += 1
            # What forbids is not asked again.
            if status >= 500 or status == 429:
                self._come_back()
            return False
        self.tally.opened += 1
        self.tally.open += 1
        self.is_open = True
        return True

    def body(self, part: bytes, now: float) -> None:
        self.tally.received_bytes += len(part)
        if self._partial:
            part = self._partial + part
        frames = part.split(self.separator)
        self._partial = frames.pop()
        for frame in frames:
            self.frame(frame, now)

    def finished(self, now: float) -> None:
        """It has no next request."""

    @abstractmethod
    def frame(self, frame: bytes, now: float) -> None:
        """One whole event, without its end."""

    def ended(self, error: str) -> None:
        self.tally.broken += 1
        self._leave()
        self._come_back()

    def leave(self) -> None:
        """As a client does that goes away and comes back; one that is not there stays away as long as it would."""
        if self.is_open:
            self.close()
            self._come_back()

    def close(self) -> None:
        super().close()
        self._leave()

    def _leave(self) -> None:
        if self.is_open:
            self.is_open = False
            self.tally.open -= 1

    def _come_back(self) -> None:
        if self.returns and self.fleet is not None:
            fleet = self.fleet
            fleet.later(self.retry_s, lambda: fleet.add([self]))


class PlainStream(Stream):
    """Of any other service: an event is what has data; pings have none. It comes back with the last `id` that it saw,
    as an EventSource does."""

    __slots__ = ("_id",)

    def __init__(self, target: Target, number: int, user: str, request_head: bytes, tally: Tally) -> None:
        super().__init__(target, number, user, request_head, tally)
        self._id = b""

    def request(self) -> bytes:
        return super().request()[:-2] + (b"Last-Event-ID: %b\r\n" % self._id if self._id else b"") + b"\r\n"

    def frame(self, frame: bytes, now: float) -> None:
        if b"data:" not in frame:
            return
        if frame.startswith(b"id: "):
            self._id = frame[4:].partition(b"\n")[0].strip()
        self.tally.events += 1
        at = frame.rfind(_WRITTEN)
        if at >= 0:
            self.tally.ages.add(now - written_at(frame, at + len(_WRITTEN)))


class CrlfStream(PlainStream):
    """The same, of a service that ends lines with CR LF."""

    __slots__ = ()

    separator = b"\r\n\r\n"


class OrderStream(Stream):
    """Of orderstream: every number must follow on the one before, and heartbeats must not know more than came.

    `offset_s` is what the database's clock is ahead of ours. Ages are those of events that came live, not of replay.
    """

    __slots__ = ("_told", "epoch", "head", "is_live", "last", "offset_s")

    def __init__(
        self, target: Target, number: int, user: str, request_head: bytes, tally: Tally, offset_s: float = 0.0
    ) -> None:
        super().__init__(target, number, user, request_head, tally)
        self.epoch = b""
        self.last = -1
        self.head = -1
        self.is_live = False
        self.offset_s = offset_s
        self._told = False

    def request(self) -> bytes:
        self._told = False
        resumed = b"Last-Event-ID: %b.%d\r\n" % (self.epoch, self.last) if self.last >= 0 else b""
        return super().request()[:-2] + resumed + b"\r\n"

    @property
    def cursor(self) -> bytes | None:
        """What it knows; None before its snapshot was whole."""
        return b"%b.%d" % (self.epoch, self.last) if self.last >= 0 else None

    def frame(self, frame: bytes, now: float) -> None:
        if frame.startswith(b"id: "):
            line_end = frame.index(b"\n")
            epoch, _, number = frame[4:line_end].partition(b".")
            seq = int(number)
            if frame.startswith(b"event: snapshot-end", line_end + 1):
                self.epoch, self.last = epoch, seq
                return
            if not count_gap(self.tally, self.last, seq):
                return
            self.epoch, self.last = epoch, seq
            if self.is_live and (at := frame.rfind(_WRITTEN)) >= 0:
                self.tally.ages.add(now - written_at(frame, at + len(_WRITTEN)) + self.offset_s)
        else:
            self._control(frame)

    def _control(self, frame: bytes) -> None:
        name, _, rest = frame.removeprefix(b"event: ").partition(b"\n")
        if name == b"heartbeat":
            self._heard(rest)
        elif name == b"live":
            if not self.is_live:
                self.is_live = True
                self.tally.live += 1
            self._heard(rest)
        elif name == b"reset":
            self.tally.resets += 1
            self.last = -1
        elif name == b"goaway":
            reason = rest.partition(b'"reason":"')[2].partition(b'"')[0].decode()
            self.tally.goaways[reason] += 1
            self._told = True
        elif name.startswith(b"retry: "):
            self.retry_s = int(name[7:]) / 1000

    def _heard(self, rest: bytes) -> None:
        """What is named as the newest was sent before: who does not have it has lost it."""
        cursor = rest.partition(b'"head":"')[2].partition(b'"')[0]
        self.head = int(cursor.partition(b".")[2])
        if self.head > self.last >= 0:
            self.tally.lost += self.head - self.last
            self.last = self.head

    def ended(self, error: str) -> None:
        # A goaway is the service's own word, and no error.
        self.tally.broken -= self._told
        super().ended(error)

    def _leave(self) -> None:
        if self.is_live:
            self.is_live = False
            self.tally.live -= 1
        super()._leave()
