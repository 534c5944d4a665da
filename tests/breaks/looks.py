"""What ready, the canary and doctor say: the first two on a service's admin port, which alerts go by too."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from orderstream.canary import TRANSPORTS
from orderstream.doctor import examine
from orderstream.doctor.findings import Finding, Verdict
from orderstream.settings import Settings
from tests.services import ServiceProcess

# A service that is stopped never answers; one on a busy machine may take its time.
_TIMEOUT = aiohttp.ClientTimeout(total=4.0)

# (name, labels) of a sample.
Series = tuple[str, tuple[tuple[str, str], ...]]


class Look(NamedTuple):
    """At one service. `reasons`: check -> reason of what is not well; `samples` are none where it does not answer."""

    at_s: float
    reasons: Mapping[str, str]
    samples: Mapping[Series, float]

    @property
    def ready(self) -> bool:
        return not self.reasons

    @property
    def leading(self) -> bool:
        return self.value("sequencer_leading") == 1

    def value(self, name: str, **labels: str) -> float:
        return self.samples.get((f"orderstream_{name}", tuple(sorted(labels.items()))), 0.0)

    def late_since(self, before: "Look") -> bool:
        """Whether the canary counted a change that did not arrive."""
        name = "canary_late_total"
        return any(self.value(name, transport=each) > before.value(name, transport=each) for each in TRANSPORTS)

    def refused_since(self, before: "Look") -> bool:
        """Whether the canary could not write."""
        errors = "database_errors_total"
        return self.value(errors, part="canary") > before.value(errors, part="canary")

    def heard_since(self, before: "Look") -> bool:
        """Over every transport."""
        name = "canary_seconds_count"
        return all(self.value(name, transport=each) > before.value(name, transport=each) for each in TRANSPORTS)


async def look(session: aiohttp.ClientSession, service: ServiceProcess) -> Look:
    """Asks as a load balancer and Prometheus do."""
    ready, metrics = await asyncio.gather(reasons(session, service), _samples(session, service))
    return Look(time.monotonic(), ready, metrics)


async def reasons(session: aiohttp.ClientSession, service: ServiceProcess) -> dict[str, str]:
    """check -> reason of what is not well; one without a name where it does not answer."""
    try:
        async with session.get(f"{service.admin_url}/health/ready", timeout=_TIMEOUT) as answer:
            checks: dict[str, str] = (await answer.json())["checks"]
    except (aiohttp.ClientError, TimeoutError):
        return {"": "no answer"}
    return {check: reason for check, reason in checks.items() if reason != "ok"}


async def _samples(session: aiohttp.ClientSession, service: ServiceProcess) -> dict[Series, float]:
    try:
        async with session.get(f"{service.admin_url}/metrics", timeout=_TIMEOUT) as answer:
            text = await answer.text()
    except (aiohttp.ClientError, TimeoutError):
        return {}
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def doctor(service: ServiceProcess, **settings: Any) -> list[Finding]:
    """All that is not well, found on the service's host with its settings, and these over them."""
    chosen: dict[str, Any] = service.chosen | settings
    made = await examine(Settings(**chosen), [], None)
    return [finding for finding in made.findings if finding.verdict is not Verdict.OK]
