"""The ingest as a whole: stopped, killed, fed line by line, given what is broken."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orderstream.core.fix.reports import Users
from orderstream.ingest.counts import Counts
from orderstream.postgres.ingest import Interrupted, open_tables
from tests.core.fix.lines import encoded, report
from tests.ingest.tables import everything, ingested, statuses, written
from tests.postgres.feed import run, sequencing
from tests.postgres.roles import WRITER, separated
from tests.postgres.servers import TestServer
from tests.services import START_PATIENCE_S
from tests.waiting import eventually

# Where the rights are that it needs.
DOCUMENT = Path(__file__).parents[2] / "docs/ingest.md"

ROUTE = [(49, "DESK"), (56, "BROKER"), (52, "20260302-14:30:00")]


def life(number: int) -> list[bytes]:
    """A new order, its acknowledgement and its fill."""
    names = [(11, f"C{number}"), (37, f"O{number}")]
    terms = [(55, "AAPL"), (54, 1), (38, 100), (40, 2), (44, 10)]
    filled = [(17, f"E{number}.2"), (150, "F"), (39, "2"), (14, 100), (32, 100), (31, "10"), (151, 0), (6, 10)]
    return [
        encoded([(35, "D"), *ROUTE, (11, f"C{number}"), *terms]),
        report(*names, (17, f"E{number}.1")),
        report(*names, *filled),
    ]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """1,500 messages: more than a batch."""
    return written(tmp_path / "drop.fix", *[text for number in range(500) for text in life(number)])


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for one in started:
        one.kill()
        one.communicate()


def piped(database: str, processes: list[subprocess.Popen[bytes]], *options: str) -> subprocess.Popen[bytes]:
    """The command, which reads what it is sent."""
    one = subprocess.Popen(
        [sys.executable, "-m", "orderstream.cli", "ingest-fix", *options, "-"],
        env={"PATH": os.environ["PATH"], "ORDERSTREAM_DATABASE_URL": database},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    processes.append(one)
    return one


def send(one: subprocess.Popen[bytes], text: bytes) -> None:
    assert one.stdin is not None
    one.stdin.write(text)
    one.stdin.flush()


async def test_killed_in_the_middle_and_started_again_nothing_is_lost_or_doubled(
    database: str, new_database: Any, log: Path, processes: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """The tables are as those of one that ran through."""
    one = piped(database, processes, "--set-aside", str(tmp_path / "aside"))
    send(one, log.read_bytes()[:200_000])
    await eventually(lambda: run(database, "select 1 from public.orders"), within_s=START_PATIENCE_S)
    one.kill()
    one.wait()
    assert 0 < len(run(database, "select 1 from public.orders")) < 500
    assert ingested(database, log).status == 0
    whole = new_database()
    ingested(whole, log)
    ours, theirs = everything(database), everything(whole)
    assert (ours["orders"], ours["executions"], ours["keys"]) == (
        theirs["orders"],
        theirs["executions"],
        theirs["keys"],
    )
    assert sorted(ours["told"]) == sorted(theirs["told"])


async def test_stdin_is_played_as_it_comes(
    database: str, processes: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """Behind `tail -F`, say, before there is an end; which SIGTERM makes, with the closing table."""
    one = piped(database, processes, "--set-aside", str(tmp_path / "aside"))
    new, acknowledged, filled = life(1)
    send(one, new + b"\n" + acknowledged + b"\n")
    await eventually(lambda: list(statuses(database)) == ["submitted"], within_s=START_PATIENCE_S)
    send(one, filled + b"\n")
    await eventually(lambda: list(statuses(database)) == ["filled"])
    one.send_signal(signal.SIGTERM)
    said, _ = one.communicate(timeout=60)
    assert one.returncode == 128 + signal.SIGTERM
    assert b"3  messages\n" in said
    assert b"stopped by SIGTERM: start it again, and it goes on from here\n" in said


async def test_a_lost_database_is_one_line_and_what_was_written_stays(
    database: str, processes: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """It is started again when the database is back."""
    one = piped(database, processes, "--set-aside", str(tmp_path / "aside"))
    send(one, life(1)[0] + b"\n")
    await eventually(lambda: list(statuses(database)) == ["pending_new"], within_s=START_PATIENCE_S)
    run(database, "select pg_terminate_backend(pid) from pg_stat_activity where application_name ~ 'ingest-fix'")
    _, said = one.communicate(life(1)[1] + b"\n", timeout=60)
    assert (one.returncode, said.count(b"\n")) == (2, 1)
    assert said.startswith(b"orderstream: the database ")
    assert list(statuses(database)) == ["pending_new"]


def test_a_bad_line_is_set_aside_and_does_not_stop_the_rest(database: str, tmp_path: Path) -> None:
    """The file says where it was and why; put right there, it is ingested from there, and nothing is left over."""
    new, acknowledged, filled = life(1)
    bad = filled.replace(b"\x0114=100", b"\x0114=a lot")
    log = written(tmp_path / "drop.fix", new, b"connection lost", acknowledged, bad, life(2)[0])
    ended = ingested(database, log)
    assert (ended.status, ended.count("set aside")) == (1, 2)
    assert list(statuses(database)) == ["submitted", "pending_new"]
    aside = Path(f"{log}.set-aside")
    assert aside.read_bytes() == (
        b"# line 2: there is no FIX message in it\nconnection lost\n"
        b"# line 4: its field 14 is no number: 'a lot'\n" + bad + b"\n"
    )
    aside.write_bytes(aside.read_bytes().replace(b"connection lost\n", b"").replace(b"a lot", b"100"))
    assert ingested(database, aside).status == 0
    assert list(statuses(database)) == ["filled", "pending_new"]


def test_what_the_tables_refuse_is_set_aside_alone(database: str, tmp_path: Path) -> None:
    """A constraint of the platform's own does not cost the other messages of the batch."""
    run(database, "alter table public.orders add constraint no_odd_lots check (quantity % 100 = 0)")
    odd = encoded([(35, "D"), *ROUTE, (11, "C9"), (55, "AAPL"), (54, 1), (38, 99), (40, 1)])
    ended = ingested(database, written(tmp_path / "drop.fix", *life(1), odd, *life(2)))
    assert (ended.count("set aside"), ended.count("orders begun")) == (1, 2)
    assert list(statuses(database)) == ["filled", "filled"]
    assert "no_odd_lots" in " ".join(ended.said)


