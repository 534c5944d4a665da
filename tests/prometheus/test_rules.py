"""The rules: right for promtool, each alert tried in both ways, explained to whoever is woken by it."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.clients.programs import program
from tests.prometheus.watching import CONFIG, ROOT, RULES, alerts

SERIES = sorted(Path(__file__).parent.glob("*.yml"))


def promtool(*arguments: str | Path) -> str:
    """What it says; fails where it finds fault."""
    told = subprocess.run([program("promtool"), *arguments], capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout


def test_configuration_is_right_for_prometheus() -> None:
    """With the rules that it names."""
    assert "1 rule files found" in promtool("check", "config", CONFIG / "prometheus.yml")


def test_rules_are_right_for_prometheus() -> None:
    """Their expressions, and the templates of their summaries."""
    assert "SUCCESS" in promtool("check", "rules", "--lint-fatal", RULES)


@pytest.mark.parametrize("file", SERIES, ids=lambda file: file.stem)
def test_rules_do_what_they_should(file: Path) -> None:
    """Alerts fire then, and not when all is well."""
    assert "SUCCESS" in promtool("test", "rules", file)


def test_every_alert_is_tried() -> None:
    """By one case of its name."""
    cases = [case["name"] for file in SERIES for case in yaml.safe_load(file.read_text())["tests"]]
    assert sorted(case for case in cases if case.startswith("Orderstream")) == sorted(alerts())


@pytest.mark.parametrize("name", alerts())
def test_alert_tells_what_to_do(name: str) -> None:
    """Whether somebody is woken, what is wrong, and where that is explained."""
    rule = alerts()[name]
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"]["runbook"] == f"docs/operations.md#{name.lower()}"


def test_every_alert_is_in_the_runbook() -> None:
    """A subsection each, in their order, and none for what is no alert."""
    _, _, section = (ROOT / "docs" / "operations.md").read_text().partition("\n## Alerts\n")
    section = section.partition("\n## ")[0]
    assert re.findall(r"^### (\w+)$", section, re.MULTILINE) == list(alerts())
