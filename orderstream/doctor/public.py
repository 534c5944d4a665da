"""What a client meets at the public URL: whether anything on the way holds a stream's bytes back, cuts it off in its
silence, or takes a poll's cursor away.

The service's own answers are right by its tests; what differs here is a proxy's doing.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
from msgspec import Struct

from orderstream.client.sse import Frame, Parser
from orderstream.doctor.findings import Finding, ok, warning, wrong
from orderstream.settings import Settings

STREAM, HEARTBEAT, COMPRESSION, POLL, HELD = "stream", "heartbeat", "compression", "poll", "held poll"

# The service writes the first bytes at once; a network around the world and a slow database take less.
AT_ONCE_S = 3.0
# Heartbeats are jittered by a tenth.
_JITTER = 1.1
# Those that a thorough look waits for.
_HEARTBEATS = 3
# As a browser asks: what a proxy may compress, it will.
_AS_A_BROWSER = {"Accept-Encoding": "gzip, deflate, br"}
_TAG = re.compile(r'(W/)?"([0-9a-f]{8}\.[0-9]+)(-[a-z]+)?"')
# A poll that an event answered is asked again.
_TRIES = 5

_BUFFERS = (
    "switch buffering off for /v1/orders/stream: nginx passes events on by itself unless proxy_ignore_headers names "
    "X-Accel-Buffering (else proxy_buffering off); a CDN or gateway may need a streaming mode"
)


class Route(Struct, frozen=True):
    """Where clients connect, and as whom; `thorough` waits as long as the longest silence lasts, and `at_once_s` is how
    long what comes at once may take."""

    url: str
    jwt: str
    settings: Settings
    thorough: bool = False
    at_once_s: float = AT_ONCE_S

    @property
    def headers(self) -> dict[str, str]:
        return _AS_A_BROWSER | {"Authorization": f"Bearer {self.jwt}"}

    @property
    def silence_s(self) -> float:
        """The longest between two heartbeats, and some for the way."""
        return self.settings.heartbeat_s * _JITTER + self.at_once_s


class _Failed(Exception):
    """The request could not be looked at further; carries the finding."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.what)
        self.finding = finding


async def check_url(route: Route) -> list[Finding]:
    """All of it at the same time: each waits for silence to end, and none disturbs another."""
    # Bytes as they come: what undoes a compression would hide it.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=route.settings.startup_timeout_s)
    async with aiohttp.ClientSession(auto_decompress=False, timeout=timeout) as session:
        looks = [_tried(STREAM, _stream, session, route), _tried(POLL, _poll, session, route)]
        if route.thorough:
            looks.append(_tried(HELD, _held, session, route))
        return [finding for found in await asyncio.gather(*looks) for finding in found]


Look = Callable[[aiohttp.ClientSession, Route], Awaitable[list[Finding]]]


async def _tried(check: str, look: Look, session: aiohttp.ClientSession, route: Route) -> list[Finding]:
    try:
        return await look(session, route)
    except _Failed as failed:
        return [failed.finding]
    except (aiohttp.ClientError, OSError) as error:
        reason = str(error) or type(error).__name__
        return [
            wrong(check, f"{route.url} fails: {reason}", "see that the name, the port and the certificate are right")
        ]


