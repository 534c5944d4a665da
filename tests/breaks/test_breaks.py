"""Each step of the path is broken on purpose: ready, the canary, an alert and doctor each say the right thing, and who
rightly says nothing has a reason that is written down. `scripts/breaks` measures after how many seconds."""

from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.breaks.alerting import fired
from tests.breaks.breaks import DISK_MB, Break, breaks
from tests.breaks.deployment import Deployment, deployed
from tests.breaks.disks import small_disk
from tests.breaks.looks import Look, doctor
from tests.postgres.servers import TestServer, running
from tests.services import ServiceProcess
from tests.waiting import eventually

pytestmark = pytest.mark.system

# Times short enough to wait for; scripts/breaks has the defaults.
HURRIED = {
    "canary_every_s": 0.2,
    "canary_late_s": 0.5,
    "vitals_every_s": 0.5,
    "ready_late_s": 1.0,
    "safety_net_s": 0.5,
    "idle_session_timeout_s": 2.0,
    "query_timeout_s": 3.0,
    # So that what fills the outbox can be little.
    "batch_max_events": 12,
}
# Alerts that name a step: the wrong one would send whoever is woken the wrong way. The others say that it is late.
NAMING = {
    "OrderstreamGone",
    "OrderstreamProcessDown",
    "OrderstreamSequencerMissing",
    "OrderstreamFollowerDisconnected",
}
BREAKS = breaks(orders=8_000)


@pytest.fixture
async def deployment(broken: Break, postgres: TestServer) -> AsyncIterator[Deployment]:
    """With what the break needs."""
    with ExitStack() as stack:
        server = postgres
        if broken.small_disk:
            server = stack.enter_context(running(stack.enter_context(small_disk(DISK_MB)), postgres.name))
        async with deployed(server, bounced=broken.bounced, **HURRIED) as made:
            yield made


@pytest.mark.parametrize("broken", BREAKS, ids=[broken.name for broken in BREAKS])
async def test_break_is_told_by_those_who_should(broken: Break, deployment: Deployment, tmp_path: Path) -> None:
    """And all are well again once it is mended."""
    said = broken.said
    well = await deployment.well()
    leader, _ = await deployment.leader_and_other()
    async with broken.done_to(deployment):
        if said.ready is not None:
            await eventually(lambda: not_ready(deployment, broken))
        if said.canary is None:
            first, _ = await deployment.well()
        else:
            first = await eventually(lambda: canary_said(deployment, said.canary, well[1]))
        assert await eventually(lambda: doctor_finds(leader, said.doctor))
        # Who is asked of while much else runs here may be late for a moment, which is not what is broken.
        later = await (deployment.looks() if said.ready is not None else eventually(lambda: all_ready(deployment)))
    alerts = fired(tmp_path, well, (first, later))
    assert said.alerts <= alerts
    assert alerts & NAMING - said.as_true == said.alerts & NAMING
    await deployment.well()


async def doctor_finds(leader: ServiceProcess, expected: Mapping[str, str]) -> bool:
    """On the leader's host, what is expected; or nothing, where nothing is."""
    found = {finding.check: finding.what for finding in await doctor(leader, startup_timeout_s=1.0)}
    return all(what in found.get(check, "") for check, what in expected.items()) and bool(expected or not found)


async def not_ready(deployment: Deployment, broken: Break) -> bool:
    """Whether a service says what it should."""
    assert broken.said.ready is not None
    check, reason = broken.said.ready
    if broken.again is not None:
        await broken.again(deployment)
    return any(reason in look.reasons.get(check, "") for look in await deployment.looks())


async def all_ready(deployment: Deployment) -> list[Look] | None:
    """What was said while every service was ready."""
    looks = await deployment.looks()
    return looks if all(look.ready for look in looks) else None


async def canary_said(deployment: Deployment, kind: str, before: list[Look]) -> list[Look] | None:
    """What was said when one was late, or refused."""
    looks = await deployment.looks()
    pairs = zip(looks, before, strict=True)
    said = (look.late_since(then) if kind == "late" else look.refused_since(then) for look, then in pairs)
    return looks if any(said) else None
