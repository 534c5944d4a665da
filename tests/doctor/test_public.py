"""What doctor finds at a public URL: a real service behind a proxy with one fault, and behind one with none."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from orderstream.doctor.findings import Verdict
from orderstream.doctor.public import Route, check_url
from orderstream.settings import Settings
from tests.doctor.looks import WARNING, WRONG, amiss
from tests.doctor.proxy import Faults, proxy
from tests.postgres.feed import insert_order, opened
from tests.services import RunningService, running_service

SILENCES = {"heartbeat_s": 0.4, "poll_max_wait_s": 2.0, "poll_wait_s": 1.0}
# What is not passed on in this time never is; what is, takes the time that a busy machine needs.
SOON_S = 3.0


@pytest.fixture
async def service(database: str) -> AsyncIterator[RunningService]:
    """With heartbeats and polls short enough to wait for."""
    async with running_service(database, **SILENCES) as running:
        yield running


async def look(service: RunningService, url: str, **route: Any) -> dict[tuple[str, Verdict], str]:
    chosen = {"jwt": service.jwt("doctor"), "settings": Settings(**SILENCES), "at_once_s": 10.0} | route
    return amiss(await check_url(Route(url, **chosen)))


async def test_nothing_is_amiss_where_a_proxy_only_passes_on(service: RunningService) -> None:
    """Every check was made: a stream over some heartbeats, and a poll as long as it may be held."""
    async with proxy(service.url, Faults()) as url:
        findings = await check_url(
            Route(url, service.jwt("doctor"), Settings(**SILENCES), thorough=True, at_once_s=10.0)
        )
    assert amiss(findings) == {}
    assert [finding.check for finding in findings] == ["stream", "compression", "heartbeat", "poll", "held poll"]


@pytest.mark.parametrize(
    ("faults", "check", "said"),
    [
        (Faults(head_too=True), "stream", "no answer to /v1/orders/stream came within"),
        (Faults(passed_bytes=0), "stream", "the head came, and nothing else within"),
        (Faults(passed_bytes=30), "stream", "the first events did not all come within"),
        # All of retry, snapshot-end and live, some 134 bytes, and no heartbeat of 86.
        (Faults(passed_bytes=150), "heartbeat", "and the stream is still open: a proxy holds it back"),
    ],
    ids=["head", "all", "most", "little"],
)
async def test_buffering_proxy_is_found(service: RunningService, faults: Faults, check: str, said: str) -> None:
    """Whether it keeps all of a stream, or only what is little."""
    async with proxy(service.url, faults) as url:
        found = await look(service, url, at_once_s=SOON_S)
    assert list(found) == [(check, WRONG)]
    assert said in found[(check, WRONG)]


async def test_time_out_shorter_than_a_heartbeat_is_found(database: str) -> None:
    """After how much silence it cut the stream off; polls are cut off too."""
    silences = SILENCES | {"heartbeat_s": 20.0, "poll_max_wait_s": 20.0}
    async with running_service(database, **silences) as service, proxy(service.url, Faults(silence_s=3.0)) as url:
        found = await look(service, url, settings=Settings(**silences), thorough=True)
    assert re.match(r"the stream was cut off after [3-9]\.", found[("heartbeat", WRONG)])
    assert re.match(r"a poll that waits for 20 s fails after [3-9]\.", found[("held poll", WRONG)])


async def test_time_out_shorter_than_a_poll_is_held_is_found(database: str) -> None:
    """Which a stream does not meet, thanks to its heartbeats."""
    silences = SILENCES | {"poll_max_wait_s": 20.0}
    async with running_service(database, **silences) as service, proxy(service.url, Faults(silence_s=3.0)) as url:
        [(key, said)] = (await look(service, url, settings=Settings(**silences), thorough=True)).items()
    assert key == ("held poll", WRONG)
    assert said.endswith("/v1/orders/poll is answered 504, not by the service")


async def test_compressing_proxy_is_found(service: RunningService) -> None:
    """It is offered to, as by every browser."""
    async with proxy(service.url, Faults(compresses=True)) as url:
        [(key, said)] = (await look(service, url)).items()
    assert key == ("compression", WRONG)
    assert said.startswith("streams are compressed on the way (gzip)")


def _replaces(old: str, new: str) -> Faults:
    return Faults(
        answer=lambda headers: headers.update(ETag=headers["ETag"].replace(old, new)) if "ETag" in headers else None
    )


@pytest.mark.parametrize(
    ("faults", "verdict", "said"),
    [
        (Faults(answer=lambda headers: headers.pop("ETag", None)), WRONG, "a poll's answer (200) has no ETag"),
        (
            Faults(answer=lambda headers: headers.update(ETag='"5f-1"')),
            WRONG,
            'the ETag of a poll is "5f-1", which the',
        ),
        (Faults(request=lambda headers: headers.pop("If-None-Match", None)), WRONG, "If-None-Match does not reach"),
        (_replaces("W/", ""), WARNING, "the ETag of a poll is changed on the way"),
        (_replaces('0"', '0-gzip"'), WARNING, "the ETag of a poll is changed on the way"),
    ],
    ids=["stripped", "replaced", "not-sent-back", "strengthened", "suffixed"],
)
async def test_proxy_that_meddles_with_tags_is_found(
    service: RunningService, faults: Faults, verdict: Verdict, said: str
) -> None:
    """What a client needs to continue; what the service bears is a warning."""
    async with proxy(service.url, faults) as url:
        found = await look(service, url)
    assert list(found) == [("poll", verdict)]
    assert found[("poll", verdict)].startswith(said)


async def test_orders_that_change_meanwhile_are_no_fault(service: RunningService, database: str) -> None:
    """A user who has orders already, and gets more."""
    with opened(database) as writer, writer.cursor() as at:
        insert_order(at, "doctor")
        assert await look(service, service.url) == {}


async def test_jwt_that_is_refused_is_said_to_be(service: RunningService) -> None:
    """By both ways, with what to give."""
    found = await look(service, service.url, jwt="no.jwt.of-ours")
    assert found == {
        ("stream", WRONG): "/v1/orders/stream is answered 401",
        ("poll", WRONG): "/v1/orders/poll is answered 401",
    }


async def test_url_where_nobody_listens_is_said_to_be(service: RunningService) -> None:
    """In a line, whichever way it fails."""
    found = await look(service, "http://127.0.0.1:1")
    assert set(found) == {("stream", WRONG), ("poll", WRONG)}
    assert found[("poll", WRONG)].startswith("http://127.0.0.1:1 fails: ")
