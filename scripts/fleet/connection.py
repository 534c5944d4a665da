"""One client's HTTP/1.1 connection on a non-blocking socket; the fleet calls it when the socket can be read or written.

Source: RFC 9112, sections 6.3 (how long a body is) and 7.1 (chunks).
"""

import errno
import socket
import ssl
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from scripts.fleet.fleet import Fleet

_READ_BYTES = 65_536
_HEAD_END = b"\r\n\r\n"
# linux/in.h: the port is chosen when connecting, so that one address serves as many connections as there are ports.
_BIND_ADDRESS_NO_PORT = 24
_CLOSED = b""


class Target:
    """Where a service is: `http://host:port` or `https://…`; `verify` false takes any certificate."""

    def __init__(self, url: str, *, verify: bool = True) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url} is no URL of a service: http://host:port or https://host")
        self.host = parts.hostname
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self.authority = parts.netloc
        self.path = parts.path.rstrip("/")
        found = socket.getaddrinfo(self.host, port, socket.AF_INET, socket.SOCK_STREAM)
        self.address = (str(found[0][4][0]), port)
        self.tls = _context(verify) if parts.scheme == "https" else None
        self.is_loopback = self.address[0].startswith("127.")

    def source(self, number: int) -> str | None:
        """The address that the client of that number comes from.

        On loopback every thousand clients have one of their own, as they would have behind as many routers: a service
        that limits what comes from an address need not be told of us.
        """
        return f"127.0.{1 + number // 1000 // 200}.{1 + number // 1000 % 200}" if self.is_loopback else None


