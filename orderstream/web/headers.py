"""Headers that every answer carries, whoever made it: what a browser may do with it, the
request's name, and no names of versions."""

from collections.abc import MutableMapping

from aiohttp import web

from orderstream.web.request_ids import HEADER, request_id

# Cross-Origin-Resource-Policy is looked at for requests without CORS only (Fetch, "cross-origin resource policy
# check"): `same-origin` keeps an answer out of another site's <img> or <script>, and takes nothing from the origins
# that CORS allows.
_ALWAYS = {
    "Server": "orderstream",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# Of an answer about a user: kept by nobody, and nobody else's.
PRIVATE = {"Cache-Control": "private, no-store", "Vary": "Authorization, Cookie, Origin"}
# Nothing that we answer is a document, but for a page that brings a policy of its own.
_POLICY = "default-src 'none'; frame-ancestors 'none'"


def harden(request: web.BaseRequest, headers: MutableMapping[str, str]) -> None:
    """Adds them; aiohttp's own `Server`, which names its version and Python's, is replaced."""
    headers.update(_ALWAYS)
    headers[HEADER] = request_id(request)
    headers.setdefault("Content-Security-Policy", _POLICY)
    headers.setdefault("Vary", "Origin")


async def hardened(request: web.Request, response: web.StreamResponse) -> None:
    """For `on_response_prepare`."""
    harden(request, response.headers)


async def common(request: web.Request) -> str:
    """The lines that every answer to requests like this one carries, but for `Vary` and the request's name."""
    template = web.StreamResponse()
    await request.app.on_response_prepare.send(request, template)
    return "".join(f"{name}: {value}\r\n" for name, value in template.headers.items() if name not in ("Vary", HEADER))
