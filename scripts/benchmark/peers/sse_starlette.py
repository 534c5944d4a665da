"""sse-starlette on uvicorn, with a queue for each client and one LISTEN through asyncpg."""

from importlib.metadata import version

from scripts.benchmark.peers.peer import Peer
from scripts.fleet.streams import CrlfStream


class SseStarlette(Peer):
    name = "sse-starlette"
    kind = "notify"
    modules = ("sse_starlette", "uvicorn", "httptools", "asyncpg", "uvloop")
    stream_class = CrlfStream

    @classmethod
    def version(cls) -> str:
        return f"sse-starlette {version('sse-starlette')} on uvicorn {version('uvicorn')}, asyncpg {version('asyncpg')}"

    def start(self) -> None:
        assert self.orders is not None
        self.serve(self.run("sse_starlette_app", self.port, self.orders.dsn))
