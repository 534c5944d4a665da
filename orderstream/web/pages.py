"""A page and its files, each with what a browser may do with it; taken from a folder of a package, once."""

import hashlib
import mimetypes
from collections.abc import Awaitable, Callable, Iterable, Iterator
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

Handler = Callable[[web.Request], Awaitable[web.Response]]


def add_page(app: web.Application, folder: Traversable, addresses: Iterable[str], under: str) -> None:
    """`index.html` at each of the addresses, and the other files of the folder under the path `under`."""
    document = _answer((folder / "index.html").read_bytes(), "text/html")
    app.add_routes([web.get(address, document, allow_head=False) for address in addresses])
    for path, file in _in(folder, ""):
        kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
        app.router.add_get(f"{under}/{path}", _answer(file.read_bytes(), kind), allow_head=False)


def _in(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _in(entry, f"{prefix}{entry.name}/")
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
