"""The bytes: one stream, or one poll, over aiohttp; every way it can end becomes a happening.

Timeouts are measured on the socket only: a reader who takes its time makes no server silent.
"""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp

from orderstream.client.happenings import (
    Cause,
    Dismissed,
    Happening,
    PollAnswered,
    PollLost,
    Refused,
    Retry,
    StreamLost,
)
from orderstream.client.limits import Limits
from orderstream.client.reader import Polled
from orderstream.client.sse import Frame, FrameTooLarge, Parser

Heard = Frame | Polled | Happening
Put = Callable[[Heard], Awaitable[None]]

# The limits below are ours: aiohttp's own 5 minutes for a whole request would end every stream.
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)


class Link:
    """Where to and as whom: what one request needs besides its cursor."""

    def __init__(self, session: aiohttp.ClientSession, url: str, jwt: str, limits: Limits, *, renewable: bool) -> None:
        self.session = session
        self.url = url.rstrip("/")
        self.jwt = jwt
        self.headers = {"Authorization": f"Bearer {jwt}"}
        self.limits = limits
        self.renewable = renewable

    def get(self, path: str, **headers: str) -> "aiohttp.client._RequestContextManager":
        """A request whose header names are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.session.get(self.url + path, headers=self.headers | named, timeout=_NO_TIMEOUT)

    def post(self, path: str, body: dict[str, str]) -> "aiohttp.client._RequestContextManager":
        """The same, with a body of JSON."""
        return self.session.post(self.url + path, headers=self.headers, json=body, timeout=_NO_TIMEOUT)


async def stream(link: Link, cursor: str | None, put: Put) -> Happening:
    """Reads until the stream ends; returns why. Safe to cancel: the connection is then closed."""
    try:
        return await _stream(link, cursor, put)
    except TimeoutError:
        return StreamLost(Cause.SILENT)
    except FrameTooLarge:
        return StreamLost(Cause.MALFORMED)
    except (aiohttp.ClientError, OSError):
        return StreamLost(Cause.FAILED)


async def _stream(link: Link, cursor: str | None, put: Put) -> Happening:
    resume = {"Last_Event_ID": cursor} if cursor else {}
    # A compressing proxy would hold bytes back until a block of them is full.
    asked = link.get("/v1/orders/stream", Accept="text/event-stream", Accept_Encoding="identity", **resume)
    async with asyncio.timeout(link.limits.first_byte_s) as silence, asked as response:
        if (verdict := _verdict(response, link)) is not None:
            return verdict
        if response.status != 200 or response.content_type != "text/event-stream":
            return StreamLost(_blame(response), _retry_after_s(response))
        await _frames(response.content, silence, link.limits.silence_s, put)
        return StreamLost(Cause.ENDED)


async def _frames(content: aiohttp.StreamReader, silence: asyncio.Timeout, silence_s: float, put: Put) -> None:
    parser, retry_s = Parser(), None
    while chunk := await content.readany():
        silence.reschedule(None)
        for frame in parser.feed(chunk):
            await put(frame)
        if parser.retry_s is not None and parser.retry_s != retry_s:
            retry_s = parser.retry_s
            await put(Retry(retry_s))
        silence.reschedule(asyncio.get_running_loop().time() + silence_s)


async def poll(link: Link, cursor: str | None, wait_s: float) -> Heard:
    """One poll's answer. It asks to be held for `wait_s`; 0 is not held. Safe to cancel."""
    try:
        return await _poll(link, cursor, wait_s)
    except TimeoutError:
        return PollLost(Cause.SILENT)
    except (aiohttp.ClientError, OSError):
        return PollLost(Cause.FAILED)


async def _poll(link: Link, cursor: str | None, wait_s: float) -> Heard:
    limits, clock = link.limits, asyncio.get_running_loop().time
    resume = {"If_None_Match": f'W/"{cursor}"'} if cursor else {}
    asked_s = clock()
    asked = link.get("/v1/orders/poll", Prefer=f"wait={wait_s:.0f}", **resume)
    async with asyncio.timeout(wait_s + limits.first_byte_s), asked as response:
        held = wait_s == 0 or clock() - asked_s >= limits.held_s
        if (verdict := _verdict(response, link)) is not None:
            return verdict
        if response.status == 304:
            return PollAnswered(held=held)
        if response.status != 200 or response.content_type != "application/json":
            return PollLost(_blame(response), _retry_after_s(response))
        body = await _bounded(response.content, limits.poll_answer_bytes)
        return PollLost(Cause.MALFORMED) if body is None else Polled(body, held)


async def _bounded(content: aiohttp.StreamReader, limit_bytes: int) -> bytes | None:
    body = bytearray()
    while chunk := await content.readany():
        body += chunk
        if len(body) > limit_bytes:
            return None
    return bytes(body)


def _verdict(response: aiohttp.ClientResponse, link: Link) -> Happening | None:
    """What the server thinks of us, where that is the answer."""
    match response.status:
        case 401:
            return Refused(link.renewable, "unauthorized")
        case 403:
            return Dismissed("forbidden")
        case 204:
            # "204 is kept for: logged out, never come back."
            return Dismissed("session-revoked")
        case _:
            return None


def _blame(response: aiohttp.ClientResponse) -> Cause:
    return Cause.OVERLOAD if response.status in (429, 503) else Cause.FAILED


def _retry_after_s(response: aiohttp.ClientResponse) -> float:
    # The header's other form, a date, would need the server's clock; the backoff is good enough then.
    text = response.headers.get("Retry-After", "")
    return float(text[:6]) if text.isascii() and text.isdigit() else 0.0
