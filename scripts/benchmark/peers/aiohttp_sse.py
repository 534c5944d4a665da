"""aiohttp-sse as its README shows it, with a queue for each client and one LISTEN through aiopg."""

from importlib.metadata import version

from scripts.benchmark.peers.peer import Peer
from scripts.fleet.streams import CrlfStream


class AiohttpSse(Peer):
    name = "aiohttp-sse, its README"
    kind = "notify"
    modules = ("aiohttp_sse", "aiopg", "uvloop")
    stream_class = CrlfStream

    @classmethod
    def version(cls) -> str:
        return (
            f"aiohttp-sse {version('aiohttp-sse')} on aiohttp {version('aiohttp')} and uvloop, aiopg {version('aiopg')}"
        )

    def start(self) -> None:
        assert self.orders is not None
        self.serve(self.run("aiohttp_sse_readme", self.port, self.orders.dsn))
