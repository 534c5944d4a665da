"""What the alerts make of what two services said, by promtool: two minutes as it went before the break, then as it
went in it, each number going on as it was seen to go. So `for` takes no time of a test's."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from tests.breaks.looks import Look, Series
from tests.clients.programs import program
from tests.prometheus.watching import RULES, expressions, metrics_of

_INTERVAL_S = 5
_WELL_STEPS, _BROKEN_STEPS = 24, 60

# Numbers that only rise, and those that grow old; all others stay as they were seen last.
_RISES = ("_total", "_count", "_sum", "_bucket")
_AGES = "_seconds"

_ALERT = re.compile(r'alertname="(\w+)"')
_NONE = {"labels": '{alertname="None"}', "value": 1}

# What each service said at a time.
Scrape = Sequence[Look]


def fired(folder: Path, well: tuple[Scrape, Scrape], broken: tuple[Scrape, Scrape]) -> set[str]:
    """The alerts that fire at any time after the break. Of each state two scrapes, some time apart."""
    series = [
        {"series": _named(name, labels, instance), "values": values}
        for instance, looks in enumerate(zip(*well, *broken, strict=True))
        for (name, labels), values in _courses(*looks).items()
    ]
    # A rate that rose for a moment falls again: at any time of it.
    asked = 'group by (alertname) (count_over_time(ALERTS{alertstate="firing"}[5m:5s]))'
    case = {"expr": asked, "eval_time": f"{(_WELL_STEPS + _BROKEN_STEPS) * _INTERVAL_S}s", "exp_samples": [_NONE]}
    test = {
        "rule_files": [str(RULES)],
        "evaluation_interval": f"{_INTERVAL_S}s",
        "tests": [{"interval": f"{_INTERVAL_S}s", "input_series": series, "promql_expr_test": [case]}],
    }
    file = folder / "said.yml"
    file.write_text(yaml.safe_dump(test))
    told = subprocess.run([program("promtool"), "test", "rules", file], capture_output=True, text=True)
    # It says what it got where that is not what was expected.
    _, got, names = (told.stdout + told.stderr).partition("got:")
    assert got, told
    return set(_ALERT.findall(names))


def _courses(well: Look, then: Look, broken: Look, later: Look) -> Mapping[Series, str]:
    """Of the series that rules are made of, and `up`."""
    wanted = set().union(*[metrics_of(query.expr) for query in expressions()])
    answers = float(bool(later.samples))
    found: dict[Series, str] = {("up", ()): f"1x{_WELL_STEPS - 1} {answers:f}x{_BROKEN_STEPS}"}
    for key in {*then.samples, *later.samples}:
        if metrics_of(key[0]) & wanted:
            before, after = _pace(key, well, then), _pace(key, broken, later)
            began, went_on = then.samples.get(key), later.samples.get(key)
            if key[0].endswith(_RISES) and began is not None and went_on is not None:
                # It went on meanwhile.
                went_on += before * (_WELL_STEPS - 1)
            else:
                before = 0.0
            found[key] = f"{_course(began, before, _WELL_STEPS - 1)} {_course(went_on, after, _BROKEN_STEPS)}"
    return found


def _pace(key: Series, first: Look, second: Look) -> float:
    """What it rose by in a step."""
    one, other = first.samples.get(key), second.samples.get(key)
    if one is None or other is None or not key[0].endswith((*_RISES, _AGES)):
        return 0.0
    return max(0.0, (other - one) / (second.at_s - first.at_s) * _INTERVAL_S)


def _course(value: float | None, pace: float, steps: int) -> str:
    return f"stale _x{steps - 1}" if value is None else f"{value:f}{pace:+f}x{steps}"


def _named(name: str, labels: Sequence[tuple[str, str]], instance: int) -> str:
    said = [*labels, ("job", "orderstream"), ("instance", f"service-{instance}")]
    return f"{name}{{{', '.join(f'{key}={chr(34)}{value}{chr(34)}' for key, value in said)}}}"
