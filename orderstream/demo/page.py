"""The demo's page: one document for all its addresses, and its files, each with what a browser may do with it."""

import hashlib
import mimetypes
from collections.abc import Awaitable, Callable, Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable

from aiohttp import web

# The page takes nothing from elsewhere, runs no script that is not a file of ours, and never builds HTML from text.
POLICY = "; ".join(
    [
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "img", "connect", "manifest")),
        *("base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"),
        *("require-trusted-types-for 'script'", "trusted-types 'none'"),
    ]
)
ADDRESSES = ("/", "/orders/{order_id}", "/place", "/devices")

Handler = Callable[[web.Request], Awaitable[web.Response]]


def add_to(app: web.Application) -> None:
    """The page's addresses, and its files under `/page/`."""
    static = files(__package__) / "static"
    document = _answer((static / "index.html").read_bytes(), "text/html")
    app.add_routes([web.get(address, document, allow_head=False) for address in ADDRESSES])
    for path, file in _under(static, ""):
        kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
        app.router.add_get(f"/page/{path}", _answer(file.read_bytes(), kind), allow_head=False)


def _under(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _under(entry, f"{prefix}{entry.name}/")
        elif entry.name != "index.html":
            yield prefix + entry.name, entry


def _answer(content: bytes, content_type: str) -> Handler:
    tag = hashlib.sha256(content).hexdigest()[:32]
    text = content_type.startswith("text/") or content_type.endswith(("json", "svg+xml"))
    headers = {
        "Content-Security-Policy": POLICY,
        "Content-Type": content_type + ("; charset=utf-8" if text else ""),
        # Asked for each time, and hardly ever sent: a page is never half of one version and half of another.
        "Cache-Control": "no-cache",
        "ETag": f'"{tag}"',
        "Vary": "Origin",
    }

    async def answer(request: web.Request) -> web.Response:
        if any(known.value == tag for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(body=content, headers=headers)

    return answer
