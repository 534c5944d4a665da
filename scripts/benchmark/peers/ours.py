"""orderstream as it is served: JWTs, limits, metrics and logs on; directly, or behind nginx with TLS."""

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.request import urlopen

import orderstream
from orderstream.web import jwt
from scripts.benchmark.child import Child, Trouble, free_port, listens, program
from scripts.benchmark.lab import Lab
from scripts.benchmark.orders import Orders
from scripts.benchmark.peers.peer import Peer, request_head, with_headers
from scripts.fleet.connection import Target
from scripts.fleet.polls import OrderPoll
from scripts.fleet.streams import OrderStream
from scripts.fleet.tally import Tally

_SECRET = "only-for-measuring-0123456789abcdef"
_NGINX = Path(__file__).parents[3] / "config" / "nginx.conf"


class Ours(Peer):
    """`settings` over the defaults. With `tls`, clients come through nginx as config/nginx.conf sets it up; what nginx
    costs is `bridge_cpu_s`, since it is not ours. `database` is another one than the lab's."""

    name = "orderstream"
    kind = "ours"

    def __init__(
        self, lab: Lab, *, tls: bool = False, processes: int = 1, database: Orders | None = None, **settings: object
    ) -> None:
        super().__init__(lab)
        self.admin_port = free_port()
        self.tls = tls
        self.processes = processes
        self._database = database
        self._settings = settings

    @classmethod
    def version(cls) -> str:
        return f"orderstream {orderstream.__version__}"

    @property
    def orders(self) -> Orders:
        return self._database or self.lab.orders("ours")

    def start(self) -> None:
        settings = {
            "database_url": self.orders.dsn,
            "jwt_secret": _SECRET,
            "listen": f"127.0.0.1:{self.port}",
            "admin_listen": f"127.0.0.1:{self.admin_port}",
            "log_format": "json",
            # As many as come at once here; by default 1,000, so that those who are open do not wait for those who come.
            "new_streams_per_s": 20_000,
            "drain_spread_s": 0,
            "drain_timeout_s": 5,
            **({"trusted_proxies": "127.0.0.1/32"} if self.tls else {}),
            **self._settings,
        }
        # Of this core alone, unless there is a process for each.
        core = self.lab.server_core if self.processes == 1 else None
        command = [sys.executable, "-m", "orderstream.cli", "serve"]
        if self.processes > 1:
            command += ["--processes", str(self.processes)]
            if self.lab.is_pinned:
                command = ["taskset", "-c", ",".join(map(str, self.lab.cores)), *command]
        environment = {f"ORDERSTREAM_{key.upper()}": str(value) for key, value in settings.items()}
        service = Child("orderstream", command, self.lab.folder, core=core, environment=environment)
        self.serve(service)
        # The others have theirs on the ports behind it: all of them serve, and one numbers.
        service.wait_for(lambda: all(listens(self.admin_port + number) for number in range(self.processes)))
        service.wait_for(lambda: self.is_numbered)
        if self.tls:
            self._put_nginx_in_front()

    @property
    def is_numbered(self) -> bool:
        """Whether somebody numbers the events that it delivers: here, one of its processes."""
        return self.metric("orderstream_sequencer_leading") > 0

    def metric(self, name: str) -> float:
        """The sum of its series, of all processes."""
        pages = (urlopen(f"http://127.0.0.1:{self.admin_port + number}/metrics") for number in range(self.processes))
        series = re.compile(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", re.MULTILINE)
        return sum(float(value) for page in pages for value in series.findall(page.read().decode()))

    def streams(self, users: Iterable[str], tally: Tally, *, first: int = 0) -> list[OrderStream]:
        return [
            OrderStream(self.target, number, user, self.request(user), tally)
            for number, user in enumerate(users, first)
        ]

    def polls(self, users: Iterable[str], tally: Tally, *, first: int = 0, wait_s: int = 25) -> list[OrderPoll]:
        return [
            OrderPoll(self.target, number, user, self.poll_request(user, wait_s), tally)
            for number, user in enumerate(users, first)
        ]

    def request(self, user: str) -> bytes:
        return request_head(self.target, "/v1/orders/stream", with_headers(self._bearer(user)))

    def poll_request(self, user: str, wait_s: int) -> bytes:
        more = b"Accept: application/json\r\nPrefer: wait=%d\r\n" % wait_s
        return request_head(self.target, "/v1/orders/poll", more + self._bearer(user))

    def _bearer(self, user: str) -> bytes:
        return b"Authorization: Bearer %b\r\n" % jwt.issue(_SECRET, user, 7200).encode()

    def _put_nginx_in_front(self) -> None:
        front, folder = free_port(), self.lab.folder / "nginx"
        file = write_nginx(folder, front, self.port)
        nginx = program("nginx")
        assert nginx is not None
        command = [nginx, "-e", f"{folder}/start.log", "-c", str(file), "-g", f"pid {folder}/nginx.pid; daemon off;"]
        child = Child("nginx", command, self.lab.folder, core=self.lab.server_core)
        self.bridge.append(child)
        child.wait_for(lambda: listens(front))
        self.target = Target(f"https://127.0.0.1:{front}", verify=False)


class BehindTls(Ours):
    """What clients meet where a load balancer ends TLS."""

    name = "orderstream behind TLS"

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab, tls=True)

    @classmethod
    def missing(cls) -> str | None:
        absent = [name for name in ("nginx", "openssl") if program(name) is None]
        return f"{', '.join(absent)} not installed" if absent else None


