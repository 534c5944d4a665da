"""nginx and HAProxy in front of two services: the very files of `config/`, with the names of places put right.

What is replaced are the lines that the files call yours to change, and the folders that nginx writes to.
"""

import asyncio
import os
import re
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from tests.clients.programs import missing
from tests.services import Address
from tests.waiting import eventually

CONFIG = Path(__file__).parents[2] / "config"
# Of the pages that may read the API from elsewhere, as both files name it.
ORIGIN = "https://app.example.com"

_NGINX_FOLDERS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


class Written(NamedTuple):
    """A file to start a proxy with: `check` says whether it is right, `run` stays in the foreground."""

    check: list[str]
    run: list[str]


class Front(Address):
    """A proxy on a port, spoken to like a service; `tls` where it takes nothing else."""

    def __init__(self, folder: Path, *, tls: bool = False) -> None:
        super().__init__()
        self.folder = folder
        self.tls = tls
        if tls:
            self.url = self.url.replace("http:", "https:")

    def logs(self) -> str:
        """All that it wrote so far, wherever."""
        return "".join(file.read_text(encoding="utf-8") for file in sorted(self.folder.glob("*.log")))


# Two or more.
Services = Sequence[Address]
Write = Callable[[Front, Services], Written]


def nginx(front: Front, services: Services) -> Written:
    """config/nginx.conf"""
    program = _installed("nginx")
    text = _read("nginx.conf", services)
    if front.tls:
        text = _replaced(
            re.sub(r"^( +)#(listen|ssl_)", r"\1\2", text, flags=re.MULTILINE), {"        listen 80;\n": ""}
        )
        places = {"listen 443": f"listen 127.0.0.1:{front.port}", "/etc/nginx/tls": str(front.folder)}
    else:
        places = {"listen 80;": f"listen 127.0.0.1:{front.port};"}
    own = "".join(f"{name}_temp_path {front.folder}/{name}; " for name in _NGINX_FOLDERS)
    places |= {"/var/log/nginx": str(front.folder), "\nhttp {": f"\nhttp {{ {own}"}
    places |= {f"orderstream-{number}:8080": _host(service) for number, service in enumerate(services, 1)}
    file = front.folder / "nginx.conf"
    file.write_text(_replaced(text, places), encoding="utf-8")
    start = [program, "-e", f"{front.folder}/start.log", "-c", str(file)]
    main = f"pid {front.folder}/nginx.pid;"
    return Written([*start, "-t", "-g", main], [*start, "-g", f"{main} daemon off;"])


def haproxy(front: Front, services: Services) -> Written:
    """config/haproxy.cfg"""
    program = _installed("haproxy")
    text = _read("haproxy.cfg", services)
    if front.tls:
        text = _replaced(text, {"    bind :80 tcp-ut 60s\n": "", "#bind :443": "bind :443"})
        places = {"bind :443": f"bind 127.0.0.1:{front.port}", "/etc/haproxy": str(front.folder)}
    else:
        places = {"bind :80": f"bind 127.0.0.1:{front.port}"}
    for number, service in enumerate(services, 1):
        places[f"orderstream-{number}:8080 check port 8081"] = f"{_host(service)} check port {service.admin_port}"
        places[f"orderstream-{number}:8080"] = _host(service)
    if os.getuid() != 0:
        # Only root can become somebody else.
        places |= {"    user haproxy\n": "", "    group haproxy\n": ""}
    file = front.folder / "haproxy.cfg"
    file.write_text(_replaced(text, places), encoding="utf-8")
    return Written([program, "-c", "-f", str(file)], [program, "-db", "-f", str(file)])


PROXIES: dict[str, Write] = {"nginx": nginx, "haproxy": haproxy}


@asynccontextmanager
async def in_front(write: Write, services: Services, folder: Path, *, tls: bool = False) -> AsyncIterator[Front]:
    """The proxy, taking connections; ended with the block. A proxy with `tls` finds its certificate in the folder."""
    front = Front(folder, tls=tls)
    command = write(front, services).run
    with (folder / "printed.log").open("wb") as printed:
        child = await asyncio.create_subprocess_exec(*command, stdout=printed, stderr=printed)
    try:
        await eventually(lambda: child.returncode is not None or _listens(front.port))
        assert child.returncode is None, front.logs()
        yield front
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()


Start = Callable[..., AbstractAsyncContextManager[Front]]


def _read(name: str, services: Services) -> str:
    """The file; where there are more services than the two that it names, with lines for them like those of the second
    one."""

    def and_more(line: re.Match[str]) -> str:
        return line[0] + "".join(line[0].replace("-2", f"-{number}") for number in range(3, len(services) + 1))

    return re.sub(r"^.*orderstream-2.*\n", and_more, (CONFIG / name).read_text(encoding="utf-8"), flags=re.MULTILINE)


def _installed(name: str) -> str:
    """Its path, also where sbin is not in PATH."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin") or missing(name)


def _host(service: Address) -> str:
    return service.url.removeprefix("http://")


def _replaced(text: str, places: dict[str, str]) -> str:
    for shipped, here in places.items():
        assert shipped in text, f"not in the file any more: {shipped}"
        text = text.replace(shipped, here)
    return text


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
