"""A network between a service and its database, on which one of the sessions can be lost while the others go on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Relay:
    """Listens on `port`. `cut` ends the sessions of an application_name, and new ones until `mend`."""

    def __init__(self, to_port: int) -> None:
        self.port = 0
        self._to_port = to_port
        self._cut_name = b""
        self._passing: set[asyncio.Task[None]] = set()
        self._said: dict[asyncio.StreamWriter, bytes] = {}

    def cut(self, application_name: str) -> None:
        self._cut_name = application_name.encode()
        self._end_cut()

    def mend(self) -> None:
        self._cut_name = b""

    async def close(self) -> None:
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection of the service's."""
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._to_port)
        for source, sink in ((reader, to_server), (from_server, writer)):
            task = asyncio.create_task(self._pass(source, sink, writer))
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        try:
            while chunk := await source.read(65_536):
                if sink is not client:
                    # Its name is among the first that it says.
                    self._said[client] = (self._said.get(client, b"") + chunk)[:2000]
                    self._end_cut()
                sink.write(chunk)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            self._said.pop(client, None)
            sink.close()

    def _end_cut(self) -> None:
        for client, said in self._said.items():
            if self._cut_name and self._cut_name in said:
                client.transport.abort()


@asynccontextmanager
async def relay(to_port: int) -> AsyncIterator[Relay]:
    """Carries what is said to a port of 127.0.0.1 and back."""
    between = Relay(to_port)
    async with await asyncio.start_server(between.take, "127.0.0.1", 0) as listener:
        between.port = listener.sockets[0].getsockname()[1]
        try:
            yield between
        finally:
            await between.close()
