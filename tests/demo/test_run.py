"""The demo as a whole: it starts, its printed commands work, and it leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.ports import free_ports

pytestmark = pytest.mark.system

LAST_LINE = "Ctrl-C stops all of it.\n"


class Demo:
    """A running demo; `said` is what it printed until it was ready, or until it ended."""

    def __init__(self, folder: Path) -> None:
        self.program = subprocess.Popen(
            [sys.executable, "-m", "orderstream.cli", "demo", "--folder", str(folder), "--port", str(free_ports(2))],
            env={key: value for key, value in os.environ.items() if not key.startswith("ORDERSTREAM_")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said = ""
        for line in self.program.stdout or ():
            self.said += line
            if line == LAST_LINE:
                break
        self.family = psutil.Process(self.program.pid).children(recursive=True) if LAST_LINE in self.said else []

    def commands(self) -> list[str]:
        return [line.strip() for line in self.said.splitlines() if line.startswith("  ") and "#" not in line]

    def socket_folder(self) -> str:
        found = re.search(r"host=([^&]+)&", self.said)
        assert found is not None, self.said
        return found[1]

    def child(self, words: str) -> psutil.Process:
        (found,) = [one for one in self.family if words in " ".join(one.cmdline())]
        return found

    def ended(self) -> tuple[int, str]:
        """Its exit status and what it printed after it was ready."""
        rest, _ = self.program.communicate(timeout=60)
        return self.program.returncode, rest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all: only the first start makes a cluster."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[[], Demo]]:
    """Starts demos, and kills what a failed test leaves."""
    started: list[Demo] = []

    def begin() -> Demo:
        started.append(Demo(folder))
        return started[-1]

    yield begin
    for demo in started:
        if demo.program.poll() is None:
            demo.program.send_signal(signal.SIGINT)
            demo.program.wait(timeout=60)
        assert demo.program.stdout is not None
        demo.program.stdout.close()


def run(command: str, jwt: str) -> str:
    ended = subprocess.run(["bash", "-c", command], env=os.environ | {"JWT": jwt}, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_stops_cleanly_and_leaves_nothing(start: Callable[[], Demo], number: signal.Signals) -> None:
    """Exit status 0, no Postgres, no service, no exchange, no socket."""
    demo = start()
    demo.program.send_signal(number)
    assert demo.ended() == (0, "stopping\nstopping the embedded Postgres\n")
    assert not [one for one in demo.family if one.is_running()]
    assert not Path(demo.socket_folder()).exists()


def test_demo_prints_commands_that_work(start: Callable[[], Demo]) -> None:
    """As they stand, with the JWT that is printed above them."""
    demo = start()
    commands = demo.commands()
    jwt = commands[0].removeprefix("export JWT=")
    page, change, metrics = commands[-3:]
    assert '"orders":' in run(page, jwt)
    assert run(change, jwt).startswith("UPDATE ")
    assert run(metrics, jwt).startswith("# HELP ")
    stream = next(command for command in commands if command.endswith("/stream"))
    assert "event: live" in run(f"{stream} -s --max-time 2 || [ $? = 28 ]", jwt)


@pytest.mark.parametrize(("name", "words"), [("service", "demo.serve"), ("exchange", "demo.exchange")])
def test_demo_ends_when_a_part_dies(start: Callable[[], Demo], name: str, words: str) -> None:
    """It says which, stops the rest, and exits with 1."""
    demo = start()
    demo.child(words).kill()
    status, said = demo.ended()
    assert (status, said.startswith(f"the {name} ended with status -9: ")) == (1, True)
    assert not [one for one in demo.family if one.is_running()]


def test_second_demo_in_the_same_folder_is_refused(start: Callable[[], Demo]) -> None:
    """Two would take each other's Postgres."""
    assert LAST_LINE in start().said
    second = start()
    assert re.fullmatch(r"orderstream: another demo runs in .*: stop it, or choose another --folder\n", second.said)
    assert second.program.wait() == 2


def test_demo_starts_after_one_that_was_killed(start: Callable[[], Demo]) -> None:
    """The Postgres that it left is stopped and started anew; data and key are kept."""
    killed = start()
    # Both are looked up first: a killed one that nobody reaped yet has no command line to be found by.
    orphans = [killed.child("demo.serve"), killed.child("demo.exchange")]
    killed.program.kill()
    killed.program.communicate()
    for orphan in orphans:
        orphan.kill()
    again = start()
    assert LAST_LINE in again.said
    assert "making it first" not in again.said
    assert not Path(killed.socket_folder()).exists()
