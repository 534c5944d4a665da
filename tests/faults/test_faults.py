"""The fault runner: a fixed set of faults, chosen for what they found; and that it would see what goes wrong."""

import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import psycopg2
import pytest

from tests.faults import report
from tests.faults.history import Violation
from tests.faults.run import CATALOGUE, Outcome, act, server
from tests.faults.stage import Stage
from tests.postgres.servers import TestServer
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]

# Together they meet every part: election, numbering, following, replay, reset, each network and each transport.
FIXED = [
    (["database-cut"], 7),
    (["leader-stopped", "clients-lossy"], 11),
    (["postgres-crashed", "proxy-restarted"], 12),
    (["retention-overtakes", "rows-malformed"], 13),
]


@pytest.fixture(scope="module")
def own_server() -> Iterator[TestServer]:
    """To kill and to stop."""
    with server() as started:
        yield started


@pytest.mark.system
@pytest.mark.parametrize(("names", "seed"), FIXED, ids=lambda names: "+".join(names) if isinstance(names, list) else "")
async def test_nothing_is_lost_under_faults(names: list[str], seed: int, own_server: TestServer) -> None:
    """Nothing lost, twice, out of order or of another user; no reset that nothing explains, and no error in any log."""
    # A busy machine is late by its own: `python -m tests.faults` allows each what it says.
    faults = [CATALOGUE[name]._replace(live_s=PATIENCE_S) for name in names]
    outcome = await act(faults, seed, own_server)
    assert outcome.violations == []
    assert outcome.complaints == []
    assert outcome.received > outcome.clients


# A change that is in no outbox; one that is there twice, and in another user's too.
SABOTAGE = """
insert into audit (user_id, event, subject_id, version) values ('ann', 'order', 'never-told', 1);
insert into orderstream.outbox_rows (xid, user_id, event, body, written_at)
select pg_current_xact_id(), user_id, 'execution',
       '{"execution":{"id":"twice"},"written_at":"2026-01-01T00:00:00Z"}', now()
from unnest(array['ann', 'ann', 'ben']) as of (user_id);
insert into audit (user_id, event, subject_id) values ('ann', 'execution', 'twice');
"""


@asynccontextmanager
async def sabotage(stage: Stage) -> AsyncIterator[None]:
    """By hand, in the middle of a run."""
    with closing(psycopg2.connect(stage.database)) as session, session.cursor() as cursor:
        cursor.execute(SABOTAGE)
        session.commit()
    yield


@pytest.mark.system
async def test_what_goes_wrong_in_the_product_is_called_out(own_server: TestServer) -> None:
    """A change that was never told, one that was told twice, and one told to the wrong user."""
    fault = CATALOGUE["column-added"]._replace(name="sabotage", during=sabotage, lasts_s=(0, 0))
    outcome = await act([fault], 1, own_server)
    assert {"lost", "duplicated", "foreign"} <= {violation.kind for violation in outcome.violations}
    assert not outcome.good


def test_matrix_in_the_documentation_is_of_the_faults_there_are() -> None:
    """Each has its row, under its name."""
    document = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `([a-z-]+)` \|", document, re.MULTILINE)) == sorted(CATALOGUE)


def test_matrix_has_a_row_for_each_fault_and_one_for_all_pairs() -> None:
    """With what was not run, and the sum of the rest."""
    one = Outcome("vacuum-full", 1, 1000, 5000, 20, 30, 0, [Violation("lost", "")], ["an error"], 0.5, 60.0)
    pair = one._replace(faults="vacuum-full + read-only", live_s=2.0)
    rows = dict(re.findall(r"^\| ([^|]+?) \|.*?((?: [^|]+\|){8})$", report.matrix([one, pair, pair], 3, "pg18"), re.M))
    assert rows["`vacuum-full`"] == " 1,000 | 5,000 | 30 | 1 | 0 | 0 | 1 | 0.5 s |"
    assert rows["2 pairs of them"] == " 2,000 | 10,000 | 60 | 2 | 0 | 0 | 2 | 2.0 s at most |"
    assert {f"`{name}`" for name in CATALOGUE} < set(rows)
    assert rows["`read-only`"] == " - |" * 8


def test_unknown_fault_is_refused_in_one_line() -> None:
    """With what helps."""
    command = [sys.executable, "-m", "tests.faults", "--fault", "flood"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (2, "no such fault: flood; --list shows them all\n")