@asynccontextmanager
async def _opened(
    check: str, session: aiohttp.ClientSession, route: Route, resource: str, *, within_s: float, **headers: str
) -> AsyncIterator[aiohttp.ClientResponse]:
    """An answer's head, within the time; a status that is none of ours ends the look."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = session.get(route.url.rstrip("/") + resource, headers=route.headers | named)
    try:
        async with asyncio.timeout(within_s):
            response = await request
    except TimeoutError:
        raise _Failed(wrong(check, f"no answer to {resource} came within {within_s:.0f} s", _BUFFERS)) from None
    async with response:
        if response.status not in (200, 304):
            raise _Failed(wrong(check, *_refusal(response, resource)))
        yield response


def _refusal(response: aiohttp.ClientResponse, resource: str) -> tuple[str, str]:
    what = f"{resource} is answered {response.status}"
    ours = response.headers.get("Server") == "orderstream" or response.content_type == "application/problem+json"
    match response.status:
        case 401 | 403:
            return what, "give a JWT of this deployment with --token; a proxy must pass Authorization on"
        case 429:
            return what, "wait a minute; where nobody asked before, set trusted_proxies (docs/operations.md)"
        case _ if ours:
            return f"{what} by the service", "look into its log, and at /health/ready on its admin port"
    return f"{what}, not by the service", "see where the proxy sends it, and whether the service runs there"


# The stream


async def _stream(session: aiohttp.ClientSession, route: Route) -> list[Finding]:
    resource = "/v1/orders/stream"
    accept = "text/event-stream"
    async with _opened(STREAM, session, route, resource, within_s=route.at_once_s, Accept=accept) as response:
        found = _compression(response)
        if response.content_type != accept:
            said = response.content_type
            return [wrong(STREAM, f"{resource} is answered with {said}", "see where the proxy sends it")]
        if found:
            # What is in it cannot be read as it comes.
            return found
        frames = _Frames(response)
        await frames.until("live", "goaway", within_s=route.at_once_s)
        if (refusal := _first_bytes(frames, route)) is not None:
            return [refusal]
        compression = ok(COMPRESSION, "streams are not compressed")
        return [ok(STREAM, "its first events came at once"), compression, await _heartbeats(frames, route)]


def _compression(response: aiohttp.ClientResponse) -> list[Finding]:
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding == "identity":
        return []
    return [
        wrong(
            COMPRESSION,
            f"streams are compressed on the way ({encoding}): events wait until a block is full",
            "leave text/event-stream out of what the proxy compresses (nginx: gzip_types; Cache-Control says "
            "no-transform)",
        )
    ]


class _Frames:
    """The events of a stream, and how it ended."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._parser = Parser()
        self.seen: list[Frame] = []
        self.any_bytes = False
        self.ended = False

    async def until(self, *names: str, within_s: float) -> Frame | None:
        """The next of these, or None where the stream ends or the time is over before one comes."""
        try:
            async with asyncio.timeout(within_s):
                return await self._until(names)
        except TimeoutError:
            return None
        except (aiohttp.ClientError, OSError):
            self.ended = True
            return None

    async def _until(self, names: tuple[str, ...]) -> Frame | None:
        while chunk := await self._response.content.readany():
            self.any_bytes = True
            new = self._parser.feed(chunk)
            self.seen += new
            for frame in new:
                if frame.name in names:
                    return frame
        self.ended = True
        return None


def _first_bytes(frames: _Frames, route: Route) -> Finding | None:
    """What is wrong with how the stream began."""
    names = [frame.name for frame in frames.seen]
    if "goaway" in names:
        said = frames.seen[names.index("goaway")].payload
        return wrong(STREAM, f"the service sends us away: {said}", "look into its log; an overloaded one needs another")
    if "live" in names:
        return None
    if frames.ended:
        return wrong(STREAM, "the stream ended before it began", "look into the logs of the proxy and the service")
    if frames.any_bytes:
        return wrong(STREAM, f"the first events did not all come within {route.at_once_s:g} s", _BUFFERS)
    return wrong(
        STREAM, f"the head came, and nothing else within {route.at_once_s:g} s: a proxy holds it back", _BUFFERS
    )


async def _heartbeats(frames: _Frames, route: Route) -> Finding:
    """One alone shows that single small writes come through; more, that silence after silence is borne."""
    loop = asyncio.get_running_loop()
    longest_s, began = 0.0, loop.time()
    count = _HEARTBEATS if route.thorough else 1
    for _ in range(count):
        since = loop.time()
        frame = await frames.until("heartbeat", "goaway", within_s=route.silence_s)
        silent_s = loop.time() - since
        if frame is None:
            return _cut_off(silent_s, route) if frames.ended else _withheld(route)
        if frame.name == "goaway":
            return warning(HEARTBEAT, f"the service ended the stream: {frame.payload}", "run doctor again")
        longest_s = max(longest_s, silent_s)
    open_s = loop.time() - began
    return ok(HEARTBEAT, f"{count} came, the longest silence was {longest_s:.1f} s of the {open_s:.1f} s it was open")


