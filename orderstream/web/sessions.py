"""`GET /v1/sessions` and `DELETE /v1/sessions/{session_id}`: a user's devices, and logging one of them out."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from orderstream.core.claims import Identity
from orderstream.core.cursor import parse_cursor
from orderstream.core.devices import Device, platform, shared, shortened
from orderstream.errors import InvalidParameter
from orderstream.sessions import ListedDelivery
from orderstream.web.headers import PRIVATE
from orderstream.web.limits import LIMITS
from orderstream.web.seats import AUTHENTICATOR, SESSION_STORE, SESSIONS
from orderstream.web.standing import for_user

_MAX_ID_CHARS = 255


class OpenStream(msgspec.Struct, frozen=True):
    """A stream, or a device that polls. `opened_at` is RFC 3339; `cursor` the last one sent, and `address` a network
    (/24 or /48), null where not known."""

    transport: str
    platform: str
    opened_at: str
    cursor: str | None
    address: str | None


class Session(msgspec.Struct, frozen=True):
    """A login with an open stream; `current` is the one that asks."""

    id: str
    current: bool
    streams: list[OpenStream]


class SessionList(msgspec.Struct, frozen=True):
    """What `GET /v1/sessions` answers, the login that opened a stream last first."""

    sessions: list[Session]


@for_user
async def list_sessions(request: web.Request, identity: Identity) -> web.Response:
    """The user's open streams on all processes, by login."""
    request.app[LIMITS].admit_session(identity)
    sessions = request.app[SESSIONS]
    elsewhere = await request.app[SESSION_STORE].open_elsewhere(identity.user_id)
    found = [
        delivery
        for delivery in [*sessions.of_user(identity.user_id), *elsewhere]
        # What was ended a moment ago may still be written.
        if not sessions.is_revoked_id(identity.user_id, delivery.session_id)
    ]
    body = SessionList([Session(name, name == identity.session_id, each) for name, each in _by_session(found)])
    return web.Response(body=msgspec.json.encode(body), content_type="application/json", headers=PRIVATE)


async def revoke_session(request: web.Request) -> web.Response:
    """204, whether there was such a login or not: there is none any more, and nobody learns of another user's."""
    identity = await request.app[AUTHENTICATOR].authenticate(request)
    request.app[LIMITS].admit_session(identity)
    session_id = request.match_info["session_id"]
    if len(session_id) > _MAX_ID_CHARS or not session_id.isprintable():
        raise InvalidParameter("this is not a session id")
    await request.app[SESSION_STORE].revoke(identity, session_id)
    return web.Response(status=204, headers=PRIVATE)


def device_of(request: web.Request) -> Device:
    """What the user is shown of whoever is at the other end."""
    headers = request.headers
    address = shortened(request.app[LIMITS].address_of(request))
    return shared(platform(headers.get("User-Agent", ""), headers.get("Sec-CH-UA-Mobile", "")), address)


def _by_session(deliveries: Iterable[ListedDelivery]) -> Iterator[tuple[str, list[OpenStream]]]:
    sessions: dict[str, list[ListedDelivery]] = {}
    for delivery in sorted(deliveries, key=lambda delivery: delivery.opened_at, reverse=True):
        sessions.setdefault(delivery.session_id, []).append(delivery)
    return ((session_id, [_shown(one) for one in _one_a_poller(each)]) for session_id, each in sessions.items())


def _one_a_poller(deliveries: Sequence[ListedDelivery]) -> Iterator[ListedDelivery]:
    """A device that polls is one, on however many processes its polls were answered; `deliveries` newest first."""
    pollers: dict[tuple[str, str | None], ListedDelivery] = {}
    for delivery in deliveries:
        if delivery.transport == "poll":
            device = (delivery.platform, delivery.address)
            newer = pollers.get(device)
            pollers[device] = delivery if newer is None else delivery._replace(cursor=_newest(newer, delivery))
        else:
            yield delivery
    yield from pollers.values()


def _newest(*deliveries: ListedDelivery) -> str | None:
    cursors = [parse_cursor(delivery.cursor) for delivery in deliveries if delivery.cursor is not None]
    known = [cursor for cursor in cursors if cursor is not None]
    return str(max(known, key=lambda cursor: cursor.seq)) if known else None


def _shown(delivery: ListedDelivery) -> OpenStream:
    opened_at = datetime.fromtimestamp(delivery.opened_at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return OpenStream(delivery.transport, delivery.platform, opened_at, delivery.cursor, delivery.address)
