"""Programs that run beside the benchmark: on a core of their own where that can be had, their output in a file."""

import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from scripts.benchmark import proc

_START_S = 60.0
# In the names of the logs, so that a round's is there after the next one's.
_numbers = itertools.count(1)


class Trouble(Exception):
    """What stands in the way of a measurement, in a line."""


class Child:
    """A program; started at once, on the core of that number (None: on any)."""

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, *, core: int | None, environment: Mapping[str, str] = {}
    ) -> None:
        self.name = name
        self.log = folder / f"{name}-{next(_numbers)}.log"
        pinned = [] if core is None else ["taskset", "-c", str(core)]
        with self.log.open("wb") as output:
            self._popen = subprocess.Popen(
                [*pinned, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=os.environ | dict(environment),
                # Ctrl-C is for us: we stop it.
                start_new_session=True,
            )

    @property
    def pids(self) -> list[int]:
        """Of all of it; Trouble where it ended, since what it cost cannot be told any more."""
        if self.is_over:
            raise Trouble(f"{self.name} ended: {self._last_words()}")
        return proc.family(self._popen.pid)

    @property
    def is_over(self) -> bool:
        return self._popen.poll() is not None

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Until it is true of the started program; Trouble where it ends, or takes too long."""
        end = time.monotonic() + _START_S
        # Looked at last: what is true may be another program's doing, which has the port that was meant for ours.
        while not condition() or self.is_over:
            if self.is_over or time.monotonic() > end:
                raise Trouble(f"{self.name} did not start: {self._last_words()}")
            time.sleep(0.02)

    def finish(self) -> None:
        """After it ended by itself: Trouble where that was not well."""
        if self._popen.wait() != 0:
            raise Trouble(f"{self.name} failed: {self._last_words()}")

    def interrupt(self) -> None:
        """Ctrl-C, for a program that says its last words then; Trouble where it does not end well."""
        self._popen.send_signal(signal.SIGINT)
        self.finish()

    def stop(self) -> None:
        """SIGKILL to all of it: taking leave of ten thousand clients is not what is measured."""
        if not self.is_over:
            # Some start others in groups of their own.
            for pid in proc.family(self._popen.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._popen.wait()

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """Below the range that connections take their own ports from. Any of them: another benchmark may run here."""
    for port in random.sample(range(21_000, 32_000), 1000):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _given:
            _given.add(port)
            return port
    raise Trouble("no port is free")


_given: set[int] = set()


def program(name: str) -> str | None:
    """Its path, also where sbin is not in PATH."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
