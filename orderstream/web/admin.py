"""The admin port: metrics, health for probes, and a page for people. Not for clients."""

from collections.abc import Callable, Mapping

import msgspec
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from orderstream.web.headers import hardened
from orderstream.web.problems import problems
from orderstream.web.request_ids import named
from orderstream.web.status import EVERY_S, Look, add_status

# name -> None where all is well, else one line of reason.
Checks = Callable[[], Mapping[str, str | None]]


def make_admin_app(
    registry: CollectorRegistry, checks: Checks, look: Look, *, every_s: float = EVERY_S
) -> web.Application:
    """`checks` is asked at every `/health/ready`; `look`, each `every_s` while the status page is open somewhere.
    Neither must block."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def live(_: web.Request) -> web.Response:
        return web.json_response({"status": "live"})

    async def ready(_: web.Request) -> web.Response:
        results = checks()
        good = all(reason is None for reason in results.values())
        body = {
            "status": "ready" if good else "not-ready",
            "checks": {name: reason or "ok" for name, reason in results.items()},
        }
        return web.Response(
            status=200 if good else 503, body=msgspec.json.encode(body), content_type="application/json"
        )

    app = web.Application(middlewares=[named, problems])
    app.on_response_prepare.append(hardened)
    app.on_response_prepare.append(_kept_by_nobody)
    app.add_routes([web.get("/metrics", metrics), web.get("/health/live", live), web.get("/health/ready", ready)])
    add_status(app, look, every_s)
    return app


async def _kept_by_nobody(_: web.Request, response: web.StreamResponse) -> None:
    # Without a word about it, a cache may keep yesterday's health (RFC 9111, 4.2.2).
    response.headers.setdefault("Cache-Control", "no-store")
