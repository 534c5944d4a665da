"""Which of a database's addresses answer, found out before libpq is let at them.

libpq tries one address after the other on sockets that it closes and opens by itself. aiopg watches only the first of
them, so a name with two addresses (`localhost`), or a port that is closed, would leave it waiting on a socket
that is gone; and libpq looks names up without letting the event loop run.
"""

import asyncio
import socket
from contextlib import suppress
from typing import Any

from psycopg2 import OperationalError

from orderstream.postgres import dsn


async def reachable(database_url: str) -> list[dict[str, Any]]:
    """libpq parameters that lead to one server each, in the order of the URL: `host`, `hostaddr`, `port`; or none where
    libpq has nothing to choose. Raises OperationalError where no server takes a connection."""
    said = dsn.parameters(database_url)
    hosts = said.get("host", "").split(",")
    if "hostaddr" in said or not hosts[0] or hosts[0].startswith("/"):
        return [{}]
    ports = said.get("port", "5432").split(",")
    servers: list[dict[str, Any]] = []
    failure = ""
    for host, port in zip(hosts, ports * len(hosts) if len(ports) == 1 else ports, strict=True):
        try:
            servers.append({"host": host, "hostaddr": await _answering(host, port), "port": port})
        except OSError as error:
            failure = f"{host}:{port}: {error.strerror or error}"
    if not servers:
        raise OperationalError(f"connection to {failure}")
    return servers


async def _answering(host: str, port: str) -> str:
    """The first address of `host` that takes a connection; raises the OSError of the last one."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(address[4][0]) for address in found]
    for address in addresses[:-1]:
        with suppress(OSError):
            return await _try(address, port)
    return await _try(addresses[-1], port)


async def _try(address: str, port: str) -> str:
    _, writer = await asyncio.open_connection(address, int(port))
    writer.close()
    return address
