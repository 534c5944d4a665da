"""The 48 matrices of the standard, main paths and branches, through a FIX log, the tables and the triggers."""

from pathlib import Path

import pytest

from tests.ingest import matrices
from tests.ingest.tables import ingested, told
from tests.postgres.feed import run
from tests.shared_files import shared_file


@pytest.mark.parametrize("version", ["FIX.4.2", "FIX.4.4", "FIXT.1.1"])
def test_clients_see_what_the_standard_prints(database: str, tmp_path: Path, version: str) -> None:
    """Each row once, in its order, with its status and quantities; only what is about no order is set aside."""
    cases = list(matrices.cases(shared_file("fix_scenarios.json")))
    log = tmp_path / "matrices.fix"
    log.write_bytes(matrices.log(cases, version))
    assert ingested(database, log).count("set aside") == 2
    assert len(cases) > 48
    for case in cases:
        rows = matrices.printed(case)
        seen = told(database, case.name)
        cut = [
            [{key: one[key] for key in row} for one, row in zip(order, wanted, strict=False)]
            for order, wanted in zip(seen, rows, strict=False)
        ]
        assert (case.name, cut, [*map(len, seen)]) == (case.name, rows, [*map(len, rows)])


def test_executions_are_the_trades_busts_and_corrections(database: str, tmp_path: Path) -> None:
    """Of J.1.a, with what each refers to; another row's ExecID would be another's id."""
    (case,) = [case for case in matrices.cases(shared_file("fix_scenarios.json")) if case.name == "J.1.a"]
    log = tmp_path / "j1a.fix"
    log.write_bytes(matrices.log([case], "FIX.4.4"))
    ingested(database, log)
    rows = run(
        database,
        "select e.kind, e.quantity, e.price, r.quantity, r.price from public.executions e "
        "left join public.executions r on r.id = e.refers_to order by e.executed_at",
    )
    assert rows == [
        ("trade", 1000, 100, None, None),
        ("trade", 9000, 110, None, None),
        ("bust", 0, 0, 1000, 100),
        ("correction", 9000, 100, 9000, 110),
        ("trade", 1000, 120, None, None),
        ("correction", 9000, 120, 9000, 100),
        ("correction", 9500, 120, 9000, 120),
    ]
