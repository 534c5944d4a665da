"""`scripts/run` as a newcomer meets it: one command, and what it prints works. In this checkout's own .venv."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.demo.running import LAST_LINE, Demo, demo_folder
from tests.ports import free_ports

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]

# "A few seconds", of processor time: a busy machine has none.
SECOND_START_S = 10.0

Start = Callable[..., Demo]


@pytest.fixture
def folder() -> Iterator[Path]:
    with demo_folder() as folder:
        yield folder


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Runs the script with these options, and ends what a failed test leaves."""
    started: list[Demo] = []

    def begin(*options: str) -> Demo:
        started.append(Demo(["scripts/run", "--folder", str(folder), *options], where=ROOT))
        return started[-1]

    yield begin
    for demo in started:
        demo.close()


def test_orders_move_on_the_screen_after_one_command(start: Start) -> None:
    """The printed `watch` follows them with the printed JWT; Ctrl-C ends all with status 0 and leaves no Postgres; the
    second start is quick, and the JWT of the first is good for it."""
    port = str(free_ports(2))
    demo = start("--port", port, "--rate", "50")
    assert f"Open http://127.0.0.1:{port} in a browser" in demo.said
    assert demo.postgres() != []
    assert " order " in watched(demo.command(" watch "), demo.jwt)
    demo.interrupt()
    assert demo.ended() == (0, "stopping\nstopping the embedded Postgres\n")
    assert demo.postgres() == []

    again = start("--port", port, "--rate", "50")
    assert "making it first" not in again.said
    assert again.busy_s < SECOND_START_S
    assert "snapshot" in watched(again.command(" watch "), demo.jwt)


def test_a_taken_port_is_one_line_and_status_2(start: Start) -> None:
    """Whoever types it twice learns what is wrong, and what helps."""
    port = str(free_ports(2))
    assert LAST_LINE in start("--port", port).said
    with demo_folder() as other:
        refused = start("--port", port, "--folder", str(other))
    line = f"orderstream: cannot listen on 127.0.0.1:{port} (Address already in use): choose another --port\n"
    assert (refused.said, refused.program.wait()) == (line, 2)


def watched(command: str, jwt: str) -> str:
    """The first lines that `watch` prints where there is no terminal, and no more once somebody has read them."""
    ended = subprocess.run(
        ["bash", "-c", f"{command} | head -n 12"],
        cwd=ROOT,
        env=os.environ | {"JWT": jwt},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.stderr == ""
    return ended.stdout
