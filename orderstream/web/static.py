"""The JavaScript client, served as one file: a page never has half of one version and half of the next.

Its source is a module for each thing; they are put behind each other here, once, when the service starts. So there is
one request, one ETag, and no tool to build it with.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterator
from importlib.resources import files
from pathlib import PurePosixPath

import msgspec
from aiohttp import web

from orderstream.core.conditional import ANY, entity_tags

_ENTRY = "orderstream.js"
_IMPORT = re.compile(r'^import \{[^}]*\} from "(\./[\w./-]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const)\b)", re.MULTILINE)
# How long a page may be given an old client after a deployment; then one conditional request asks.
_CACHE = "max-age=300, stale-while-revalidate=86400"


class Asset(msgspec.Struct, frozen=True):
    """What is served at a path."""

    path: str
    content: bytes
    content_type: str

    @property
    def tag(self) -> str:
        """The opaque part of its strong ETag."""
        return hashlib.sha256(self.content).hexdigest()[:32]


def client_assets() -> list[Asset]:
    """The client and its types."""
    return [
        Asset("/orderstream.js", bundle(_ENTRY).encode(), "text/javascript"),
        Asset("/orderstream.d.ts", _source("orderstream.d.ts").encode(), "application/typescript"),
    ]


def bundle(entry: str) -> str:
    """One module of `entry` and all that it imports; only what `entry` exports is exported."""
    modules = [_EXPORT.sub("", _IMPORT.sub("", _source(name))) for name in _in_order(entry, []) if name != entry]
    return "\n".join([*modules, _IMPORT.sub("", _source(entry))])


def add_client(app: web.Application) -> None:
    """After the routes of other origins were chosen: these are for everybody."""
    app.add_routes([web.get(asset.path, _serve(asset), allow_head=False) for asset in client_assets()])


def _in_order(name: str, done: list[str]) -> Iterator[str]:
    """Every module after those that it imports."""
    if name in done:
        return
    done.append(name)
    for imported in _IMPORT.findall(_source(name)):
        yield from _in_order(str(PurePosixPath(name).parent / imported), done)
    yield name


def _source(name: str) -> str:
    return files(__package__).joinpath("static", name).read_text(encoding="utf-8")


def _serve(asset: Asset) -> Callable[[web.Request], Awaitable[web.Response]]:
    headers = {
        "ETag": f'"{asset.tag}"',
        "Cache-Control": _CACHE,
        # Pages of any origin may use it: it says nothing about anybody.
        "Access-Control-Allow-Origin": "*",
    }

    async def serve(request: web.Request) -> web.Response:
        known = entity_tags(request.headers.get("If-None-Match", ""))
        if asset.tag in known or known == [ANY]:
            return web.Response(status=304, headers=headers)
        return web.Response(body=asset.content, content_type=asset.content_type, charset="utf-8", headers=headers)

    return serve
