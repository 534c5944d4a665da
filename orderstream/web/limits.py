"""Who is let in, how often and how many at once; each refusal says when to come back.

All of it is this process's own count, in memory: a limit protects a process, and one that had to ask elsewhere would
fail when elsewhere does. What is held is bounded by the limits themselves and by `limiter_max_keys`.
"""

import random
import sys
import time
from collections.abc import Awaitable, Callable
from ipaddress import ip_network

import msgspec
from aiohttp import web
from limits import RateLimitItemPerMinute
from limits.strategies import SlidingWindowCounterRateLimiter

from orderstream.core.claims import Identity
from orderstream.core.limits import Seats, TokenBucket, client_address
from orderstream.errors import ContentTooLarge, Overloaded, TooManyRequests
from orderstream.ports import Outlet
from orderstream.web.windows import WindowStorage

# How long a client whose stream was closed in favour of a newer one is kept away, should it not heed `reconnect`: a
# browser's EventSource knows only `retry`. Each comes back once in this time and closes the then oldest, so that even
# clients that all ignore it take turns of minutes instead of closing each other's streams in a loop.
_GIVEN_WAY_MS = 600_000
# Streams that are refused are spread over no more than this.
_MAX_WAIT_S = 60.0
# A poll of another tab ends within a minute at most, and mostly sooner.
_POLL_RETRY_S = 5.0

_ADDRESS: web.RequestKey[str] = web.RequestKey("address", str)


class LimitSettings(msgspec.Struct, frozen=True):
    """From the settings of the same names."""

    max_streams: int = 20_000
    max_streams_per_user: int = 20
    max_polls: int = 20_000
    max_polls_per_user: int = 20
    new_streams_per_s: float = 2000.0
    requests_per_user_per_minute: int = 1200
    requests_per_address_per_minute: int = 12_000
    limiter_max_keys: int = 100_000
    trusted_proxies: list[str] = []


class _PerMinute(RateLimitItemPerMinute):
    """One that is alone in its storage: its keys are as they are, and no text is kept for them."""

    def key_for(self, *identifiers: bytes | str | int | float) -> str:
        [key] = identifiers
        return str(key)


class Rate:
    """So many requests a minute of each key."""

    def __init__(self, per_minute: int, windows: WindowStorage) -> None:
        self._limit = _PerMinute(per_minute)
        self._windows = windows
        self._limiter = SlidingWindowCounterRateLimiter(windows)

    def count(self, key: str) -> None:
        """One more; raises TooManyRequests."""
        if not self._limiter.hit(self._limit, key):
            amount = self._limit.amount
            wait_s = self._windows.wait_s(key, amount, self._limit.get_expiry())
            raise TooManyRequests(f"no more than {amount} requests a minute are taken from you", wait_s)


class Limits:
    """The counts of one process. `clock` gives seconds that only go forward."""

    def __init__(self, settings: LimitSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._trusted = [ip_network(network) for network in settings.trusted_proxies]

        def rate(per_minute: int) -> Rate:
            return Rate(per_minute, WindowStorage(max_keys=settings.limiter_max_keys, clock=clock))

        self._per_user = rate(settings.requests_per_user_per_minute)
        self._per_session = rate(settings.requests_per_user_per_minute)
        self._per_address = rate(settings.requests_per_address_per_minute)
        self._new_streams = TokenBucket(settings.new_streams_per_s, max_wait_s=_MAX_WAIT_S)
        self._streams: Seats[Outlet] = Seats(most=settings.max_streams, most_per_key=settings.max_streams_per_user)
        self._polls: Seats[object] = Seats(most=settings.max_polls, most_per_key=settings.max_polls_per_user)

    @property
    def open_streams(self) -> int:
        return self._streams.count

    @property
    def waiting_polls(self) -> int:
        return self._polls.count

    def admit_address(self, address: str) -> None:
        """Counts a request of whoever is at the other end, as `address_of` says it; raises TooManyRequests."""
        self._per_address.count(address)

    def address_of(self, request: web.BaseRequest) -> str:
        """Of whoever is at the other end, behind the proxies that are trusted; a network where it is IPv6."""
        known = request.get(_ADDRESS)
        if known is None:
            forwarded_for = ",".join(request.headers.getall("X-Forwarded-For", []))
            known = client_address(request.remote or "", forwarded_for, self._trusted)
            # One text for all from there: each poll keeps it.
            known = request[_ADDRESS] = sys.intern(known)
        return known

    def admit_user(self, user_id: str) -> None:
        """Counts a request of an authenticated user; raises TooManyRequests."""
        self._per_user.count(user_id)

    def admit_session(self, identity: Identity) -> None:
        """Counts a request about the user's sessions, for the one that asks alone; raises TooManyRequests.

        Or whoever stole a session could keep its owner from ending it, with as many requests as the user may make."""
        # Neither id holds a NUL: no two pairs are one key.
        self._per_session.count(f"{identity.user_id}\0{identity.session_id}")

    def admit_stream(self) -> None:
        """Counts a new stream; raises Overloaded where this process has no room, or not yet."""
        if self._streams.full:
            raise Overloaded("this process holds as many streams as it may", _MAX_WAIT_S / 2)
        if wait_s := self._new_streams.take(self._clock()):
            raise Overloaded("this process opens as many streams a second as it may", wait_s)

    def seat_stream(self, user_id: str, outlet: Outlet) -> None:
        """Takes a seat for an open stream; where the user has none left, the oldest of the user's streams goes.

        The oldest rather than the newest: it is the likeliest to be one that nobody reads any more, such as that of a
        phone which lost its network, and it must not lock the same phone out.
        """
        if self._streams.is_full(user_id):
            after_ms = int(_GIVEN_WAY_MS * random.uniform(1, 1.5))
            oldest = self._streams.pop_longest(user_id)
            oldest.goaway("too-many-connections", reconnect=False, after_ms=after_ms)
        self._streams.take(user_id, outlet)

    def leave_stream(self, user_id: str, outlet: Outlet) -> None:
        """Gives the seat back; it may be gone already."""
        self._streams.give_back(user_id, outlet)

    def seat_poll(self, user_id: str, poll: object) -> None:
        """Takes a seat for as long as a poll is held. Raises TooManyRequests for the user's own, Overloaded for all."""
        if self._polls.full:
            raise Overloaded("this process holds as many polls as it may", _POLL_RETRY_S)
        if self._polls.is_full(user_id):
            raise TooManyRequests("this user has as many polls waiting as one may have", _POLL_RETRY_S)
        self._polls.take(user_id, poll)

    def leave_poll(self, user_id: str, poll: object) -> None:
        """Gives the seat back; it may be gone already."""
        self._polls.give_back(user_id, poll)


LIMITS: web.AppKey[Limits] = web.AppKey("limits", Limits)


@web.middleware
async def admission(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Before anything else is looked at: the address's share, and a body that is too large."""
    limits = request.app[LIMITS]
    limits.admit_address(limits.address_of(request))
    if (request.content_length or 0) > request.client_max_size:
        raise ContentTooLarge(f"no resource takes a body of more than {request.client_max_size} bytes")
    if request.content_length is None and request.body_exists:
        # In chunks: only its end tells how large it is, and no handler reads it.
        await _read(request)
    return await handler(request)


async def _read(request: web.Request) -> None:
    try:
        await request.read()
    except RuntimeError:
        # So aiohttp says that the connection was closed by us, while it was reading.
        if request.transport is None:
            raise ConnectionResetError from None
        raise