def _context(verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Connection(ABC):
    """Sends what `request` gives, and hands on the answer: `answered` its head, `body` each part, `ended` the end.

    `answered` returns False for an answer that is not what was asked for: then the connection is closed.
    """

    __slots__ = ("_chunked", "_left_bytes", "_rest", "_sending", "_step", "fleet", "number", "sock", "target")

    def __init__(self, target: Target, number: int) -> None:
        self.target = target
        self.number = number
        self.sock: socket.socket | None = None
        self.fleet: Fleet | None = None
        self._rest = b""
        self._sending = b""
        self._chunked = False
        # Of the body, when it says its length; -1: until the connection ends.
        self._left_bytes = -1

    # What the clients say.

    @abstractmethod
    def request(self) -> bytes: ...

    @abstractmethod
    def answered(self, status: int, head: bytes) -> bool: ...

    @abstractmethod
    def body(self, part: bytes, now: float) -> None: ...

    @abstractmethod
    def finished(self, now: float) -> None:
        """The body is whole and the connection can carry the next request."""

    @abstractmethod
    def ended(self, error: str) -> None: ...

    # What the fleet calls.

    def connect(self, fleet: "Fleet") -> None:
        """Begins; raises OSError where the system has no socket or port to give."""
        self.fleet = fleet
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            source = self.target.source(self.number)
            if source is not None:
                sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
                sock.bind((source, 0))
            begun = sock.connect_ex(self.target.address)
            if begun not in (0, errno.EINPROGRESS):
                raise OSError(begun, "connect")
        except OSError:
            sock.close()
            raise
        self.sock = sock
        self._rest, self._step = b"", self._connected
        fleet.watch(self, writing=True)

    def ready(self) -> None:
        """The socket can be read or written, as was asked for."""
        try:
            self._step()
        except ssl.SSLWantReadError:
            self._watch(writing=False)
        except (ssl.SSLWantWriteError, BlockingIOError):
            self._watch(writing=True)
        except (OSError, ValueError) as error:
            # A ValueError is an answer that is not HTTP, or not of a service that we know.
            self.close()
            self.ended(str(error))

    def close(self) -> None:
        """Ends it without a word; nothing is called any more."""
        if self.sock is not None:
            if self.fleet is not None:
                self.fleet.forget(self)
            self.sock.close()
            self.sock = None

    def send_request(self) -> None:
        """On a connection that is open: the first request, or the next one."""
        self._sending = self.request()
        self._send()

    # One step after the other.

    def _watch(self, *, writing: bool) -> None:
        if self.sock is not None and self.fleet is not None:
            self.fleet.rewatch(self, writing=writing)

    def _connected(self) -> None:
        assert self.sock is not None
        failed = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            raise OSError(failed, errno.errorcode.get(failed, "connect"))
        if self.target.tls is None:
            self.send_request()
            return
        self._step = self._shake_hands
        self.fleet.unwatch(self)  # type: ignore[union-attr]
        self.sock = self.target.tls.wrap_socket(
            self.sock, server_hostname=self.target.host, do_handshake_on_connect=False
        )
        self.fleet.watch(self, writing=True)  # type: ignore[union-attr]
        self._shake_hands()

    def _shake_hands(self) -> None:
        assert isinstance(self.sock, ssl.SSLSocket)
        self.sock.do_handshake()
        self.send_request()

    def _send(self) -> None:
        assert self.sock is not None
        self._step = self._send
        sent = self.sock.send(self._sending)
        self._sending = self._sending[sent:]
        if self._sending:
            raise BlockingIOError
        self._step = self._read_head
        self._watch(writing=False)

    def _read_head(self) -> None:
        chunk = self._receive()
        if chunk is None:
            return
        self._rest += chunk
        end = self._rest.find(_HEAD_END)
        if end < 0:
            if len(self._rest) > _READ_BYTES:
                raise OSError(errno.EMSGSIZE, "a head without an end")
            return
        head, first = self._rest[: end + 4], self._rest[end + 4 :]
        self._rest = b""
        lowered = head.lower()
        self._chunked = b"\r\ntransfer-encoding: chunked" in lowered
        length = header(lowered, b"content-length")
        status = int(head[9:12])
        self._left_bytes = 0 if status == 304 else int(length) if length is not None else -1
        self._step = self._read_body
        if not self.answered(status, head):
            self.close()
            return
        if first or self._left_bytes == 0:
            self._take(first)
        self._read_what_tls_holds()

    def _read_body(self) -> None:
        chunk = self._receive()
        if chunk is not None:
            self._take(chunk)
        self._read_what_tls_holds()

    def _read_what_tls_holds(self) -> None:
        # What OpenSSL has decrypted already makes no socket readable.
        while isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():
            chunk = self._receive()
            if chunk is not None:
                self._take(chunk)

    def _receive(self) -> bytes | None:
        """None where the connection ended, and all that follows from it was done."""
        assert self.sock is not None
        chunk = self.sock.recv(_READ_BYTES)
        if chunk == _CLOSED:
            self.close()
            self.ended("closed")
            return None
        return chunk

    def _take(self, chunk: bytes) -> None:
        now = time.time()
        if self._chunked:
            chunk, is_last = self._unchunked(chunk)
            if chunk:
                self.body(chunk, now)
            if is_last:
                self.finished(now)
            return
        if chunk:
            self.body(chunk, now)
        if self._left_bytes >= 0:
            self._left_bytes -= len(chunk)
            if self._left_bytes <= 0:
                self.finished(now)

    def _unchunked(self, chunk: bytes) -> tuple[bytes, bool]:
        """The content of the chunks that are whole, and whether the last one was among them."""
        raw = self._rest + chunk if self._rest else chunk
        at = 0
        parts: list[bytes] = []
        while (line_end := raw.find(b"\r\n", at)) >= 0:
            size = int(raw[at:line_end].partition(b";")[0], 16)
            end = line_end + 2 + size
            if len(raw) < end + 2:
                break
            if size == 0:
                self._rest = b""
                return b"".join(parts), True
            parts.append(raw[line_end + 2 : end])
            at = end + 2
        self._rest = raw[at:]
        return parts[0] if len(parts) == 1 else b"".join(parts), False


def header(head: bytes, name: bytes) -> bytes | None:
    """The value of the first header of that name in `head`, both in the same case."""
    at = head.find(b"\r\n" + name + b":")
    if at < 0:
        return None
    return head[at + len(name) + 3 : head.index(b"\r\n", at + 2)].strip()
