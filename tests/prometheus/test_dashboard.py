"""The dashboard: what Grafana needs to show it, in the order of the questions, of metrics that there are."""

import json
import re
from itertools import combinations
from typing import Any

import pytest
import yaml

from tests.prometheus.watching import (
    CONFIG,
    DASHBOARD,
    ROOT,
    Query,
    expressions,
    metrics_of,
    panel_queries,
    panels,
    recordings,
)

QUESTIONS = ["Are users served?", "How fast?", "Where does the time go?", "Is Postgres all right?", "Who is slow?"]

# prometheus-client's own, of the process.
PROCESS = {"process_open_fds", "process_max_fds", "process_cpu_seconds_total", "process_resident_memory_bytes"}


def provisioned(path: str, key: str) -> dict[str, Any]:
    """The one thing of a kind that Grafana is told to make of itself."""
    [only] = yaml.safe_load((CONFIG / "grafana" / "provisioning" / path).read_text())[key]
    return dict(only)


def inside(panel: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two panels cover each other."""
    one, two = panel["gridPos"], other["gridPos"]
    return (
        one["x"] < two["x"] + two["w"]
        and two["x"] < one["x"] + one["w"]
        and one["y"] < two["y"] + two["h"]
        and two["y"] < one["y"] + one["h"]
    )


def test_dashboard_answers_the_questions_from_top_to_bottom() -> None:
    """A row for each, and panels below every one."""
    kinds = [panel["type"] for panel in panels()]
    assert [panel["title"] for panel in panels() if panel["type"] == "row"] == QUESTIONS
    assert ("row", "row") not in set(zip(kinds, [*kinds[1:], "row"], strict=True))
    places = [(panel["gridPos"]["y"], panel["gridPos"]["x"]) for panel in panels()]
    assert places == sorted(places)


def test_panels_lie_side_by_side() -> None:
    """On the 24 columns of Grafana, none over another, each with a number of its own."""
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels())
    assert [pair for pair in combinations(panels(), 2) if inside(*pair)] == []
    assert len({panel["id"] for panel in panels()}) == len(panels())


@pytest.mark.parametrize("panel", [p for p in panels() if p["type"] != "row"], ids=lambda panel: panel["title"])
def test_panel_can_be_shown(panel: dict[str, Any]) -> None:
    """It says what to do when it moves, has a unit, and asks the data source that is provisioned."""
    source = provisioned("datasources/prometheus.yml", "datasources")
    assert panel["type"] in {"stat", "timeseries"}
    assert panel["description"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == {"type": source["type"], "uid": source["uid"]}
    references = [target["refId"] for target in panel["targets"]]
    assert len(set(references)) == len(references) > 0


def test_dashboard_is_provisioned() -> None:
    """Grafana finds it in the folder that is mounted, under an address that stays."""
    provider = provisioned("dashboards/orderstream.yml", "providers")
    dashboard = json.loads(DASHBOARD.read_text())
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
    assert dashboard["uid"] == "orderstream"
    assert dashboard["schemaVersion"] >= 39
    assert dashboard["id"] is None


@pytest.mark.parametrize("query", [*expressions(), *panel_queries()], ids=lambda query: query.of)
def test_every_metric_that_is_asked_for_exists(query: Query) -> None:
    """docs/metrics.md has it, or a rule records it."""
    documented = re.findall(r"^\| `(orderstream_\w+)` \|", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE)
    known = {*documented, *PROCESS, *(recorded.of for recorded in recordings())}
    assert metrics_of(query.expr) <= known
