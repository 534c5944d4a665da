"""One client's connection: how long its requests may take to arrive and its answers to be taken, how large they may be,
and what is said of those that cannot be read.

aiohttp closes a connection that stays idle, but gives a head that trickles in as long, and a body and a client that
does not read for ever; and it quotes an unreadable request back, as text. All is put right here, where its protocol is
made to be extended.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import cast

import msgspec
from aiohttp import HttpVersion10, HttpVersion11, StreamReader, web
from aiohttp.http_exceptions import LineTooLong

from orderstream.web.headers import harden
from orderstream.web.problems import of_failure, of_http_exception, of_status
from orderstream.web.sockets import has_unsent, reset

# What a client may go on to send of a request that is answered already, so that it can read the answer.
_LINGERING_S = 1.0
_HEAD_END = b"\r\n\r\n"
# Of a head, while its request is under way. Longer ones are read each time.
_MOST_KEPT_BYTES = 4096
# Of a body on the wire, over its own: what chunks and their extensions may add (RFC 9112 section 7.1.1), which no
# handler is shown.
_MOST_OVERHEAD = 2


class ConnectionSettings(msgspec.Struct, frozen=True):
    """From the settings of the same names."""

    max_connections: int = 50_000
    request_head_timeout_s: float = 10.0
    request_body_timeout_s: float = 10.0
    keepalive_timeout_s: float = 75.0
    send_timeout_s: float = 60.0
    url_max_bytes: int = 8192
    header_max_bytes: int = 16_384
    max_headers: int = 64
    head_max_bytes: int = 65_536
    body_max_bytes: int = 65_536


class Heir(asyncio.Protocol, ABC):
    """A protocol that takes a connection over; MUST `discard` itself from `connections` when it is lost."""

    __slots__ = ()

    @abstractmethod
    def handed(self, transport: asyncio.Transport, connections: "Connections") -> None:
        """In place of `connection_made`."""

    @abstractmethod
    def abort(self) -> None:
        """As a Connection's."""

    @abstractmethod
    def retire(self) -> None:
        """No more requests are to be taken: it is closed if nothing is under way."""


class Connections:
    """All that are open on one port, whoever's protocol they have; `make` gives a new Connection of it."""

    def __init__(self, settings: ConnectionSettings, make: Callable[[], "Connection"]) -> None:
        self.settings = settings
        self.make = make
        # Whether whoever answers is to close.
        self.retiring = False
        self._open: set[Connection | Heir] = set()
        self._emptied: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._open)

    def add(self, one: "Connection | Heir") -> None:
        self._open.add(one)

    def discard(self, one: "Connection | Heir") -> None:
        self._open.discard(one)
        if not self._open and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    def retire(self) -> None:
        """No more requests are taken, but what is under way is answered."""
        self.retiring = True
        for one in list(self._open):
            if isinstance(one, Heir):
                one.retire()

    async def end(self, timeout_s: float) -> None:
        """Waits for those that are closing to be gone, and aborts what is left. Where no more are taken."""
        self._emptied = asyncio.get_running_loop().create_future()
        if self._open:
            await asyncio.wait([self._emptied], timeout=timeout_s)
        for one in list(self._open):
            one.abort()


