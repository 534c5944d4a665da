"""Which servers are measured, and which of them are here."""

from collections.abc import Iterable

from scripts.benchmark.peers.aiohttp_sse import AiohttpSse
from scripts.benchmark.peers.bare import Bare
from scripts.benchmark.peers.nchan import Nchan
from scripts.benchmark.peers.ours import Ours
from scripts.benchmark.peers.peer import Peer
from scripts.benchmark.peers.pushpin import Pushpin
from scripts.benchmark.peers.sse_starlette import SseStarlette

SERVERS: tuple[type[Peer], ...] = (Ours, Nchan, Pushpin, AiohttpSse, SseStarlette)
ALL: tuple[type[Peer], ...] = (*SERVERS, Bare)


def installed(peers: Iterable[type[Peer]]) -> list[type[Peer]]:
    return [peer for peer in peers if peer.missing() is None]