class StartedAnew(Ours):
    """One that is killed and started again before its clients come back: its memory is empty."""

    name = "orderstream, started anew"


class NumberedElsewhere(Ours):
    """A second process: the first one, which nobody is connected to and whose cost is not counted, numbers."""

    name = "orderstream, another process numbers"

    def __init__(self, lab: Lab, **settings: object) -> None:
        super().__init__(lab, **settings)
        self._first = Ours(lab)

    def start(self) -> None:
        self._first.start()
        super().start()

    def stop(self) -> None:
        super().stop()
        self._first.stop()

    @property
    def is_numbered(self) -> bool:
        return self._first.is_numbered


def write_nginx(folder: Path, front_port: int, service_port: int) -> Path:
    """config/nginx.conf with TLS on, at these ports, with a certificate of its own, and with two processes."""
    folder.mkdir(exist_ok=True)
    _make_certificate(folder)
    text = re.sub(r"^( +)#(listen|ssl_)", r"\1\2", _NGINX.read_text(encoding="utf-8"), flags=re.MULTILINE)
    places = {
        "        listen 80;\n": "",
        # Two descriptors a stream, and 20,000 a process is what many systems allow.
        "worker_processes auto": "worker_processes 2",
        "listen 443 ssl http2": f"listen 127.0.0.1:{front_port} ssl http2 reuseport backlog=4096",
        "/etc/nginx/tls": str(folder),
        "/var/log/nginx": str(folder),
        "server orderstream-1:8080": f"server 127.0.0.1:{service_port}",
        "        server orderstream-2:8080 max_fails=0;\n": "",
        # As many as there are streams, twice.
        "worker_rlimit_nofile 65536;\n": "",
        "\nhttp {": "\nhttp { " + " ".join(f"{name}_temp_path {folder}/{name};" for name in _TEMPORARY),
    }
    for shipped, here in places.items():
        if shipped not in text:
            raise Trouble(f"config/nginx.conf has no {shipped.strip()!r} any more")
        text = text.replace(shipped, here)
    file = folder / "nginx.conf"
    file.write_text(text, encoding="utf-8")
    return file


_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def _make_certificate(folder: Path) -> None:
    openssl = program("openssl")
    if openssl is None:
        raise Trouble("openssl is not installed, which makes the certificate")
    made = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", "privkey.pem", "-out", "fullchain.pem", "-subj", "/CN=127.0.0.1", "-days", "2"]
    subprocess.run([*made, *files], cwd=folder, check=True, capture_output=True)
