"""What doctor finds, for tests: everything that is not well, by its check."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from orderstream.doctor.database import check_database
from orderstream.doctor.findings import Finding, Verdict
from orderstream.settings import Settings
from tests.postgres.feed import sequencing
from tests.services import PATIENCE_S
from tests.waiting import eventually

WARNING, WRONG = Verdict.WARNING, Verdict.WRONG


def amiss(findings: Sequence[Finding]) -> dict[tuple[str, Verdict], str]:
    """(check, verdict) -> what, of all that is not ok; lines of one check are put together."""
    said: dict[tuple[str, Verdict], str] = {}
    for finding in findings:
        if finding.verdict is not Verdict.OK:
            assert finding.to_do
            key = (finding.check, finding.verdict)
            said[key] = f"{said[key]}\n{finding.what}" if key in said else finding.what
    return said


async def look(dsn: str, **settings: Any) -> dict[tuple[str, Verdict], str]:
    """At a database; a leader is not waited for."""
    chosen = {"database_url": dsn, "election_s": 0.05, "startup_timeout_s": PATIENCE_S} | settings
    findings, _ = await check_database(Settings(**chosen))
    return amiss(findings)


@asynccontextmanager
async def led(dsn: str) -> AsyncIterator[None]:
    """A leader meanwhile, lying down as long as nothing is written."""
    async with sequencing(dsn) as numbered:
        await eventually(lambda: numbered.meter.counts["slept"])
        yield
