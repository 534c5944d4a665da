"""The floor: connections, and a loop that writes to them."""

import platform
from http.client import HTTPConnection

from scripts.benchmark.peers.peer import Peer

# As long as an event of ours with an order in it, on the wire.
EVENT_BYTES = 770


class Bare(Peer):
    name = "bare write() loop"
    kind = None

    @classmethod
    def version(cls) -> str:
        return f"asyncio protocol on uvloop, Python {platform.python_version()}"

    def start(self) -> None:
        self.serve(self.run("bare", self.port))

    def publish(self, count: int, *, to_all: bool = False) -> None:
        """Tells it to write so many events, to connections drawn at random or each to all of them."""
        connection = HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", f"/publish?count={count}&bytes={EVENT_BYTES}" + "&to=all" * to_all)
        connection.getresponse().close()
