"""The proxies' files themselves: valid, also as they are with TLS, and in step with the service's settings."""

import asyncio
import re
import subprocess
from pathlib import Path

import pytest

from orderstream.settings import Settings
from tests.clients.programs import program
from tests.proxies.fronts import CONFIG, Front, Write, in_front
from tests.services import Address, ServiceProcess
from tests.system.tables import write_orders
from tests.waiting import PATIENCE_S

OURS = Settings()


@pytest.mark.parametrize(("tls", "services"), [(False, 2), (True, 3)], ids=["plain", "tls-and-three-services"])
@pytest.mark.usefixtures("certificate")
def test_file_is_valid(proxy: Write, tls: bool, services: int, tmp_path: Path) -> None:
    """As the program itself says, without a warning about what is in the file."""
    checked = subprocess.run(
        proxy(Front(tmp_path, tls=tls), [Address() for _ in range(services)]).check,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert checked.returncode == 0, checked.stderr
    assert not re.search(r"\[(warn|WARNING)\].*\.(conf|cfg):", checked.stderr, re.IGNORECASE), checked.stderr


@pytest.mark.system
@pytest.mark.usefixtures("certificate")
async def test_stream_over_tls_is_http2_and_not_held_back(
    proxy: Write, database: str, services: tuple[ServiceProcess, ServiceProcess], tmp_path: Path
) -> None:
    """The lines that the files show in comments."""
    curl = [program("curl"), "--no-progress-meter", "--no-buffer", "--insecure", "--http2", "--dump-header", "-"]
    async with in_front(proxy, services, tmp_path, tls=True) as front, asyncio.timeout(PATIENCE_S):
        child = await asyncio.create_subprocess_exec(
            *curl,
            *("--header", f"Authorization: Bearer {front.jwt('ann')}"),
            f"{front.url}/v1/orders/stream",
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert child.stdout is not None
            assert (await child.stdout.readline()).strip() == b"HTTP/2 200"
            await child.stdout.readuntil(b"event: live\n")
            await asyncio.to_thread(write_orders, database, "ann", 1)
            await child.stdout.readuntil(b"event: order\n")
        finally:
            child.kill()
            await child.wait()


def number(file: str, setting: str, section: str = "") -> float:
    """What stands behind a setting's name in the last place after `section`; k is 1024, seconds without their s."""
    text = (CONFIG / file).read_text(encoding="utf-8").partition(section)[2] if section else (CONFIG / file).read_text()
    found = re.search(rf"^ *{setting} (\d+)(k|s|)\b", text, re.MULTILINE)
    assert found is not None, f"{setting} is not in {file}"
    return int(found[1]) * (1024 if found[2] == "k" else 1)


SILENCE_S = 2 * 1.1 * OURS.heartbeat_s
HEAD_BYTES = OURS.url_max_bytes + OURS.header_max_bytes


@pytest.mark.parametrize(
    ("file", "setting", "section", "least", "most"),
    [
        ("nginx.conf", "proxy_read_timeout", "location = /v1/orders/stream", SILENCE_S, 60),
        ("nginx.conf", "proxy_read_timeout", "", OURS.poll_max_wait_s + 5, 120),
        ("nginx.conf", "keepalive_timeout", "upstream", 10, OURS.keepalive_timeout_s - 5),
        ("nginx.conf", "client_max_body_size", "", OURS.body_max_bytes + 1, 1 << 20),
        ("nginx.conf", "large_client_header_buffers 4", "", OURS.header_max_bytes + 1, 65_536),
        ("haproxy.cfg", "timeout server", "backend streams", SILENCE_S, 60),
        ("haproxy.cfg", "timeout server", "", OURS.poll_max_wait_s + 5, 120),
        ("haproxy.cfg", "timeout client", "", OURS.poll_max_wait_s + 5, 120),
        ("haproxy.cfg", "tune.bufsize", "", HEAD_BYTES + 4096, 65_536),
    ],
)
def test_limit_agrees_with_the_settings(file: str, setting: str, section: str, least: float, most: float) -> None:
    """No time-out is shorter than what the service's defaults let pass in silence, no size smaller than it takes."""
    assert least <= number(file, setting, section) <= most