class Connection(web.RequestHandler):
    """aiohttp's protocol with deadlines, a bounded head, and answers of our own."""

    __slots__ = (
        "_answer",
        "_answered",
        "_body",
        "_body_bytes",
        "_handed",
        "_head_bytes",
        "_head_deadline",
        "_is_alone",
        "_last_bytes",
        "_others",
        "_send_deadline",
        "_settings",
        "_socket",
        "head",
    )

    def __init__(self, server: web.Server, others: Connections) -> None:
        settings = others.settings
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]
            keepalive_timeout=settings.keepalive_timeout_s,
            # The listener's socket has it (`sockets.bound_sending`).
            tcp_keepalive=False,
            lingering_time=_LINGERING_S,
            max_line_size=settings.url_max_bytes,
            max_field_size=settings.header_max_bytes,
            max_headers=settings.max_headers,
            # No resource takes a compressed body, and a small one may be made to hold a large one.
            auto_decompress=False,
        )
        self._answer = server.request_handler
        self._request_handler = self._answer_http
        self._settings = settings
        self._others = others
        self._body: StreamReader | None = None
        self._body_bytes = 0
        self._head_bytes = 0
        self._last_bytes = _HEAD_END
        self._head_deadline: asyncio.TimerHandle | None = None
        self._send_deadline: asyncio.TimerHandle | None = None
        self._socket: asyncio.Transport | None = None
        self._handed = False
        # How many of its requests.
        self._answered = 0
        # Whether the request under way came whole, and nothing with it or behind it; and its head, if it is kept.
        self._is_alone = False
        self.head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if len(self._others) >= self._settings.max_connections:
            # To answer would take a request's worth of work for each of those that are too many.
            transport.abort()  # type: ignore[attr-defined]
            return
        self.take_over(transport)

    def take_over(self, transport: asyncio.BaseTransport) -> None:
        """A new one, or one whose heir has a request that it does not answer."""
        self._others.add(self)
        # aiohttp forgets its own when it closes, which may be long before all is sent.
        self._socket = cast(asyncio.Transport, transport)
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._others.discard(self)
        self._head_arrived()
        self._sent()
        self._socket = None
        super().connection_lost(exc)

    @property
    def is_clear(self) -> bool:
        """Whether it is open, and nothing but a head was received since the last answer."""
        return self._is_alone and self._socket is not None and not self._socket.is_closing()

    def hand_over(self, heir: Heir) -> None:
        """The connection is the heir's from now on. To aiohttp its client has left, but for the handler that calls
        this, which is to return rather than be cancelled. Raises ConnectionResetError where the client did leave."""
        transport, paused = self._socket, self.writing_paused
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        transport.set_protocol(heir)
        self._handed = True
        self.transport = self._task_handler = self._current_request = None
        self.connection_lost(None)
        self._others.add(heir)
        heir.handed(transport, self._others)
        if paused:
            heir.pause_writing()
        # Where the client sent so many requests behind this one that they were left in the kernel.
        transport.resume_reading()

    def abort(self) -> None:
        """Ends it now; nothing that waits to be sent is."""
        if self._socket is not None:
            self._socket.abort()

    def pause_writing(self) -> None:
        """The transport holds more than it should: the client has `send_timeout_s` to take it, or is cut off."""
        super().pause_writing()
        self._send_deadline = self._loop.call_later(self._settings.send_timeout_s, self._cut_off)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._sent()

    def _process_keepalive(self) -> None:
        """Idle for too long: with a short answer that is still in the kernel, because the client did not read it."""
        untaken = self._socket is not None and has_unsent(self._socket)
        super()._process_keepalive()
        if untaken and self._force_close and self._socket is not None:
            reset(self._socket)

    def data_received(self, data: bytes) -> None:
        known = self._request_count
        was_idle = known == self._answered and self._last_bytes == _HEAD_END
        self._last_bytes = (self._last_bytes + data[-len(_HEAD_END) :])[-len(_HEAD_END) :]
        super().data_received(data)
        ends = data.find(_HEAD_END) + len(_HEAD_END)
        self._is_alone = was_idle and self._request_count == known + 1 and ends == len(data)
        self.head = data if self._is_alone and len(data) <= _MOST_KEPT_BYTES else b""
        if self._request_count > known:
            self._head_arrived()
            if self._messages:
                self._expect_body(self._messages[-1][1])
        elif self._body is not None and not self._body.is_eof():
            self._body_bytes += len(data)
            if self._body_bytes > _MOST_OVERHEAD * self._settings.body_max_bytes:
                self.force_close()
        elif self._waiter is not None:
            self._head_bytes += len(data)
            if self._head_bytes > self._settings.head_max_bytes:
                self.force_close()
            elif self._head_deadline is None:
                self._expect_head()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """In place of aiohttp's, which shows what it could not read, and logs it."""
        if isinstance(exc, ConnectionError):
            raise exc
        answer = of_status(self._status(exc)) if status == 400 else of_failure(exc, request)
        if request.writer.output_size > 0:
            raise ConnectionResetError
        # aiohttp takes what it could not read for HTTP/1.0; a server answers in its own version (RFC 9110 section 6.2).
        request._version = HttpVersion11
        # No application sees this answer.
        harden(request, answer.headers)
        answer.force_close()
        return answer

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Raised outside of the middlewares, such as 417."""
        self._answered += 1
        # An idle connection keeps nothing of it.
        self._is_alone, self.head = False, b""
        if self._handed:
            return resp, True
        if isinstance(resp, web.HTTPException) and resp.status >= 400:
            resp = of_http_exception(resp)
        finished = await super().finish_response(request, resp, start_time)
        if not self._messages and self._head_deadline is None and self._last_bytes != _HEAD_END:
            # The next head began to arrive behind this request. So it seems after a body too, which no resource takes.
            self._expect_head()
        return finished

    async def _answer_http(self, request: web.BaseRequest) -> web.StreamResponse:
        """400 for HTTP/0.9, whose answers have no head, and for targets of another scheme, which are not ours."""
        # As it was sent: a request shows the connection's scheme instead.
        sent = request._message
        if sent.version not in (HttpVersion10, HttpVersion11) or sent.url.scheme not in ("", "http", "https"):
            return self.handle_error(request, 400)
        return await self._answer(request)

    def _status(self, exc: BaseException | None) -> int:
        """414 and 431 (RFC 6585 section 5) for what is too long, else 400."""
        if isinstance(exc, LineTooLong):
            return 414 if self._is_of_url(exc) else 431
        return 431 if str(getattr(exc, "message", "")).startswith("Too many headers") else 400

    def _is_of_url(self, exc: LineTooLong) -> bool:
        # The parser tells the two apart by their limit only; where that is the same, by the slash of a URL.
        line, limit, *_ = exc.args
        if self.max_line_size != self.max_field_size:
            return bool(limit == self.max_line_size)
        return bytes(line).startswith((b"/", b"http"))

    def _expect_head(self) -> None:
        self._head_deadline = self._loop.call_later(self._settings.request_head_timeout_s, self.force_close)

    def _head_arrived(self) -> None:
        self._head_bytes = 0
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _sent(self) -> None:
        if self._send_deadline is not None:
            self._send_deadline.cancel()
            self._send_deadline = None

    def _cut_off(self) -> None:
        if self._socket is not None:
            # A close would wait for the client to take the rest.
            reset(self._socket)

    def _expect_body(self, body: StreamReader) -> None:
        self._body, self._body_bytes = body, 0
        if not body.is_eof():
            self._loop.call_later(self._settings.request_body_timeout_s, self._close_unless_whole, body)

    def _close_unless_whole(self, body: StreamReader) -> None:
        if not body.is_eof():
            self.force_close()