def _cut_off(silent_s: float, route: Route) -> Finding:
    return wrong(
        HEARTBEAT,
        f"the stream was cut off after {silent_s:.1f} s of silence, before a heartbeat",
        f"raise the time-outs on the way above {route.silence_s:.0f} s (nginx: proxy_read_timeout; haproxy: timeout "
        "server, timeout client; a load balancer's idle time-out), or lower heartbeat_s",
    )


def _withheld(route: Route) -> Finding:
    return wrong(
        HEARTBEAT,
        f"no heartbeat came within {route.silence_s:.1f} s, and the stream is still open: a proxy holds it back",
        f"{_BUFFERS}; or this host's heartbeat_s is not the service's",
    )


# The poll


async def _poll(session: aiohttp.ClientSession, route: Route) -> list[Finding]:
    """The tag of an answer, sent back, must be answered 304."""
    tag: str | None = None
    found: list[Finding] = []
    for _ in range(_TRIES):
        status, said = await _ask(POLL, session, route, tag, wait_s=0, within_s=route.at_once_s)
        if said is None:
            return [_no_tag(status)]
        if status == 304:
            return found or [ok(POLL, "its ETag comes through, and back to the service")]
        match = _TAG.fullmatch(said)
        if match is None:
            what = f"the ETag of a poll is {said[:60]}, which the service did not write"
            return [wrong(POLL, what, "let the proxy pass ETag on as it is (no page optimizer, no ETag of its own)")]
        if match[1] is None or match[3]:
            found = [_changed_tag(said)]
        if tag is not None and _cursor(tag) == match[2]:
            what = "If-None-Match does not reach the service: a poll is answered with the same snapshot again and again"
            return [wrong(POLL, what, "let the proxy pass If-None-Match on, and cache nothing of /v1")]
        tag = said
    return [warning(POLL, "orders change so fast that no poll was answered 304", "give --token for a quiet user")]


async def _held(session: aiohttp.ClientSession, route: Route) -> list[Finding]:
    """The longest that a poll is silent."""
    wait_s = int(route.settings.poll_max_wait_s)
    _, tag = await _ask(HELD, session, route, None, wait_s=0, within_s=route.at_once_s)
    if tag is None:
        # Said by the other look.
        return []
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        await _ask(HELD, session, route, tag, wait_s=wait_s, within_s=wait_s + route.at_once_s)
    except (_Failed, aiohttp.ClientError, OSError) as error:
        after = f"a poll that waits for {wait_s} s fails after {loop.time() - began:.1f} s: {error}"
        return [wrong(HELD, after, f"raise the time-outs on the way above {wait_s} s, or lower poll_max_wait_s")]
    return [ok(HELD, f"a poll was held for {loop.time() - began:.1f} s of the {wait_s} s that it may be")]


async def _ask(
    check: str, session: aiohttp.ClientSession, route: Route, tag: str | None, *, wait_s: int, within_s: float
) -> tuple[int, str | None]:
    """The status and the ETag of a poll."""
    resume = {} if tag is None else {"If_None_Match": tag}
    prefer = f"wait={wait_s}"
    async with _opened(check, session, route, "/v1/orders/poll", within_s=within_s, Prefer=prefer, **resume) as answer:
        await answer.read()
        return answer.status, answer.headers.get("ETag")


def _cursor(tag: str) -> str | None:
    match = _TAG.fullmatch(tag)
    return match and match[2]


def _no_tag(status: int) -> Finding:
    return wrong(
        POLL,
        f"a poll's answer ({status}) has no ETag: a client can only take the whole snapshot each time",
        "let the proxy pass ETag on (nginx: no `etag off`, no `more_clear_headers`, no filter that changes the body; "
        "gzip keeps weak tags from version 1.7.3 on)",
    )


def _changed_tag(tag: str) -> Finding:
    return warning(
        POLL,
        f"the ETag of a poll is changed on the way ({tag}), which the service bears",
        "let the proxy pass it on as it is",
    )
