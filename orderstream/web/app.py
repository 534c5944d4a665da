"""The web application: which resource is answered by which handler, and who else may ask."""

import aiohttp_cors
from aiohttp import web

from orderstream.hub import Hub
from orderstream.ports import Meter, OrderReader, RequestTracer, SessionStore
from orderstream.sessions import Sessions
from orderstream.web import acks, orders, poll, sessions, stream, tickets
from orderstream.web.alarms import Alarms
from orderstream.web.headers import hardened
from orderstream.web.identity import Authenticator
from orderstream.web.limits import LIMITS, Limits, LimitSettings, admission
from orderstream.web.openapi import add_description
from orderstream.web.polls import POLLS, Polls
from orderstream.web.problems import problems
from orderstream.web.request_ids import named
from orderstream.web.seats import (
    AUTHENTICATOR,
    HUB,
    METER,
    ORDERS,
    SESSION_STORE,
    SESSIONS,
    STREAM_SETTINGS,
    WHEEL,
    PollSettings,
    StreamSettings,
)
from orderstream.web.slim import STREAMS, Streams
from orderstream.web.spans import ended, spanning
from orderstream.web.static import add_client
from orderstream.web.wheel import Wheel

PublicApp = web.Application


def make_app(
    *,
    hub: Hub,
    order_reader: OrderReader,
    meter: Meter,
    authenticator: Authenticator,
    open_sessions: Sessions,
    session_store: SessionStore,
    stream_settings: StreamSettings,
    poll_settings: PollSettings,
    limits: Limits | None = None,
    body_max_bytes: int = 65_536,
    cors_origins: frozenset[str] = frozenset(),
    tracer: RequestTracer | None = None,
) -> web.Application:
    """The public application; `app[WHEEL].run()` must be kept running beside it."""
    traced = [] if tracer is None else [spanning(tracer)]
    middlewares = [named, *traced, problems, stream.refusals, admission]
    app = web.Application(middlewares=middlewares, client_max_size=body_max_bytes)
    app.on_response_prepare.append(hardened)
    if tracer is not None:
        app.on_response_prepare.append(ended)
    app[LIMITS] = limits or Limits(LimitSettings())
    app[HUB] = hub
    app[ORDERS] = order_reader
    app[METER] = meter
    app[AUTHENTICATOR] = authenticator
    app[SESSIONS] = open_sessions
    app[SESSION_STORE] = session_store
    authenticator.revoked = open_sessions.is_revoked
    app[STREAM_SETTINGS] = stream_settings
    app[POLLS] = Polls(hub, meter, app[LIMITS], open_sessions, authenticator, poll_settings, Alarms(), {})
    app[WHEEL] = wheel = Wheel(stream_settings.heartbeat_s, lagged=meter.loop_lagged)
    app[STREAMS] = Streams(hub, meter, app[LIMITS], open_sessions, stream_settings, wheel)
    app.add_routes(
        [
            web.get("/v1/orders", orders.list_orders, allow_head=False),
            web.get("/v1/orders/stream", stream.stream, allow_head=False),
            web.get("/v1/orders/poll", poll.poll, allow_head=False),
            web.get("/v1/orders/{order_id}", orders.one_order, allow_head=False),
            web.get("/v1/orders/{order_id}/events", orders.order_events, allow_head=False),
            web.get("/v1/executions", orders.list_executions, allow_head=False),
            web.get("/v1/sessions", sessions.list_sessions, allow_head=False),
            web.delete("/v1/sessions/{session_id}", sessions.revoke_session),
            web.post("/v1/tickets", tickets.issue_ticket),
            web.post("/v1/acks", acks.acknowledge),
        ]
    )
    add_description(app, jwt_cookie=authenticator.jwt_cookie)
    if cors_origins:
        _allow_origins(app, cors_origins)
    add_client(app)
    return app


def _allow_origins(app: web.Application, origins: frozenset[str]) -> None:
    options = aiohttp_cors.ResourceOptions(  # type: ignore[no-untyped-call]
        allow_credentials=True,
        allow_headers=(
            *("Authorization", "Content-Type", "If-None-Match", "Last-Event-ID", "Prefer"),
            *("X-Request-Id", "traceparent"),
        ),
        expose_headers=("ETag", "Link", "Preference-Applied", "Retry-After", "X-Request-Id"),
        max_age=600,
    )
    cors = aiohttp_cors.setup(app, defaults=dict.fromkeys(origins, options))
    for route in list(app.router.routes()):
        cors.add(route)
