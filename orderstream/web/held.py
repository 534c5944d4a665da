"""A connection on which a client polls: the protocol that it has between two requests that aiohttp reads.

While an aiohttp handler waits, its task, request, parser and timers stay, 20 KB, and what is done for each request
takes longer than all that a poll is about (docs/decisions/0009). So the handler in `poll` gives the connection to this
object, and returns. It answers with one write; and where the client's next request has the form of the one before
(`web.form`) and its credential says just what that one's said, which is how a client polls, nothing is read anew: what
aiohttp found that request to say still holds. Whatever else comes is given, as it came, to a new `Connection` of
aiohttp's.

    UNHANDED  it is begun, and its answer may be there at once: then aiohttp gives it, and must read the next request
    HELD      a poll waits for its answer; what comes behind it is kept, and given to aiohttp after it
    SENDING   the client has `send_timeout_s` to take an answer that is too large to be sent at once
    IDLE      for `keepalive_timeout_s`
    LOST      for ever: the client left, or the connection is aiohttp's again

One alarm does for the three that end by it. It is not moved when what it waits for comes later: it looks when it rings.
"""

import asyncio
import enum
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from math import inf
from typing import NamedTuple

from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time

from orderstream.core.cursor import parse_cursor
from orderstream.errors import RequestError, Unavailable
from orderstream.web.alarms import Alarm, Place
from orderstream.web.connection import Connection, Connections, Heir
from orderstream.web.form import Form, form_of
from orderstream.web.headers import common
from orderstream.web.polls import POLLS, Asked, Poll, Polls, response
from orderstream.web.request_ids import HEADER, is_named, made_id
from orderstream.web.sockets import has_unsent, reset

# Of what comes behind a poll that is held: the rest is left in the kernel.
_MOST_BEHIND_BYTES = 65_536
# Of answers, one for each origin that asks.
_MOST_HEADS = 64
# That are known at a time.
_MOST_MANNERS = 4096
# A loop's clock and its timers may differ by as much.
_MOMENT_S = 0.002
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


class State(enum.Enum):
    UNHANDED = "unhanded"
    HELD = "held"
    SENDING = "sending"
    IDLE = "idle"
    LOST = "lost"


class Manner(NamedTuple):
    """How a client asks: what stays the same in the head of every answer, and the form of its request; None where the
    next request is to be read."""

    head: str
    form: Form | None

    @classmethod
    async def of(cls, request: web.Request, connection: Connection, cursor: str | None) -> "Manner":
        shared, origin = request.app[POLLS], request.headers.get("Origin", "")
        head = shared.heads.get(origin)
        if head is None:
            # It depends on the origin alone, of which a client may invent as many as it likes.
            head = await common(request)
            if len(shared.heads) < _MOST_HEADS:
                shared.heads[origin] = head
        form = None
        # One that names itself is named otherwise the next time.
        if cursor is not None and _is_alone(request, cursor) and not is_named(request):
            form = form_of(connection.head, cursor, shared.authenticator.credential_of(request))
        return _shared(cls(head, form))


@lru_cache(maxsize=_MOST_MANNERS)
def _shared(manner: Manner) -> Manner:
    """One for all that are the same: clients of one kind ask alike, and it is kept with each poll."""
    return manner