def test_a_wrong_checksum_is_counted_and_with_strict_set_aside(database: str, tmp_path: Path) -> None:
    """Anonymised logs have no right ones."""
    log = written(tmp_path / "drop.fix", life(1)[0].replace(b"AAPL", b"MSFT"))
    assert ingested(database, log, is_strict=True).count("its CheckSum (10) is wrong") == 1
    assert ingested(database, log).count("wrong checksums, read all the same") == 1
    assert list(statuses(database)) == ["pending_new"]


def test_messages_are_played_at_their_pace(database: str, tmp_path: Path) -> None:
    """A tenth of a second apart at ten times the pace; the silence of a night is cut."""
    texts = [
        encoded([(35, "D"), *ROUTE[:2], (52, f"20260302-{at}"), (11, at), (55, "A"), (54, 1), (38, 1), (40, 1)])
        for at in ("14:30:00", "14:30:01", "23:59:59")
    ]
    began = time.monotonic()
    ended = ingested(database, written(tmp_path / "drop.fix", *texts), pace=10.0, silence_most_s=0.2)
    assert ended.count("orders begun") == 3
    assert 0.3 <= time.monotonic() - began < 60


def test_a_pace_is_waited_for_no_longer_than_until_it_is_stopped(database: str, tmp_path: Path) -> None:
    """What was read until then is written."""
    texts = [
        encoded([(35, "D"), *ROUTE[:2], (52, f"20260302-{at}"), (11, at), (55, "A"), (54, 1), (38, 1), (40, 1)])
        for at in ("14:30:00", "15:30:00")
    ]
    log = written(tmp_path / "drop.fix", *texts)

    def stop_once_it_waits() -> None:
        while not run(database, "select 1 from public.orders"):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=stop_once_it_waits, daemon=True).start()
    ended = ingested(database, log, pace=1.0)
    assert (ended.status, len(list(statuses(database)))) == (128 + signal.SIGINT, 1)


