"""nginx with Nchan: channels of its own, published to by HTTP; a bridge brings the events from Postgres.

Set up as its documentation says for one channel a user, with the memory that it asks for; without authorization, which
would cost it a request to somebody else for each stream.
"""

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from scripts.benchmark.child import Child, program
from scripts.benchmark.peers.peer import Peer, request_head
from scripts.fleet.polls import NchanPoll, Poll
from scripts.fleet.tally import Tally

# Where Debian puts it, and where scripts/bench unpacks Debian's package.
_MODULES = (Path("/usr/lib/nginx/modules"), Path(os.environ.get("BENCH_NGINX_MODULES", "/nonexistent")))

_CONFIGURATION = """
load_module {module};
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections 19900; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/client_body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    nchan_shared_memory_size 512M;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        keepalive_requests 1000000000;
        location ~ ^/publish/(.+)$ {{
            access_log off;
            nchan_publisher http;
            nchan_channel_id $1;
            nchan_message_buffer_length 100;
            nchan_message_timeout 10m;
        }}
        location ~ ^/stream/(.+)$ {{
            nchan_subscriber eventsource;
            nchan_channel_id $1;
            nchan_subscriber_first_message newest;
            nchan_eventsource_ping_interval 15;
            nchan_eventsource_ping_comment "";
            nchan_eventsource_ping_event heartbeat;
        }}
        location ~ ^/poll/(.+)$ {{
            nchan_subscriber longpoll;
            nchan_channel_id $1;
            nchan_subscriber_first_message newest;
            nchan_longpoll_multipart_response off;
        }}
    }}
}}
"""


class Nchan(Peer):
    name = "nginx + Nchan"
    kind = "notify"
    modules = ("asyncpg",)

    @classmethod
    def missing(cls) -> str | None:
        if program("nginx") is None or _module() is None:
            return "nginx, or its module of Debian's libnginx-mod-nchan, not installed"
        return super().missing()

    @classmethod
    def version(cls) -> str:
        nginx = subprocess.run([str(program("nginx")), "-v"], capture_output=True, text=True, check=True).stderr
        return f"nginx {nginx.strip().rpartition('/')[2]} with Nchan {_module_version()}"

    def start(self) -> None:
        folder = self.lab.folder / "nchan"
        folder.mkdir(exist_ok=True)
        file = folder / "nginx.conf"
        file.write_text(_CONFIGURATION.format(folder=folder, module=_module(), port=self.port))
        command = [str(program("nginx")), "-e", f"{folder}/start.log", "-c", str(file), "-g", "daemon off;"]
        self.serve(Child("nchan", command, self.lab.folder, core=self.lab.server_core))
        assert self.orders is not None
        bridge = self.run("bridge", self.port, self.orders.dsn)
        self.bridge.append(bridge)
        bridge.wait_for(lambda: "listening" in bridge.log.read_text())

    def polls(self, users: Sequence[str], tally: Tally, *, wait_s: int) -> Sequence[Poll]:
        return [
            NchanPoll(self.target, number, user, request_head(self.target, f"/poll/{user}"), tally)
            for number, user in enumerate(users)
        ]


def _module() -> Path | None:
    files = [folder / "ngx_nchan_module.so" for folder in _MODULES]
    return next((file for file in files if file.exists()), None)


def _module_version() -> str:
    """Debian's, since the module itself does not say."""
    asked = ["apt-cache", "show", "--no-all-versions", "libnginx-mod-nchan"]
    told = subprocess.run(asked, check=False, capture_output=True, text=True).stdout if program("apt-cache") else ""
    found = re.search(r"^Version: (?:\d+:)?(.*)$", told, re.MULTILINE)
    return found[1] if found else "of unknown version"
