"""A running demo, however it was started, and what it printed."""

import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

LAST_LINE = "Ctrl-C stops all of it.\n"

# A start on a busy machine, with a cluster to make.
PATIENCE_S = 120.0


class Demo:
    """`said` is what it printed until it was ready, or until it ended; `busy_s` the processor time that it had had when
    it was ready, without that of its Postgres."""

    def __init__(self, command: Sequence[str], *, where: Path | None = None, **environment: str) -> None:
        ours = {key: value for key, value in os.environ.items() if not key.startswith("ORDERSTREAM_")}
        self.program = subprocess.Popen(
            command,
            cwd=where,
            env=ours | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        # A demo that neither starts nor ends would be read from for ever.
        watchdog = threading.Timer(PATIENCE_S, self.program.kill)
        watchdog.start()
        self.said = ""
        for line in self.program.stdout or ():
            self.said += line
            if line == LAST_LINE:
                break
        watchdog.cancel()
        itself = psutil.Process(self.program.pid)
        self.family = itself.children(recursive=True) if LAST_LINE in self.said else []
        self.busy_s = sum(sum(one.cpu_times()[:4]) for one in (itself, *self.family)) if self.family else 0.0

    def commands(self) -> list[str]:
        return [line.strip() for line in self.said.splitlines() if line.startswith("  ") and "#" not in line]

    def command(self, words: str) -> str:
        """The first with these words."""
        return next(command for command in self.commands() if words in command)

    @property
    def jwt(self) -> str:
        return self.commands()[0].removeprefix("export JWT=")

    def socket_folder(self) -> str:
        found = re.search(r"host=([^&]+)&", self.said)
        assert found is not None, self.said
        return found[1]

    def postgres(self) -> list[psutil.Process]:
        """What runs of its Postgres, which is nobody's child, and is found by the folder of its socket."""
        return [
            one
            for one in psutil.process_iter(["cmdline"])
            if any(self.socket_folder() in word for word in one.info["cmdline"] or ())
        ]

    def child(self, words: str) -> psutil.Process:
        (found,) = [one for one in self.family if words in " ".join(one.cmdline())]
        return found

    def interrupt(self) -> None:
        """Ctrl-C: the terminal sends it to all that runs in its foreground."""
        os.killpg(self.program.pid, signal.SIGINT)

    def ended(self) -> tuple[int, str]:
        """Its exit status and what it printed after it was ready."""
        rest, _ = self.program.communicate(timeout=60)
        return self.program.returncode, rest

    def close(self) -> None:
        """Ends what a failed test leaves."""
        if self.program.poll() is None:
            self.interrupt()
            self.program.wait(timeout=60)
        assert self.program.stdout is not None
        self.program.stdout.close()


@contextmanager
def demo_folder() -> Iterator[Path]:
    """Under /tmp, which everybody may pass through: a folder of root's alone would have its Postgres kept elsewhere."""
    with tempfile.TemporaryDirectory(prefix="orderstream-test-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def shell(command: str, jwt: str, where: Path | None = None) -> str:
    """What a printed command prints, run as it stands with the JWT that is printed above it."""
    ended = subprocess.run(
        ["bash", "-c", command], cwd=where, env=os.environ | {"JWT": jwt}, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