def test_users_are_those_of_the_accounts_or_one_for_all(database: str, tmp_path: Path) -> None:
    """And two sources may use the same names."""
    text = encoded([(35, "D"), *ROUTE, (1, "acct"), (11, "C1"), (55, "A"), (54, 1), (38, 1), (40, 1)])
    log = written(tmp_path / "drop.fix", text)
    ingested(database, log)
    ingested(database, log, users=Users(fixed="ann"), source="again")
    assert run(database, "select user_id from public.orders order by 1") == [("acct",), ("ann",)]


def test_only_one_ingests_at_a_time(database: str) -> None:
    """Two would not see what the other has begun."""
    with (
        open_tables(database, timeout_s=30),
        pytest.raises(Interrupted, match=r"another ingest-fix is at work on .*: wait for its end"),
        open_tables(database, timeout_s=3),
    ):
        pass


def test_every_report_is_an_event_of_its_own(database: str, log: Path) -> None:
    """Also in batches, and with its execution before the change that it made."""
    ingested(database, log)
    rows = run(database, "select event, count(*) from orderstream.outbox group by 1 order by 1")
    assert rows == [("execution", 500), ("order", 1_500)]
    first = run(
        database,
        "select array_agg(event order by id) from orderstream.outbox "
        "where order_id = (select order_id from orderstream.outbox order by id limit 1)",
    )
    assert first == [(["order", "order", "execution", "order"],)]


def test_progress_is_said_while_it_goes_on() -> None:
    """How many, how fast, how far, and what is set aside."""
    counts = Counts()
    counts.messages, counts.orders = 120_000, 30_000
    counts.set_aside("why")
    line = counts.line(20.0, 0.34)
    assert line == "120,000 messages · 6,000/s · 34% · 30,000 orders · 1 set aside"


def test_reasons_are_bounded() -> None:
    """Those quote values, and a bad log has as many as lines."""
    counts = Counts()
    for number in range(100):
        counts.set_aside(f"{number} is no number")
    assert (len(counts.aside), counts.total_aside) == (21, 100)


async def test_the_table_says_what_the_checker_said(
    database: str, processes: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """Once the last change has its number; each report was a transaction of its own, so none hides another."""
    busted = report((11, "C1"), (37, "O1"), (17, "E1.9"), (150, "F"), (39, "1"), (14, 60), (32, 20), (31, 10), (6, 10))
    log = written(tmp_path / "drop.fix", *life(1), busted, *life(2))
    async with sequencing(database) as number:
        await eventually(lambda: number.leading)
        one = piped(database, processes, "--set-aside", str(tmp_path / "aside"))
        said, _ = await asyncio.to_thread(one.communicate, log.read_bytes())
    assert b"1  events that the checker finds odd\n" in said
    assert b"1    suspicious: fall\n" in said


def test_the_table_has_no_verdicts_where_nobody_numbers(database: str, tmp_path: Path) -> None:
    """Rather than none found."""
    assert "odd" not in " ".join(ingested(database, written(tmp_path / "drop.fix", *life(1))).said)


def test_the_role_needs_no_more_rights_than_the_docs_say(
    postgres: TestServer, new_database: Any, tmp_path: Path
) -> None:
    """Those of an order service, and to make and to read what docs/ingest.md names."""
    roles = separated(postgres, new_database(migrated=False))
    [(name,)] = run(roles.admin, "select current_database()")
    run(roles.admin, f"grant create on database {name} to {WRITER}")
    documented = re.search("```sql\n(grant usage .*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert documented is not None
    run(roles.owner, documented[1].replace("fix_ingest", WRITER))
    assert ingested(roles.writer, written(tmp_path / "drop.fix", *life(1))).status == 0


def test_a_right_that_is_lacking_is_one_line(postgres: TestServer, new_database: Any, tmp_path: Path) -> None:
    """What, where."""
    roles = separated(postgres, new_database(migrated=False))
    with pytest.raises(Interrupted, match=r"the database .* failed: permission denied for"):
        ingested(roles.writer, written(tmp_path / "drop.fix", *life(1)))
