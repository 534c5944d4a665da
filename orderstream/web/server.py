"""An application on a port: how connections are taken, and how they are let go."""

import os

from aiohttp import web

from orderstream.errors import OperatorError

# A kernel queue for the connections that arrive while the loop is busy; aiohttp's default is 128.
_BACKLOG = 4096


class Server:
    """One listening application: `start`, then `refuse` new connections, then `stop`."""

    def __init__(self, app: web.Application, *, drain_timeout_s: float) -> None:
        # A handler whose client is gone must learn of it; a stream or a poll would wait on.
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=drain_timeout_s)

    async def start(self, host: str, port: int, *, key: str) -> None:
        """Listens; raises OperatorError that names the settings `key` where it cannot."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port, backlog=_BACKLOG).start()
        except OSError as error:
            # asyncio writes the address into strerror, and each loop in its own words.
            reason = os.strerror(error.errno) if (error.errno or 0) > 0 else error.strerror
            raise OperatorError(f"cannot listen on {host}:{port} ({key}): {reason}") from None

    async def refuse(self) -> None:
        """Closes the listening socket; what is open goes on."""
        for site in list(self._runner.sites):
            await site.stop()

    async def stop(self) -> None:
        """Waits for the handlers, `drain_timeout_s` at most, and ends what is left."""
        await self._runner.cleanup()
