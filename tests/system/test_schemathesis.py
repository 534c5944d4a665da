"""Schemathesis asks a running service for what `/openapi.json` allows, and for much that it does not."""

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from tests.services import ServiceProcess
from tests.system.tables import write_orders

# A run takes about 10 s, on a slow machine several times that.
_TIMEOUT_S = 150.0
# A stream has no end: so many events of it are read, and heartbeats come soon.
_CONFIG = "max-stream-events = 4\n"
_SETTINGS = {
    "heartbeat_s": 0.1,
    "poll_wait_s": 0.05,
    "poll_max_wait_s": 0.1,
    "requests_per_user_per_minute": 10_000_000,
    "requests_per_address_per_minute": 100_000_000,
}
_REVOKE = "/v1/sessions/{session_id}"


async def ask(served: ServiceProcess, user: str, folder: Path, *options: str) -> None:
    """Fails with the whole of its report where it finds something. The same is asked each time."""
    config = folder / "schemathesis.toml"
    config.write_text(_CONFIG)
    run = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", f"--config-file={config}", "--no-color",
        "run", f"{served.url}/openapi.json", f"--header=Authorization: Bearer {served.jwt(user)}",
        "--seed=1", "--max-examples=25", "--generation-database=none",
        # A page is opaque: a text like any other, and yet good only if it is one of ours.
        "--exclude-checks=positive_data_acceptance",
        *options, cwd=folder, stdout=PIPE, stderr=STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            said, _ = await run.communicate()
    finally:
        if run.returncode is None:
            run.kill()
    if run.returncode:
        # Not by an assertion, which would show the beginning of it only.
        pytest.fail(said.decode(), pytrace=False)


@pytest.mark.system
@pytest.mark.timeout(400)
async def test_nothing_fails_and_every_answer_is_described(database: str, tmp_path: Path) -> None:
    """Logging out is asked for by another user, whose session ends with it. No error is logged."""
    write_orders(database, "ann", 3)
    async with ServiceProcess(database, **_SETTINGS) as served:
        await served.ready()
        await ask(served, "ann", tmp_path, f"--exclude-path={_REVOKE}")
        await ask(served, "ben", tmp_path, f"--include-path={_REVOKE}")
        served.stop()
        await served.wait()
    assert served.said == []
    assert [line for line in served.lines if line["level"] in ("error", "critical")] == []