class HeldPoll(Poll, Heir):
    """An Outlet, and a protocol; one for all polls of its connection, until aiohttp has to read."""

    __slots__ = (
        *("_address", "_alarm", "_behind", "_connections", "_due", "_manner", "_paused"),
        *("_request_id", "_state", "_transport", "at_once", "earlier", "later"),
    )

    earlier: Place
    later: Place

    def __init__(self, shared: Polls, asked: Asked, manner: Manner, request_id: str) -> None:
        super().__init__(shared, asked)
        self._address = asked.address
        self._manner = manner
        self._request_id = request_id
        self._state = State.UNHANDED
        # The answer, where it was there before the connection was handed over.
        self.at_once: web.Response | None = None
        self._paused = False
        self._behind = b""
        self._alarm: Alarm | None = None
        # When there is something to do, on the loop's clock.
        self._due = inf

    def handed(self, transport: asyncio.Transport, connections: Connections) -> None:
        """Called by `Connection.hand_over`, in place of `connection_made`."""
        self._transport = transport
        self._connections = connections
        self._state = State.HELD

    @property
    def is_repeatable(self) -> bool:
        """Whether the next request is known where it is the same."""
        return self._manner.form is not None

    # A protocol

    def data_received(self, data: bytes) -> None:
        if self._state is State.IDLE and self._asks_again(data):
            return
        self._behind += data
        if self._state is State.IDLE:
            self._give_back()
        elif len(self._behind) > _MOST_BEHIND_BYTES:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._state is State.SENDING:
            self._taken()

    def connection_lost(self, exc: Exception | None) -> None:
        self._state = State.LOST
        self.leave()
        self._shared.limits.leave_poll(self.user_id, self)
        self._let_go()
        del self._transport

    def abort(self) -> None:
        if self._state is State.UNHANDED:
            self.leave()
            self._shared.limits.leave_poll(self.user_id, self)
        else:
            self._transport.abort()

    def retire(self) -> None:
        if self._state is State.IDLE:
            self._transport.close()

    # A poll

    def _hold(self, seconds: float | None) -> None:
        self._due = inf
        if seconds is not None:
            self._wake_after(seconds)

    def _give(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        if self._state is State.UNHANDED:
            self._quiet()
            self.at_once = response(status, headers, body)
            return
        self._state = State.SENDING
        if not self._transport.is_closing():
            self._transport.write(self._head(status, headers, len(body)) + body)
        if self._paused:
            self._wake_after(self._connections.settings.send_timeout_s)
        else:
            self._taken()

    def _head(self, status: int, headers: Mapping[str, str], size_bytes: int) -> bytes:
        own = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        # 304 describes no body (RFC 9110 section 15.4.5).
        length = "" if status == HTTPStatus.NOT_MODIFIED else f"Content-Length: {size_bytes}\r\n"
        closing = "Connection: close\r\n" if self._connections.retiring else ""
        named = f"Date: {rfc822_formatted_time()}\r\n{HEADER}: {self._request_id}\r\n"
        return f"{_STATUS_LINES[status]}{own}{length}{closing}{named}{self._manner.head}\r\n".encode()

    def _taken(self) -> None:
        """The client took its answer, or the kernel did."""
        self._shared.limits.leave_poll(self.user_id, self)
        self._state = State.IDLE
        if self._connections.retiring:
            self._transport.close()
        elif self._behind:
            self._give_back()
        else:
            self._wake_after(self._connections.settings.keepalive_timeout_s)

    # The next request

    def _asks_again(self, data: bytes) -> bool:
        """Whether it is the same request, with a cursor of its own; if so it was begun. Not one that is to be refused:
        that is for the application."""
        form = self._manner.form
        asked = None if form is None else form.read(data)
        if asked is None or parse_cursor(asked[0]) is None:
            return False
        cursor, credential = asked
        limits = self._shared.limits
        try:
            # First what is not counted: whoever is given back is counted there.
            if self._shared.authenticator.known(credential) != self._identity:
                return False
            limits.admit_address(self._address)
            limits.admit_user(self.user_id)
            limits.seat_poll(self.user_id, self)
        except (RequestError, Unavailable):
            return False
        self._state, self._request_id = State.HELD, made_id()
        # The alarm that is set is of the time between two polls.
        self._due = inf
        self.begin(cursor)
        return True

    def _give_back(self) -> None:
        """To aiohttp, with all that came since the last answer."""
        transport = self._transport
        self._state = State.LOST
        self._let_go()
        connection = self._connections.make()
        transport.set_protocol(connection)
        connection.take_over(transport)
        transport.resume_reading()
        connection.data_received(self._behind)

    def _let_go(self) -> None:
        self._connections.discard(self)
        self._quiet()

    # Alarmed

    def _wake_after(self, seconds: float) -> None:
        self._due = asyncio.get_running_loop().time() + seconds
        if self._alarm is None or self._due < self._alarm.at:
            self._quiet()
            self._alarm = self._shared.alarms.set(self, self._due)
            # It rings no sooner, and this is a float less for each.
            self._due = self._alarm.at

    def _quiet(self) -> None:
        if self._alarm is not None:
            self._alarm.take_back(self)
            self._alarm = None

    def ring(self) -> None:
        self._alarm = None
        left_s = self._due - asyncio.get_running_loop().time()
        if left_s > _MOMENT_S:
            if self._due < inf:
                self._wake_after(left_s)
        elif self._state is State.HELD:
            self._settle(full=False)
        elif self._state is State.SENDING or has_unsent(self._transport):
            # A close would wait for the client to take the rest.
            reset(self._transport)
        else:
            self._transport.close()


def _is_alone(request: web.Request, cursor: str) -> bool:
    """Whether that cursor is all that the request asks after."""
    sent = request.headers.getall("If-None-Match")
    return parse_cursor(cursor) is not None and sent in ([f'W/"{cursor}"'], [f'"{cursor}"'])
