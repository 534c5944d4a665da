"""What the kernel is told of a client's socket, so that one who does not read costs little and not for long."""

import asyncio
import fcntl
import socket
import struct
import termios

# What of an answer the kernel takes before it is sent. Left to itself it takes megabytes from a client who reads
# nothing, and we would not learn that the client does not: RFC 9293 lets a window stay closed for ever.
_UNSENT_BYTES = 131_072
# On, for 0 s: closing discards what is unsent and resets the connection.
_RESET = struct.pack("ii", 1, 0)


def bound_sending(listener: asyncio.Server, timeout_s: float) -> None:
    """For all that `listener` will accept: connections begin with their listener's options on Linux, and to set them on
    each took a tenth of the time in which one is opened.

    Gives up a peer whose network acknowledges nothing for so long (TCP_USER_TIMEOUT, RFC 5482), even once we closed,
    or has gone without a word. One that acknowledges and does not read is for `reset`.
    """
    for own in listener.sockets:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        _set(own, "TCP_USER_TIMEOUT", int(timeout_s * 1000))
        _set(own, "TCP_NOTSENT_LOWAT", _UNSENT_BYTES)


def reset(transport: asyncio.Transport) -> None:
    """Ends the connection now; nothing that waits to be sent is."""
    own = transport.get_extra_info("socket")
    if own is not None:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()


def has_unsent(transport: asyncio.Transport) -> bool:
    """Whether something was written that the client has not acknowledged: in our buffer, or in the kernel's."""
    own = transport.get_extra_info("socket")
    if transport.get_write_buffer_size() or own is None:
        return bool(transport.get_write_buffer_size())
    # SIOCOUTQ, which Linux numbers as it does TIOCOUTQ.
    return fcntl.ioctl(own.fileno(), termios.TIOCOUTQ, bytes(4)) != bytes(4)


def _set(own: socket.socket, option: str, value: int) -> None:
    """Where the system has it."""
    if hasattr(socket, option):
        own.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
