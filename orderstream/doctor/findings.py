"""What a check says: a finding each for what is well, doubtful or wrong, and together the exit status."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """`warning`: it works, and costs something or will not last. `wrong`: somebody does not get what is promised."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


class Finding(msgspec.Struct, frozen=True):
    """One line: `what` is the fact, `to_do` the way out, empty where all is well."""

    check: str
    verdict: Verdict
    what: str
    to_do: str = ""


def ok(check: str, what: str) -> Finding:
    return Finding(check, Verdict.OK, what)


def warning(check: str, what: str, to_do: str) -> Finding:
    return Finding(check, Verdict.WARNING, what, to_do)


def wrong(check: str, what: str, to_do: str) -> Finding:
    return Finding(check, Verdict.WRONG, what, to_do)


class Report(msgspec.Struct, frozen=True):
    """All findings, and the names of the checks that could not be made."""

    verdict: Verdict
    findings: Sequence[Finding]
    not_checked: Sequence[str]

    @property
    def status(self) -> int:
        """Of the command: 2 where the settings are wrong, 1 where something else is, 0 where all is well or works."""
        checks = {finding.check for finding in self.findings if finding.verdict is Verdict.WRONG}
        return 2 if SETTINGS in checks else 1 if checks else 0


SETTINGS = "settings"


def report(findings: Sequence[Finding], not_checked: Sequence[str]) -> Report:
    """With the worst of the verdicts as that of all."""
    worst = max((finding.verdict for finding in findings), key=list(Verdict).index, default=Verdict.OK)
    return Report(worst, findings, not_checked)
