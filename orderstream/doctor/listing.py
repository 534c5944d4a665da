"""The report on paper: a line for each finding, folded and coloured on a terminal only; or JSON."""

import textwrap
from collections import Counter

import msgspec
from rich.console import Console
from rich.text import Text

from orderstream.doctor.findings import Finding, Report, Verdict

_COLOURS = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.WRONG: "bold red"}
_VERDICT_WIDTH = max(map(len, Verdict)) + 2
# Narrower than this, a column of text is harder to read than a line that the terminal breaks.
_LEAST_WIDTH = 40


def show(report: Report, console: Console) -> None:
    """Whole lines where the reader is a program, so that `grep wrong` finds all of one."""
    check_width = max((len(finding.check) for finding in report.findings), default=0) + 2
    for finding in report.findings:
        _show(finding, check_width, console)
    console.print(_summary(report), soft_wrap=True, highlight=False)


def as_json(report: Report) -> str:
    """One object: `verdict`, `findings`, `not_checked`."""
    return msgspec.json.format(msgspec.json.encode(report)).decode()


def _show(finding: Finding, check_width: int, console: Console) -> None:
    indent = _VERDICT_WIDTH + check_width
    said = _folded(finding.what, indent, console)
    line = Text.assemble(
        (f"{finding.verdict:<{_VERDICT_WIDTH}}", _COLOURS[finding.verdict]), f"{finding.check:<{check_width}}", said
    )
    console.print(line, soft_wrap=True, highlight=False)
    if finding.to_do:
        advice = " " * indent + _folded(f"-> {finding.to_do}", indent, console)
        console.print(Text(advice), soft_wrap=True, highlight=False)


def _folded(text: str, indent: int, console: Console) -> str:
    width = console.width - indent
    if not console.is_terminal or width < _LEAST_WIDTH:
        return text
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False).replace("\n", "\n" + " " * indent)


def _summary(report: Report) -> Text:
    counts = Counter(finding.verdict for finding in report.findings)
    tally = ", ".join(f"{counts[verdict]} {verdict}" for verdict in reversed(Verdict) if counts[verdict])
    left_out = f"; not checked: {', '.join(report.not_checked)}" if report.not_checked else ""
    return Text.assemble((tally, _COLOURS[report.verdict]), left_out)
