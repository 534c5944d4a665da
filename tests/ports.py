"""Ports of 127.0.0.1 for what a test starts, each given once, to no other worker of the same run.

Below the range that the system takes for connections of its own: a port that was free a moment ago, or belongs to a
service that is being started anew, must not become one end of somebody's connection meanwhile.
"""

import itertools
import os
import random
import socket

_FIRST, _PER_WORKER, _WORKERS = 10_000, 2_000, 10
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
# From anywhere: another run may be under way on the same machine.
_from = random.randrange(_PER_WORKER)
_numbers = itertools.count()


def free_port() -> int:
    """One that nobody listens on."""
    return free_ports(1)


def free_ports(count: int) -> int:
    """The first of `count` free ones in a row."""
    while True:
        offsets = [(_from + next(_numbers)) % _PER_WORKER for _ in range(count)]
        ports = [_FIRST + _worker * _PER_WORKER + offset for offset in offsets]
        if ports == list(range(ports[0], ports[0] + count)) and all(map(_is_free, ports)):
            return ports[0]


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
