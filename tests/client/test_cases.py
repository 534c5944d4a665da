"""One suite of cases for both clients: what the Python one makes of it. `tests/client_js` asks the JavaScript one."""

import json
from typing import Any

import msgspec
import pytest

from orderstream.client.limits import Limits
from tests.client import cases

SUITES = {
    "machine": cases.run_machine,
    "book": cases.run_book,
    "stream": cases.run_stream,
    "poll": cases.run_poll,
    "sse": cases.run_sse,
    "live": cases.run_live,
    "acks": cases.run_acks,
}


@pytest.mark.parametrize(
    ("suite", "case"), [pytest.param(suite, case, id=case["name"]) for suite in SUITES for case in cases.cases(suite)]
)
def test_both_clients_do_the_same_in_this_case(suite: str, case: dict[str, Any]) -> None:
    """The case's name says what."""
    assert SUITES[suite](case) == case["expected"]


def test_both_clients_have_the_same_defaults() -> None:
    """But for what only one of them has."""
    shared = json.loads((cases.FOLDER / "limits.json").read_text(encoding="utf-8"))
    ours = msgspec.structs.asdict(Limits())
    assert {name: ours[name] for name in shared} == shared
