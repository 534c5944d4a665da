"""One suite of cases for both clients: what the Python one makes of it. `tests/client_js` asks the JavaScript one."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orderstream.client.limits import Limits
from orderstream.core.reasons import REASONS
from tests.client import cases

SUITES = {
    "machine": cases.run_machine,
    "book": cases.run_book,
    "stream": cases.run_stream,
    "poll": cases.run_poll,
    "sse": cases.run_sse,
    "live": cases.run_live,
    "acks": cases.run_acks,
    "why": cases.run_why,
    "checks": cases.run_checks,
}


@pytest.mark.parametrize(
    ("suite", "case"), [pytest.param(suite, case, id=case["name"]) for suite in SUITES for case in cases.cases(suite)]
)
def test_both_clients_do_the_same_in_this_case(suite: str, case: dict[str, Any]) -> None:
    """The case's name says what."""
    assert SUITES[suite](case) == case["expected"]


def test_both_clients_know_the_same_reasons() -> None:
    """Code for code and word for word; and the docs show them."""
    root = Path(__file__).parents[2]
    module = (root / "orderstream/web/static/orderstream/reasons.js").read_text(encoding="utf-8")
    assert dict(re.findall(r'^    (\w+): "(.*)",$', module, re.MULTILINE)) == {
        code: reason.text for code, reason in REASONS.items()
    }
    docs = (root / "docs/orders.md").read_text(encoding="utf-8")
    rows = [f"| `{code}` | {one.text} | {', '.join(one.fix)} |" for code, one in REASONS.items()]
    assert [row for row in rows if row not in docs] == []


def test_both_clients_have_the_same_defaults() -> None:
    """But for what only one of them has."""
    shared = json.loads((cases.FOLDER / "limits.json").read_text(encoding="utf-8"))
    ours = msgspec.structs.asdict(Limits())
    assert {name: ours[name] for name in shared} == shared
