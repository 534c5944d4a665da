"""Clients that poll: each asks again as soon as it was answered, with the tag that it was given."""

import re

from scripts.fleet.connection import Connection, Target, header
from scripts.fleet.tally import Tally, count_gap
from scripts.fleet.times import written_at

_TAG = re.compile(rb'^W/"([0-9a-f]{8})\.(\d+)"$')
_NUMBER = re.compile(rb'"id":"[0-9a-f]{8}\.(\d+)"')
_WRITTEN = re.compile(rb'"written_at":"')
_RETRY_S = 1.0


class Poll(Connection):
    """A poll after the other over one connection, of any service that answers them.

    `rounds` is how many more it asks; -1: no end.
    """

    __slots__ = ("_answer", "_status", "is_open", "request_head", "rounds", "tally", "user")

    def __init__(self, target: Target, number: int, user: str, request_head: bytes, tally: Tally) -> None:
        super().__init__(target, number)
        self.user = user
        self.request_head = request_head
        self.tally = tally
        self.rounds = -1
        self.is_open = False
        self._status = 0
        self._answer: list[bytes] = []

    def conditions(self) -> bytes:
        """The header lines that say what is known already."""
        return b""

    def request(self) -> bytes:
        self._answer = []
        if not self.is_open:
            self.is_open = True
            self.tally.opened += 1
            self.tally.open += 1
            self.fleet.is_in(self)  # type: ignore[union-attr]
        return self.request_head + self.conditions() + b"\r\n"

    def answered(self, status: int, head: bytes) -> bool:
        self._status = status
        if status not in (200, 304):
            self.tally.refused[status] += 1
            if status >= 500 or status == 429:
                # Its body is not read: the next request has a connection of its own.
                told = header(head.lower(), b"retry-after")
                # It may also be a date (RFC 9110, 10.2.3), which no service of ours says.
                self._come_back(float(told) if told is not None and told.isdigit() else _RETRY_S)
            return False
        self.learn(head)
        return True

    def learn(self, head: bytes) -> None:
        """What the next request says is in this answer's head."""

    def body(self, part: bytes, now: float) -> None:
        self.tally.received_bytes += len(part)
        self._answer.append(part)

    def finished(self, now: float) -> None:
        self.tally.answers += 1
        if self._status == 304:
            self.tally.not_modified += 1
        else:
            self.read(b"".join(self._answer), now)
        if self.rounds > 0:
            self.rounds -= 1
        if self.rounds == 0:
            self.close()
        else:
            self.send_request()

    def read(self, answer: bytes, now: float) -> None:
        """An answer with something in it."""
        self.tally.events += 1
        for found in _WRITTEN.finditer(answer):
            self.tally.ages.add(now - written_at(answer, found.end()))

    def ended(self, error: str) -> None:
        self.tally.broken += 1
        self._come_back(_RETRY_S)

    def close(self) -> None:
        super().close()
        if self.is_open:
            self.is_open = False
            self.tally.open -= 1

    def _come_back(self, delay_s: float) -> None:
        if self.rounds != 0 and self.fleet is not None:
            fleet = self.fleet
            fleet.later(delay_s, lambda: fleet.add([self]))


class NchanPoll(Poll):
    """Of Nchan, which names a message by its time and its number within that second."""

    __slots__ = ("_conditions",)

    def __init__(self, target: Target, number: int, user: str, request_head: bytes, tally: Tally) -> None:
        super().__init__(target, number, user, request_head, tally)
        self._conditions = b""

    def conditions(self) -> bytes:
        return self._conditions

    def learn(self, head: bytes) -> None:
        modified, tag = header(head, b"Last-Modified"), header(head, b"Etag")
        if modified is not None and tag is not None:
            self._conditions = b"If-Modified-Since: %b\r\nIf-None-Match: %b\r\n" % (modified, tag)


class OrderPoll(Poll):
    """Of orderstream: its numbers must follow on one another from answer to answer.

    `cursor` is where it begins; without one, with a snapshot. `offset_s` is what the database's clock is ahead of ours.
    """

    __slots__ = ("_before", "cursor", "last", "offset_s")

    def __init__(
        self,
        target: Target,
        number: int,
        user: str,
        request_head: bytes,
        tally: Tally,
        *,
        cursor: bytes | None = None,
        offset_s: float = 0.0,
    ) -> None:
        super().__init__(target, number, user, request_head, tally)
        self.cursor = cursor
        self.last = int(cursor.partition(b".")[2]) if cursor else -1
        self._before = self.last
        self.offset_s = offset_s

    def conditions(self) -> bytes:
        return b'If-None-Match: W/"%b"\r\n' % self.cursor if self.cursor else b""

    def learn(self, head: bytes) -> None:
        tag = _TAG.match(header(head.replace(b"\r\nETag:", b"\r\nEtag:"), b"Etag") or b"")
        if tag is None:
            raise OSError("an answer without an ETag of ours")
        epoch, number = tag.groups()
        self._before, self.last = self.last, int(number)
        self.cursor = b"%b.%b" % (epoch, number)
        if self._status == 304 and self.last > self._before >= 0:
            self.tally.lost += self.last - self._before

    def read(self, answer: bytes, now: float) -> None:
        # Without events it is a snapshot: it stands for all that was before.
        if b'"events":[' not in answer[:64]:
            self.tally.resets += answer.startswith(b'{"reset":')
            return
        last = self._before
        for found in _NUMBER.finditer(answer):
            seq = int(found[1])
            if count_gap(self.tally, last, seq):
                last = seq
        if last < self.last:
            self.tally.lost += self.last - last
        for found in _WRITTEN.finditer(answer):
            self.tally.ages.add(now - written_at(answer, found.end()) + self.offset_s)
