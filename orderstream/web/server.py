"""An application on a port: how connections are taken, and how they are let go."""

import asyncio
import os

from aiohttp import web

from orderstream.errors import OperatorError
from orderstream.web.connection import Connection, Connections, ConnectionSettings
from orderstream.web.sockets import bound_sending

# A kernel queue for the connections that arrive while the loop is busy, which takes one at a time: as long as the
# system allows (net.core.somaxconn, 4096 as a rule). aiohttp's default is 128.
_BACKLOG = 65_535


class Server:
    """One listening application: `start`, then `refuse` new connections, then `stop`."""

    def __init__(
        self, app: web.Application, *, drain_timeout_s: float, settings: ConnectionSettings | None = None
    ) -> None:
        # A handler whose client is gone must learn of it; a stream or a poll would wait on. Half the time, because
        # aiohttp waits it twice: for the handler to end, and again once it was told to.
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=drain_timeout_s / 2)
        self._drain_timeout_s = drain_timeout_s
        self.connections = Connections(settings or ConnectionSettings(), self._connection)
        self._listeners: list[asyncio.Server] = []

    async def start(self, host: str, port: int, *, key: str, shared: bool = False) -> None:
        """Listens, on a `shared` port beside other processes; raises OperatorError that names the settings `key` where
        it cannot."""
        await self._runner.setup()
        try:
            await self._listen(host, port, shared)
        except OSError as error:
            # asyncio writes the address into strerror, and each loop in its own words.
            reason = os.strerror(error.errno) if error.errno is not None and error.errno > 0 else error.strerror
            raise OperatorError(f"cannot listen on {host}:{port} ({key}): {reason}") from None

    async def listen_for_itself(self) -> int:
        """Listens on one more port, on loopback, and gives it: what connects to it comes to this process."""
        listener = await self._listen("127.0.0.1", 0, shared=False)
        return int(listener.sockets[0].getsockname()[1])

    async def _listen(self, host: str, port: int, shared: bool) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(
            self._connection,
            host,
            port,
            backlog=_BACKLOG,
            reuse_port=True if shared else None,
            start_serving=False,
        )
        bound_sending(listener, self.connections.settings.send_timeout_s)
        await listener.start_serving()
        self._listeners.append(listener)
        return listener

    async def refuse(self) -> None:
        """Closes the listening sockets; what is open goes on."""
        for listener in self._listeners:
            listener.close()

    async def stop(self) -> None:
        """Waits for the handlers, and for clients to take their last, `drain_timeout_s` at most; ends what is left."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._drain_timeout_s
        await self.refuse()
        self.connections.retire()
        await self._runner.cleanup()
        await self.connections.end(max(0.0, until - loop.time()))

    def _connection(self) -> Connection:
        assert self._runner.server is not None
        return Connection(self._runner.server, self.connections)
