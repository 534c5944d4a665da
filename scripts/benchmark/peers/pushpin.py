"""Pushpin: it holds connections for a server of one's own, which says of each what to do with it (GRIP), and delivers
what is published to their channels.

Set up as Debian does it, without its limit on messages a second, and with the connection manager and the client that
it starts itself. Neither the server behind it is counted, which only says whose a stream is, nor the bridge. Of
thousands of streams that are opened at once it answers a few with a 502.
"""

import shutil
import socket
import subprocess
from contextlib import suppress

from scripts.benchmark.child import Child, free_port, listens, program
from scripts.benchmark.peers.peer import Peer

_CONFIGURATION = """
[global]
include={{libdir}}/internal.conf
rundir={folder}/run
ipc_prefix=bench-
port_offset=0
stats_connection_ttl=120

[runner]
services=condure,zurl,pushpin-proxy,pushpin-handler
http_port=127.0.0.1:{port}
logdir={folder}/log
log_level=1
client_buffer_size=8192
client_maxconn=50000

[proxy]
routesfile={folder}/routes
zurl_out_specs=ipc://{{rundir}}/{{ipc_prefix}}zurl-in
zurl_out_stream_specs=ipc://{{rundir}}/{{ipc_prefix}}zurl-in-stream
zurl_in_specs=ipc://{{rundir}}/{{ipc_prefix}}zurl-out
debug=false
updates_check=off

[handler]
push_in_spec=tcp://127.0.0.1:{publish_port}
push_in_sub_specs=
push_in_http_addr=127.0.0.1
push_in_http_port={control_port}
command_spec=ipc://{{rundir}}/{{ipc_prefix}}command
stats_spec=ipc://{{rundir}}/{{ipc_prefix}}stats
message_rate=100000000
message_hwm=1000000
"""


class Pushpin(Peer):
    name = "Pushpin"
    kind = "notify"
    modules = ("asyncpg", "zmq")
    is_asked_again = True

    @classmethod
    def missing(cls) -> str | None:
        absent = [name for name in ("pushpin", "condure", "zurl") if program(name) is None]
        return f"{', '.join(absent)} not installed" if absent else super().missing()

    @classmethod
    def version(cls) -> str:
        told = subprocess.run([str(program("pushpin")), "--version"], capture_output=True, text=True, check=True).stdout
        return f"Pushpin {told.split()[-1]}"

    def start(self) -> None:
        folder, origin_port, publish_port = self.lab.folder / "pushpin", free_port(), free_port()
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("run", "log"):
            (folder / name).mkdir(parents=True)
        (folder / "routes").write_text(f"* 127.0.0.1:{origin_port}\n")
        file = folder / "pushpin.conf"
        file.write_text(
            _CONFIGURATION.format(folder=folder, port=self.port, publish_port=publish_port, control_port=free_port())
        )
        origin = self.run("grip_origin", origin_port)
        self.bridge.append(origin)
        origin.wait_for(lambda: listens(origin_port))
        command = [str(program("pushpin")), f"--config={file}"]
        pushpin = Child("pushpin", command, self.lab.folder, core=self.lab.server_core)
        self.serve(pushpin)
        # It listens before its parts have found each other.
        pushpin.wait_for(lambda: _answers(self.port))
        assert self.orders is not None
        bridge = self.run("grip_bridge", publish_port, self.orders.dsn)
        self.bridge.append(bridge)
        bridge.wait_for(lambda: "listening" in bridge.log.read_text())


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0) as client:
        client.sendall(b"GET /stream/nobody HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return client.recv(12) == b"HTTP/1.1 200"
    return False
