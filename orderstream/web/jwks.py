"""The key set that a login service publishes (JWKS, RFC 7517), fetched and kept fresh.

Known keys stay good while the server is down, slow or talks nonsense; a key that left the set is good no longer. All
who ask for an unknown key share one fetch, and there are never more of those than one in `jwks_min_interval_s`,
whatever JWTs people make up.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import Context
from typing import Any

import aiohttp
import msgspec
import structlog

from orderstream.errors import Unavailable
from orderstream.web.keys import Key, key_of_jwk

_log = structlog.get_logger()

# A key is about 500 bytes of it; login services publish two or three.
MAX_JWKS_BYTES = 262_144
# Processes that were started together must not fetch together for ever.
_JITTER = 0.1

Jwk = Mapping[str, Any]


class JwksSettings(msgspec.Struct, frozen=True):
    """From the settings of the same names."""

    jwks_url: str = ""
    jwks_refresh_s: float = 300.0
    jwks_min_interval_s: float = 10.0
    jwks_timeout_s: float = 5.0


class _Document(msgspec.Struct):
    keys: list[dict[str, Any]]


class Jwks:
    """`kid -> keys`. `version` grows when the set changes; `failure` says why the last fetch gave nothing."""

    def __init__(self, settings: JwksSettings, *, now: Callable[[], float] | None = None) -> None:
        self._settings = settings
        self._now = now or asyncio.get_running_loop().time
        self._session: aiohttp.ClientSession | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._fetch_again_at = float("-inf")
        self._entries: Sequence[Jwk] = ()
        self._keys: dict[str | None, list[Key]] = {}
        self.version = 0
        self.failure: str | None = "not fetched yet"

    @property
    def missing(self) -> str | None:
        """Why there are no keys, None where there are; for readiness."""
        return None if self._keys else f"no keys from jwks_url: {self.failure or 'the set has none that we can use'}"

    async def find(self, kid: str | None) -> Sequence[Key]:
        """The keys of that id, none where the login service knows none; no id: the only key of the set.

        Raises Unavailable while nobody can tell. May be cancelled: the fetch goes on for the others.
        """
        if found := self._known(kid):
            return found
        if self._fetching is None and (wait_s := self._fetch_again_at - self._now()) > 0:
            # Fetched a moment ago, but the key may have been made since.
            raise Unavailable("the key of the JWT is not known yet", wait_s)
        await asyncio.shield(self._fetch_shared())
        if self.missing or self.failure:
            raise Unavailable(f"the keys of JWTs cannot be had: {self.failure}", self._settings.jwks_min_interval_s)
        return self._known(kid)

    async def refresh(self) -> None:
        """Fetches now, or joins the fetch that is under way; a failure changes nothing but `failure`."""
        await asyncio.shield(self._fetch_shared())

    async def run(self) -> None:
        """Refreshes for ever. May be cancelled."""
        while True:
            await self.refresh()
            settings = self._settings
            pause_s = settings.jwks_refresh_s if self.failure is None else settings.jwks_min_interval_s
            await asyncio.sleep(pause_s * random.uniform(1 - _JITTER, 1 + _JITTER))

    async def close(self) -> None:
        """Ends the fetch and its connections."""
        if self._fetching is not None:
            self._fetching.cancel()
            with suppress(asyncio.CancelledError):
                await self._fetching
        if self._session is not None:
            await self._session.close()

    def _known(self, kid: str | None) -> Sequence[Key]:
        if kid is None:
            return next(iter(self._keys.values())) if len(self._entries) == 1 and self._keys else ()
        return self._keys.get(kid, ())

    def _fetch_shared(self) -> asyncio.Task[None]:
        if self._fetching is None:
            self._fetch_again_at = self._now() + self._settings.jwks_min_interval_s
            # Nobody's request, whoever was first to need it.
            self._fetching = asyncio.create_task(self._fetch(), name="jwks-fetch", context=Context())
            self._fetching.add_done_callback(self._fetched)
        return self._fetching

    def _fetched(self, _: asyncio.Task[None]) -> None:
        self._fetching = None

    async def _fetch(self) -> None:
        try:
            document = msgspec.json.decode(await self._read(), type=_Document)
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError, ValueError, RecursionError) as error:
            self._fail(_line(error))
        else:
            self._take(document.keys)

    async def _read(self) -> bytes:
        """The document; raises ValueError where it is none or too large."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._settings.jwks_timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                # Nothing to unpack: the limit holds for what is kept in memory.
                auto_decompress=False,
                headers={"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"},
            )
        # A redirect could lead to where the scheme of jwks_url was not allowed to.
        async with self._session.get(self._settings.jwks_url, allow_redirects=False) as response:
            if response.status != 200:
                raise ValueError(f"the answer was {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_chunked(65_536):
                body += chunk
                if len(body) > MAX_JWKS_BYTES:
                    raise ValueError(f"the answer has more than {MAX_JWKS_BYTES} bytes")
            return bytes(body)

    def _take(self, entries: Sequence[Jwk]) -> None:
        recovered, self.failure = self.failure is not None, None
        if entries != self._entries:
            self._entries, self._keys = entries, _by_kid(entries)
            self.version += 1
            recovered = True
        if recovered:
            _log.info("jwks-fetched", keys=len(self._keys), entries=len(entries))

    def _fail(self, reason: str) -> None:
        if reason != self.failure:
            _log.warning("jwks-failed", reason=reason, known_keys=len(self._keys))
        self.failure = reason


def _by_kid(entries: Sequence[Jwk]) -> dict[str | None, list[Key]]:
    """Keys of different kinds may share an id (RFC 7517 section 4.5); one without is found only if it is alone."""
    keys: dict[str | None, list[Key]] = {}
    for entry in entries:
        kid, key = entry.get("kid"), key_of_jwk(entry)
        if key is not None and (kid is None or isinstance(kid, str)):
            keys.setdefault(kid, []).append(key)
    return keys


def _line(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, msgspec.MsgspecError):
        return "the answer is not a JWKS"
    return (str(error).splitlines() or [type(error).__name__])[0]
