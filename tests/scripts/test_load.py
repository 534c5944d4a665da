"""`scripts/load` against a real service: what it reports, and when it says that something is wrong."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest

from scripts.loading import verdict
from tests.ports import free_port
from tests.scripts.relay import Relay
from tests.services import SECRET, ServiceProcess, running_service

ROOT = Path(__file__).parents[2]
QUICK = ("--ramp-up", "0.5", "--duration", "1.5", "--writes-per-s", "60")


async def load(*arguments: str) -> tuple[int, str, str]:
    """Its exit status, and what it printed and said."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "scripts.loading", *arguments),
        env=os.environ | {"ORDERSTREAM_JWT_SECRET": SECRET},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    printed, said = await child.communicate()
    return child.returncode or 0, printed.decode(), said.decode()


def column(printed: str, transport: str, name: str) -> str:
    """A cell of the table."""
    heads, *rows = [line.replace(" ms", "").split() for line in printed.splitlines()[:3]]
    return {row[0]: dict(zip(heads, row[1:], strict=True)) for row in rows if row}[transport][name]


@pytest.mark.system
async def test_all_that_was_written_arrives(database: str, tmp_path: Path) -> None:
    """Over both transports; the table, the picture and the limits say so, and nothing is left in the tables."""
    picture = tmp_path / "ages.svg"
    async with running_service(database) as service:
        status, printed, _ = await load(
            *("--url", service.url, "--streams", "50", "--polls", "10", "--users", "10", "--dsn", database, *QUICK),
            *("--limit", "p99=10s", "--limit", "errors=0", "--plot", str(picture)),
        )
    assert status == 0, printed
    # Five streams of each user, who may also have seen that their order was deleted at the end.
    written = int(printed.partition("written: ")[2].split()[0])
    assert 0 < 5 * written <= int(column(printed, "sse", "events")) <= 5 * (written + 10)
    assert (column(printed, "sse", "lost"), column(printed, "poll", "lost")) == ("0", "0")
    assert picture.read_text().startswith("<svg ")
    assert orders_in(database) == 0


@pytest.mark.system
async def test_demo_needs_nothing_but_its_url(database: str, tmp_path: Path) -> None:
    """Its users are signed in, and orders are placed at its desk as its page does it."""
    demo = ServiceProcess(database)
    demo.program = ("-m", "orderstream.demo.serve", str(tmp_path / "prices.json"))
    async with demo:
        await demo.ready()
        status, printed, _ = await load("--url", demo.url, "--demo", "--streams", "10", "--users", "2", *QUICK)
    assert status == 0, printed
    written = int(printed.partition("written: ")[2].split()[0])
    assert int(column(printed, "sse", "events")) == 5 * written > 0


@pytest.mark.system
@pytest.mark.parametrize("and_after", [False, True], ids=["in-between", "the-last"])
async def test_loss_on_the_way_is_found(database: str, and_after: bool) -> None:
    """A hole, and just as well the end of a stream that nothing follows: status 1, and a line that says how many."""
    async with running_service(database) as service, Relay(service.port, 3, and_after=and_after) as relay:
        status, printed, _ = await load(
            *("--url", relay.url, "--streams", "20", "--users", "2", "--dsn", database, *QUICK)
        )
    assert status == 1
    assert int(column(printed, "sse", "lost")) >= 20
    assert "events lost" in printed.partition("WRONG: ")[2]


@pytest.mark.system
async def test_limit_that_was_missed_is_status_1(database: str) -> None:
    """With what it was."""
    async with running_service(database) as service:
        status, printed, _ = await load(
            *("--url", service.url, "--streams", "5", "--dsn", database, *QUICK, "--limit", "sse.p50=0.01ms")
        )
    assert status == 1
    assert "WRONG: limit sse.p50=0.01ms: it was " in printed


@pytest.mark.system
async def test_nobody_home_is_status_1() -> None:
    """A table of what failed rather than a row of zeros that passes."""
    url = f"http://127.0.0.1:{free_port()}"
    status, printed, _ = await load("--url", url, "--streams", "2", "--ramp-up", "0", "--duration", "0.5")
    assert status == 1
    assert "WRONG: nobody got in by sse" in printed


@pytest.mark.parametrize(
    "arguments",
    [
        ["--streams", "many"],
        ["--streams", "0"],
        ["--limit", "p99=50"],
        ["--limit", "errors=5ms"],
        ["--url", "ftp://127.0.0.1"],
        ["--demo", "--url", "http://127.0.0.1:1"],
        ["--tokens", "/nonexistent"],
        ["--demo", "--dsn", "postgresql://127.0.0.1:1/x"],
        ["--dsn", "postgresql://127.0.0.1:1/x"],
        ["--writes-per-s", "0"],
    ],
    ids=" ".join,
)
async def test_bad_arguments_are_a_line_and_status_2(arguments: list[str]) -> None:
    """No traceback, and no half run."""
    status, printed, said = await load(*arguments)
    assert (status, printed) == (2, "")
    assert said.startswith("scripts/load: ")
    assert said.count("\n") == 1


def test_limit_holds_for_each_transport_unless_it_names_one() -> None:
    """And in the unit that it is given in."""
    assert verdict.parse("p99.9=50ms") == verdict.Limit(None, "p99.9", 0.05, "p99.9=50ms")
    assert verdict.parse("poll.max=2s") == verdict.Limit("poll", "max", 2.0, "poll.max=2s")


def orders_in(database: str) -> int:
    with psycopg2.connect(database) as session, session.cursor() as cursor:
        cursor.execute("select count(*) from public.orders")
        ((count,),) = cursor.fetchall()
        return int(count)
