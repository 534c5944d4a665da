"""A real Prometheus with the real configuration, which asks every second and looks at a service of a test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.clients.programs import program
from tests.ports import free_port
from tests.prometheus.watching import prometheus_settings, rule_groups
from tests.services import START_PATIENCE_S, Address


class Prometheus:
    """Answers queries."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def ready(self) -> bool:
        """Whether it takes queries."""
        try:
            async with self._session.get(f"{self._url}/-/ready") as response:
                return response.status == 200
        except aiohttp.ClientConnectionError:
            return False

    async def values(self, expr: str) -> list[float]:
        """What an expression comes to now, a number for each series; fails where it is wrong."""
        return [float(series["value"][1]) for series in (await self._get("query", query=expr))["result"]]

    async def alerts(self) -> list[tuple[str, str]]:
        """(name, `pending` or `firing`) of those that are active."""
        return [(alert["labels"]["alertname"], alert["state"]) for alert in (await self._get("alerts"))["alerts"]]

    async def ailing_rules(self) -> list[str]:
        """Those that could not be evaluated, or were not yet."""
        groups = (await self._get("rules"))["groups"]
        return [rule["name"] for group in groups for rule in group["rules"] if rule["health"] != "ok"]

    async def _get(self, what: str, **parameters: str) -> dict[str, Any]:
        async with self._session.get(f"{self._url}/api/v1/{what}", params=parameters) as response:
            answer = await response.json()
        assert answer["status"] == "success", (parameters, answer)
        return dict(answer["data"])


@asynccontextmanager
async def running_prometheus(folder: Path, *watched: Address, hurried: bool = True) -> AsyncIterator[Prometheus]:
    """It looks at the services; what it keeps is in the folder. Where not `hurried`, as often as config/ says."""
    settings, groups = prometheus_settings(), rule_groups()
    [job] = settings["scrape_configs"]
    job["static_configs"] = [{"targets": [f"127.0.0.1:{service.admin_port}" for service in watched]}]
    if hurried:
        settings["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        # A group that is evaluated every minute begins at any time within it.
        groups = [group | {"interval": "1s"} for group in groups]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": groups}))
    port = free_port()
    child = await asyncio.create_subprocess_exec(
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
        stdin=asyncio.subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession() as session:
            prometheus = Prometheus(session, f"http://127.0.0.1:{port}")
            async with asyncio.timeout(START_PATIENCE_S):
                while not await prometheus.ready():
                    assert child.returncode is None
                    await asyncio.sleep(0.05)
            yield prometheus
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()
