"""The web application: which resource is answered by which handler, and who else may ask."""

import aiohttp_cors
from aiohttp import web

from orderstream.hub import Hub
from orderstream.ports import Meter, OrderReader
from orderstream.web import orders, poll, stream, tickets
from orderstream.web.identity import Authenticator
from orderstream.web.problems import problems
from orderstream.web.seats import (
    AUTHENTICATOR,
    HUB,
    METER,
    ORDERS,
    POLL_SETTINGS,
    STREAM_SETTINGS,
    WHEEL,
    PollSettings,
    StreamSettings,
)
from orderstream.web.wheel import Wheel

PublicApp = web.Application

# Nothing here takes a body larger than this.
_MAX_BODY_BYTES = 65_536


def make_app(
    *,
    hub: Hub,
    order_reader: OrderReader,
    meter: Meter,
    authenticator: Authenticator,
    stream_settings: StreamSettings,
    poll_settings: PollSettings,
    cors_origins: frozenset[str] = frozenset(),
) -> web.Application:
    """The public application; `app[WHEEL].run()` must be kept running beside it."""
    app = web.Application(middlewares=[problems], client_max_size=_MAX_BODY_BYTES)
    app.on_response_prepare.append(_name_no_version)
    app[HUB] = hub
    app[ORDERS] = order_reader
    app[METER] = meter
    app[AUTHENTICATOR] = authenticator
    app[STREAM_SETTINGS] = stream_settings
    app[POLL_SETTINGS] = poll_settings
    app[WHEEL] = Wheel(stream_settings.heartbeat_s)
    app.add_routes(
        [
            web.get("/v1/orders", orders.list_orders, allow_head=False),
            web.get("/v1/orders/stream", stream.stream, allow_head=False),
            web.get("/v1/orders/poll", poll.poll, allow_head=False),
            web.get("/v1/orders/{order_id}", orders.one_order, allow_head=False),
            web.post("/v1/tickets", tickets.issue_ticket),
        ]
    )
    if cors_origins:
        _allow_origins(app, cors_origins)
    return app


async def _name_no_version(_: web.Request, response: web.StreamResponse) -> None:
    # aiohttp would name its own version and Python's.
    response.headers.setdefault("Server", "orderstream")


def _allow_origins(app: web.Application, origins: frozenset[str]) -> None:
    options = aiohttp_cors.ResourceOptions(  # type: ignore[no-untyped-call]
        allow_credentials=True,
        allow_headers=("Authorization", "If-None-Match", "Last-Event-ID", "Prefer"),
        expose_headers=("ETag", "Link", "Preference-Applied", "Retry-After"),
        max_age=600,
    )
    cors = aiohttp_cors.setup(app, defaults=dict.fromkeys(origins, options))
    for route in list(app.router.routes()):
        cors.add(route)
