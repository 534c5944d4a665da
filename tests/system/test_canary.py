"""The canary against a real service: it sings over both transports, and falls silent when the path is broken."""

import pytest

from orderstream.canary import TRANSPORTS
from tests.postgres.feed import run
from tests.services import RunningService, running_service
from tests.system.tables import execute
from tests.waiting import eventually

pytestmark = pytest.mark.system

SINGING = {"canary_user": "canary", "canary_every_s": 0.1, "canary_late_s": 1.0, "vitals_every_s": 0.5}


def counted(at: RunningService, name: str, **labels: str) -> float:
    return at.service.meter.registry.get_sample_value(f"orderstream_canary_{name}", labels) or 0.0


def arrived(at: RunningService) -> list[float]:
    return [counted(at, "seconds_count", transport=transport) for transport in TRANSPORTS]


def late(at: RunningService) -> list[float]:
    return [counted(at, "late_total", transport=transport) for transport in TRANSPORTS]


async def test_change_arrives_over_each_transport(database: str) -> None:
    """Of one order, that nobody trades; and none is late."""
    async with running_service(database, **SINGING | {"canary_late_s": 30.0}) as at:
        # It may arrive before its writer knows that it was written.
        await eventually(lambda: min(*arrived(at), counted(at, "changes_total")) >= 5)
        assert late(at) == [0, 0]
    assert run(database, "select user_id, status, quantity::int from public.orders") == [("canary", "rejected", 0)]


@pytest.mark.parametrize(
    "fault",
    [
        "alter table public.orders disable trigger orderstream_updated",
        "create or replace function orderstream.ring() returns void language sql as $$ select $$;"
        " delete from orderstream.epochs",
    ],
    ids=["trigger-disabled", "no-epoch"],
)
async def test_change_is_late_when_the_path_is_broken(database: str, fault: str) -> None:
    """Whichever step it is: the change was committed and did not arrive, over any transport."""
    async with running_service(database, **SINGING) as at:
        await eventually(lambda: min(arrived(at)) >= 1)
        execute(database, fault)
        await eventually(lambda: min(late(at)) >= 1)


async def test_late_change_is_told_when_it_is_late(database: str) -> None:
    """And not when the next one is made."""
    execute(database, "alter table public.orders disable trigger user")
    async with running_service(database, **SINGING | {"canary_every_s": 5.0, "canary_late_s": 0.2}) as at:
        await eventually(lambda: min(late(at)) >= 1)
        assert counted(at, "changes_total") == 1


async def test_change_that_cannot_be_written_is_an_error_and_nobodys_delay(database: str) -> None:
    """The platform's own rules refuse it: that is said at each try, and the service goes on."""
    execute(database, "alter table public.orders add column desk text not null")
    async with running_service(database, **SINGING) as at:
        errors = at.service.meter.registry.get_sample_value
        await eventually(lambda: (errors("orderstream_database_errors_total", {"part": "canary"}) or 0) >= 2)
        assert late(at) == [0, 0]


async def test_canary_is_a_client_like_any_other(database: str) -> None:
    """Over real connections, which are listed as its user's."""
    async with running_service(database, **SINGING) as at:
        await eventually(lambda: min(arrived(at)) >= 1)
        listed = at.service.sessions.of_user("canary")
        assert {(delivery.session_id, delivery.transport) for delivery in listed} == {
            ("canary", "sse"), ("canary", "poll"),
        }  # fmt: skip
