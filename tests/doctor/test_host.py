"""What doctor finds without asking anybody: settings, and the limit of open files."""

import resource

import aiohttp
import pytest

from orderstream.configuration import read
from orderstream.doctor import admin
from orderstream.doctor.admin import ask
from orderstream.doctor.findings import Finding, Verdict
from orderstream.doctor.host import check_files, check_settings
from orderstream.settings import Settings
from tests.doctor.looks import WARNING, WRONG, amiss
from tests.ports import free_port
from tests.services import PATIENCE_S, SECRET, running_service

ENOUGH = {"database_url": "postgresql://db/orders", "jwt_secret": SECRET}


def look(**settings: str) -> list[Finding]:
    """At settings as variables have them."""
    return check_settings(*read({f"ORDERSTREAM_{key.upper()}": value for key, value in (ENOUGH | settings).items()}))


def test_settings_that_a_service_starts_with_are_well() -> None:
    """And that is one line."""
    assert [finding.verdict for finding in look()] == [Verdict.OK]


def test_every_wrong_key_and_value_is_a_line() -> None:
    """All at once, and no value is quoted."""
    found = look(pool_sice="4", heartbeat_s="sixty", jwt_secret="hunter2", trusted_proxies="10.0.0.1/8")
    assert [finding.verdict for finding in found] == [WRONG] * 4
    assert [finding.what.split(":")[0] for finding in found] == [
        "jwt_secret from ORDERSTREAM_JWT_SECRET must be 32 characters or more",
        "there is no setting ORDERSTREAM_POOL_SICE",
        "heartbeat_s from ORDERSTREAM_HEARTBEAT_S must be a number from 0.1 to 55",
        "trusted_proxies must be a list of networks, such as 10.0.0.0/8 or fd00",
    ]


@pytest.mark.parametrize(
    ("settings", "verdict", "said"),
    [
        ({"database_url": ""}, WRONG, "database_url is not set"),
        ({"jwt_secret": ""}, WRONG, "none of jwt_secret, jwt_public_key, jwks_url is set"),
        (
            {"jwt_public_key": "/absent.pem"},
            WRONG,
            "jwt_public_key: the file cannot be read: No such",
        ),
        ({"database_url": "postgresql://a:b/c@d/e"}, WRONG, "database_url cannot be read"),
        ({"admin_listen": "0.0.0.0:8081"}, WARNING, "admin_listen is 0.0.0.0:8081: whoever reaches it is asked for no"),
        ({"max_polls": "40000"}, WARNING, "max_streams and max_polls together are more than max_connections (50000)"),
    ],
)
def test_setting_that_is_missing_or_unwise_is_found(settings: dict[str, str], verdict: Verdict, said: str) -> None:
    """What a start refuses, and what it does not."""
    [(key, what)] = amiss(look(**settings)).items()
    assert key == ("settings", verdict)
    assert what.startswith(said)


def test_file_limit_below_the_connections_is_found() -> None:
    """And how many connections it would do for."""
    [finding] = check_files(Settings(max_connections=2000), 1024)
    assert (finding.check, finding.verdict) == ("files", WRONG)
    assert finding.what.startswith(
        "the limit of open files of the running service is 1024, and max_connections is 2000"
    )
    assert finding.to_do.endswith("or max_connections 956")


@pytest.mark.parametrize("limit", [2068, resource.RLIM_INFINITY])
def test_file_limit_that_is_enough_is_well(limit: int) -> None:
    """Connections, the pool, and what a process has open besides."""
    assert amiss(check_files(Settings(max_connections=2000), limit)) == {}


async def test_file_limit_of_the_running_service_counts(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says itself what it was started with."""
    monkeypatch.setattr(admin, "_TIMEOUT", aiohttp.ClientTimeout(total=PATIENCE_S))
    async with running_service(database) as running:
        asked = await ask(running.service.settings.admin_listen)
        assert asked.file_limit == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


async def test_file_limit_is_not_known_where_no_service_runs() -> None:
    """Then that of this shell stands for it."""
    assert (await ask(f"127.0.0.1:{free_port()}")).file_limit is None
