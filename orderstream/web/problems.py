"""Every error as RFC 9457 problem+json: a stable `type`, `status` the real one, nothing internal in `detail`."""

import math
from collections.abc import Awaitable, Callable

import msgspec
import structlog
from aiohttp import web
from msgspec import UNSET, UnsetType

from orderstream.errors import OrderstreamError, RequestError, TooManyRequests, Unauthorized, Unavailable
from orderstream.web.request_ids import request_id

_log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# Ours, since the phrase of a status differs between versions of Python: (problem, detail).
OF_STATUS = {
    400: ("bad-request", "The request cannot be read."),
    403: ("forbidden", "This is not allowed."),
    404: ("not-found", "There is nothing at this address."),
    405: ("method-not-allowed", "This resource does not take this method; see Allow."),
    413: ("content-too-large", "The request's body is too large."),
    414: ("uri-too-long", "The request's URL is too long."),
    417: ("expectation-failed", "Only Expect: 100-continue is understood."),
    431: ("header-too-large", "The request has a header that is too long, or too many of them."),
}
_PREFLIGHT_REFUSED = "This origin may not use this resource, or not with this method and these headers."


class Problem(msgspec.Struct, frozen=True):
    """RFC 9457. `type` is what to branch on; `detail` is for people; `request_id` is for a report to us."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str | UnsetType = UNSET


def type_of(kind: str) -> str:
    """The stable `type` of a kind of problem."""
    return f"urn:orderstream:problem:{kind}"


def problem(
    status: int, kind: str, detail: str, headers: dict[str, str] | None = None, named: str | UnsetType = UNSET
) -> web.Response:
    """`kind` is the end of its type."""
    body = Problem(type_of(kind), kind.replace("-", " ").capitalize(), status, detail, named)
    return web.Response(
        status=status,
        body=msgspec.json.encode(body),
        content_type="application/problem+json",
        headers={"Cache-Control": "no-store", "Vary": "Authorization, Cookie, Origin", **(headers or {})},
    )


def of_error(error: RequestError | Unavailable) -> web.Response:
    """The answer that an error of ours stands for."""
    headers: dict[str, str] = {}
    if isinstance(error, Unauthorized):
        # RFC 6750 section 3.1: no error code where no credential was sent.
        headers["WWW-Authenticate"] = f'Bearer error="{error.code}"' if error.code else "Bearer"
    if isinstance(error, TooManyRequests | Unavailable):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if isinstance(error, Unavailable):
        return problem(error.status, error.problem, "A part of the service is not available; try again.", headers)
    return problem(error.status, error.problem, str(error), headers)


def of_status(status: int, headers: dict[str, str] | None = None) -> web.Response:
    """The answer to what HTTP itself refuses."""
    kind, detail = OF_STATUS.get(status, OF_STATUS[400])
    return problem(status, kind, detail, headers)


def of_http_exception(error: web.HTTPException) -> web.Response:
    """The answer in place of aiohttp's own, whose text may quote the request."""
    kept = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
    return of_status(error.status, kept)


def of_failure(error: BaseException | None, request: web.BaseRequest) -> web.Response:
    """The answer to what should not happen: the log knows what, the client only which."""
    name = request_id(request)
    # Said here too: what fails before the application has bound nothing.
    _log.error("request-failed", request_id=name, path=request.path, exc_info=error)
    return problem(500, "internal-error", "Something went wrong here, and was logged.", named=name)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The one place where an exception becomes an answer."""
    try:
        return await handler(request)
    except (RequestError, Unavailable) as error:
        return _unless_begun(request, of_error(error))
    except web.HTTPException as error:
        if error.status < 400:
            raise
        if request.method == "OPTIONS" and error.status == 403:
            return _preflight_refused(request)
        return of_http_exception(error)
    except web.RequestPayloadError:
        return of_status(400)
    except ConnectionResetError:
        # The client is gone, and with it whoever could be answered.
        raise
    except (Exception, OrderstreamError) as error:  # noqa: BLE001 - the top of a request
        return _unless_begun(request, of_failure(error, request))


def _preflight_refused(request: web.Request) -> web.Response:
    if "Origin" in request.headers:
        return problem(403, "preflight-refused", _PREFLIGHT_REFUSED)
    # No preflight at all; the resource takes OPTIONS only as one.
    methods = {route.method for route in request.match_info.route.resource or ()} - {"OPTIONS"}
    return of_status(405, {"Allow": ", ".join(sorted(methods))})


def _unless_begun(request: web.Request, answer: web.Response) -> web.Response:
    """A second head in the midst of a stream would be taken for its events: the connection ends instead."""
    if request.writer.output_size > 0:
        raise ConnectionResetError
    return answer
