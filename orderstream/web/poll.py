"""`GET /v1/orders/poll`: the same events for clients that cannot hold a stream, as conditional requests.

`ETag` is the cursor; `If-None-Match` asks for what comes after it and is held until there is something (RFC 9110
section 13.1.2, with a wait as in RFC 7240). Who is let in, and what is asked; a `HeldPoll` does the rest, and a
`WaitingPoll` where the connection must stay aiohttp's.
"""

import asyncio
from collections.abc import Mapping

from aiohttp import HttpVersion11, web

from orderstream.core.conditional import entity_tags, preferred_wait_s
from orderstream.core.cursor import parse_cursor
from orderstream.web.connection import Connection
from orderstream.web.held import HeldPoll, Manner
from orderstream.web.limits import LIMITS
from orderstream.web.polls import POLLS, Asked, Poll, Polls, response
from orderstream.web.request_ids import request_id
from orderstream.web.seats import AUTHENTICATOR
from orderstream.web.sessions import device_of
from orderstream.web.spans import is_traced


class WaitingPoll(Poll):
    """One whose answer is awaited by an aiohttp handler."""

    __slots__ = ("_timer", "answered")

    def __init__(self, shared: Polls, asked: Asked) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self.answered: asyncio.Future[web.Response] = asyncio.get_running_loop().create_future()
        super().__init__(shared, asked)

    def _hold(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, lambda: self._settle(full=False))

    def _give(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        if not self.answered.done():
            self.answered.set_result(response(status, headers, body))


async def poll(request: web.Request) -> web.StreamResponse:
    """Answers 200 with what is new or a snapshot, 304 when nothing came within the time."""
    limits = request.app[LIMITS]
    identity = await request.app[AUTHENTICATOR].authenticate(request)
    # Not counted again at the end: to refuse an answer that is there would only make the client ask again.
    limits.admit_user(identity.user_id)
    shared, cursor = request.app[POLLS], _cursor(request, request.app[POLLS].hub.epoch)
    asked = Asked(identity, device_of(request), limits.address_of(request), _applied_s(request, shared))
    connection = request.protocol
    assert isinstance(connection, Connection)
    # A body may still be on its way: only aiohttp knows that it is no request of its own (RFC 9112 section 11.2).
    is_plain = request.version == HttpVersion11 and request.keep_alive
    is_plain = is_plain and not request.body_exists and not is_traced(request)
    manner = await Manner.of(request, connection, cursor) if is_plain else None
    # From here on nothing is awaited: whoever drains, or ends the session, comes before this or finds a whole poll.
    if manner is None or not connection.is_clear:
        return await _wait(request, WaitingPoll(shared, asked), cursor)
    held = HeldPoll(shared, asked, manner, request_id(request))
    limits.seat_poll(identity.user_id, held)
    answer = _begin(connection, held, cursor)
    # Nobody is given the empty one: the connection is no longer aiohttp's.
    return web.Response() if answer is None else await _give(request, held, answer)


def _begin(connection: Connection, held: HeldPoll, cursor: str | None) -> web.Response | None:
    """Its answer, where aiohttp is to give it: there at once, where the next request must be read anyway."""
    if held.is_repeatable:
        connection.hand_over(held)
    try:
        held.begin(cursor)
    except BaseException:
        held.abort()
        raise
    if not held.is_repeatable and held.at_once is None:
        connection.hand_over(held)
    return held.at_once


async def _wait(request: web.Request, waiting: WaitingPoll, cursor: str | None) -> web.Response:
    request.app[LIMITS].seat_poll(waiting.user_id, waiting)
    try:
        waiting.begin(cursor)
        answer = await waiting.answered
    except BaseException:
        waiting.leave()
        request.app[LIMITS].leave_poll(waiting.user_id, waiting)
        raise
    return await _give(request, waiting, answer)


async def _give(request: web.Request, poll: Poll, answer: web.Response) -> web.Response:
    """The seat is kept until the client took its answer, which may be a snapshot of megabytes."""
    try:
        await answer.prepare(request)
        await answer.write_eof()
        return answer
    finally:
        request.app[LIMITS].leave_poll(poll.user_id, poll)


def _cursor(request: web.Request, epoch: str) -> str | None:
    """The newest cursor of the epoch in force among the tags, the star, or a tag that is none, which gets a reset."""
    headers = request.headers.getall("If-None-Match", [])
    if not headers:
        return None
    tags = entity_tags(", ".join(headers))
    cursors = [cursor for cursor in map(parse_cursor, tags) if cursor is not None]
    return str(max(cursors, key=lambda cursor: (cursor.epoch == epoch, cursor.seq))) if cursors else tags[0]


def _applied_s(request: web.Request, shared: Polls) -> int | None:
    """The seconds that Preference-Applied names, if any."""
    wished_s = preferred_wait_s(", ".join(request.headers.getall("Prefer", [])))
    return None if wished_s is None else min(wished_s, int(shared.settings.poll_max_wait_s))
