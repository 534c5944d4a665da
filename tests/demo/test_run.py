"""The demo as a whole: it starts, its printed commands work, and it leaves nothing behind."""

import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.programs import program
from tests.core.fix.lines import report
from tests.demo.running import LAST_LINE, Demo, demo_folder, shell
from tests.ports import free_ports
from tests.system.tables import execute
from tests.waiting import eventually

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """One for all: only the first start makes a cluster."""
    with demo_folder() as folder:
        yield folder


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., Demo]]:
    """Starts demos, and ends what a failed test leaves."""
    started: list[Demo] = []

    def begin(*more: str, **environment: str) -> Demo:
        command = [sys.executable, "-m", "orderstream.cli", "demo"]
        options = ["--folder", str(folder), "--port", str(free_ports(2)), *more]
        started.append(Demo([*command, *options], **environment))
        return started[-1]

    yield begin
    for demo in started:
        demo.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_stops_cleanly_and_leaves_nothing(start: Callable[[], Demo], number: signal.Signals) -> None:
    """Exit status 0, no Postgres, no service, no exchange, no socket."""
    demo = start()
    assert demo.postgres() != []
    demo.program.send_signal(number)
    assert demo.ended() == (0, "stopping\nstopping the embedded Postgres\n")
    assert not [one for one in demo.family if one.is_running()]
    assert demo.postgres() == []
    assert not Path(demo.socket_folder()).exists()


def test_demo_prints_commands_that_work(start: Callable[[], Demo]) -> None:
    """As they stand, with the JWT that is printed above them."""
    program("curl")
    demo = start()
    page, change, metrics = demo.commands()[-3:]
    assert '"orders":' in shell(page, demo.jwt)
    assert shell(change, demo.jwt).startswith("UPDATE ")
    assert shell(metrics, demo.jwt).startswith("# HELP ")
    # Its orders go on, and whoever writes to a pipe that nobody reads ends.
    assert "event: live" in shell(f"{demo.command('/stream')} -s --max-time 50 | grep -m 1 live", demo.jwt)
    poll = demo.command("ETAG=$(") + "\n" + demo.command("If-None-Match")
    assert shell(poll, demo.jwt).startswith("HTTP/1.1 200 OK")


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


async def test_demo_replays_a_log_as_orders_of_a_user_who_can_sign_in(
    start: Callable[..., Demo], database: str, tmp_path: Path
) -> None:
    """Instead of the exchange; the page stays when the log is over, and a second time it is seen anew."""
    log = tmp_path / "drop.fix"
    log.write_bytes(report() + b"\n" + report((17, "E2"), (150, "F"), (39, "2"), (14, 100), (32, 100)) + b"\n")
    ours = "select count(*) from orders where user_id = 'ann' and status = 'filled'"
    for times in (1, 2):
        demo = start("--replay", str(log), "--pace", "1000x", ORDERSTREAM_DATABASE_URL=database)
        await eventually(lambda times=times: execute(database, ours) == [(times,)])
        demo.interrupt()
        status, said = demo.ended()
        assert (status, said.endswith("stopping\n")) == (0, True)
    assert execute(database, "select count(*) from orders where platform <> 'fix' and user_id <> 'canary'") == [(0,)]


async def test_demo_uses_the_database_that_it_is_given(start: Callable[..., Demo], database: str) -> None:
    """It starts no Postgres, trades there, and leaves it running."""
    demo = start(ORDERSTREAM_DATABASE_URL=database)
    await eventually(lambda: execute(database, "select 1 from orders"))
    assert demo.commands()[-2].startswith("psql ")
    demo.interrupt()
    assert demo.ended() == (0, "stopping\n")
    assert "embedded Postgres" not in demo.said
    assert execute(database, "select count(*) > 0 from orderstream.events") == [(True,)]
