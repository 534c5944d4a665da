"""The JWT that goes with each request: a fixed one, or one that is asked for again before it expires.

A JWT is opaque to a client, except that `exp` tells when to fetch the next one; one that cannot be read is
used until the server refuses it.
"""

import asyncio
import binascii
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable

import msgspec

Token = str | Callable[[], Awaitable[str]]


class _Claims(msgspec.Struct):
    exp: float | None = None


def expires_at(jwt: str) -> float | None:
    """Unix seconds, unverified: good only for knowing when to ask for another; None if unreadable."""
    try:
        _, claims, _ = jwt.split(".")
        return msgspec.json.decode(urlsafe_b64decode(claims + "=" * (-len(claims) % 4)), type=_Claims).exp
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        return None


class Credential:
    """`clock` gives Unix seconds; `margin_s` is how long before its end a JWT is replaced."""

    def __init__(self, token: Token, clock: Callable[[], float], margin_s: float) -> None:
        self._fixed = token if isinstance(token, str) else None
        self._fetch = None if isinstance(token, str) else token
        self._clock = clock
        self._margin_s = margin_s
        self._current: str | None = self._fixed
        self._one_at_a_time = asyncio.Lock()

    @property
    def renewable(self) -> bool:
        return self._fetch is not None

    def spoil(self, jwt: str | None) -> None:
        """The server refused `jwt`; one that has taken its place since is still good."""
        if self._fetch is not None and jwt == self._current:
            self._current = None

    def fresh_for_s(self) -> float | None:
        """Seconds until the next one should be fetched; None where that cannot be told."""
        end = expires_at(self._current) if self._current else None
        return None if end is None else end - self._margin_s - self._clock()

    async def jwt(self) -> str:
        """Raises what the caller's own coroutine raises. Safe to cancel."""
        async with self._one_at_a_time:
            fresh_for_s = self.fresh_for_s()
            stale = self._current is None or (fresh_for_s is not None and fresh_for_s <= 0)
            if stale and self._fetch is not None:
                self._current = await self._fetch()
            assert self._current is not None
            return self._current
