"""Every error as RFC 9457 problem+json: a stable `type`, `status` the real one, nothing internal in `detail`."""

import secrets
from collections.abc import Awaitable, Callable

import msgspec
import structlog
from aiohttp import web

from orderstream.errors import OrderstreamError, RequestError, Unauthorized, Unavailable

_log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def problem(status: int, kind: str, detail: str, headers: dict[str, str] | None = None, **more: str) -> web.Response:
    """`kind` becomes `urn:orderstream:problem:<kind>`; `more` are extension members."""
    body = {
        "type": f"urn:orderstream:problem:{kind}",
        "title": kind.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
        **more,
    }
    return web.Response(
        status=status,
        body=msgspec.json.encode(body),
        content_type="application/problem+json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def of_error(error: RequestError | Unavailable) -> web.Response:
    """The answer that an error of ours stands for."""
    headers: dict[str, str] = {}
    if isinstance(error, Unauthorized):
        # RFC 6750 section 3.1: no error code where no credential was sent.
        headers["WWW-Authenticate"] = f'Bearer error="{error.code}"' if error.code else "Bearer"
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
        return problem(error.status, error.problem, "A part of the service is not available; try again.", headers)
    return problem(error.status, error.problem, str(error), headers)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The one place where an exception becomes an answer."""
    try:
        return await handler(request)
    except (RequestError, Unavailable) as error:
        return of_error(error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        kind = error.reason.lower().replace(" ", "-").replace("'", "")
        kept = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
        return problem(error.status, kind, _WHY.get(error.status, error.reason), kept)
    except (Exception, OrderstreamError) as error:  # noqa: BLE001 - the top of a request
        incident = secrets.token_hex(8)
        _log.error("request-failed", incident=incident, path=request.path, exc_info=error)
        return problem(500, "internal-error", "Something went wrong here; the incident was logged.", incident=incident)


_WHY = {
    404: "There is nothing at this address.",
    405: "This resource does not take this method; see Allow.",
    413: "The request's body is too large.",
}
