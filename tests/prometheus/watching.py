"""What config/ tells Prometheus and Grafana: the rules, the dashboard, and the metrics that both ask for."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
RULES = CONFIG / "rules.yml"
DASHBOARD = CONFIG / "grafana" / "dashboards" / "orderstream.json"


class Query(NamedTuple):
    """An expression, and who asks it."""

    of: str
    expr: str


def prometheus_settings() -> dict[str, Any]:
    """config/prometheus.yml."""
    return dict(yaml.safe_load((CONFIG / "prometheus.yml").read_text()))


def rule_groups() -> list[dict[str, Any]]:
    """The groups of config/rules.yml."""
    return list(yaml.safe_load(RULES.read_text())["groups"])


def alerts() -> dict[str, dict[str, Any]]:
    """Name -> the alert's rule."""
    return {rule["alert"]: rule for group in rule_groups() for rule in group["rules"] if "alert" in rule}


def recordings() -> list[Query]:
    """What is recorded, each asked for by its own name."""
    return [
        Query(rule["record"], rule["record"]) for group in rule_groups() for rule in group["rules"] if "record" in rule
    ]


def expressions() -> list[Query]:
    """Of every rule."""
    return [
        Query(rule.get("alert") or rule["record"], rule["expr"]) for group in rule_groups() for rule in group["rules"]
    ]


def panels() -> list[dict[str, Any]]:
    """Of the dashboard, top to bottom, the headings of its rows among them."""
    return list(json.loads(DASHBOARD.read_text())["panels"])


def panel_queries() -> list[Query]:
    """What the dashboard asks, all processes chosen and a short interval."""
    return [
        Query(f"{panel['title']} {target['refId']}", _chosen(target["expr"]))
        for panel in panels()
        for target in panel.get("targets", ())
    ]


def metrics_of(expr: str) -> set[str]:
    """Names as docs/metrics.md has them, and those of recorded series."""
    names = re.findall(r"\b(?:orderstream|process)[_:][\w:]+", expr)
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}


def selectors(expr: str) -> Iterator[str]:
    """The series that an expression is made of, without their ranges."""
    yield from re.findall(r"\b(?:(?:orderstream|process)_\w+|up)\b(?:\{[^}]*\})?", expr)


def _chosen(expr: str) -> str:
    return expr.replace("$instance", ".*").replace("$__rate_interval", "10s")
