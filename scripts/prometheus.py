"""A real Prometheus with the settings and rules of config/, which looks at one process while pictures are taken."""

import asyncio
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import yaml

CONFIG = Path(__file__).parents[1] / "config"
_TRIES, _BETWEEN_S = 100, 0.3


@asynccontextmanager
async def looking_at(admin_url: str) -> AsyncIterator[str]:
    """Its URL, once it has asked twice; it asks every second."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        listens = "{}:{}".format(*free.getsockname())
    settings = yaml.safe_load((CONFIG / "prometheus.yml").read_text())
    settings["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    settings["scrape_configs"][0]["static_configs"] = [{"targets": [admin_url.removeprefix("http://")]}]
    rules = yaml.safe_load((CONFIG / "rules.yml").read_text())
    for group in rules["groups"]:
        group["interval"] = "1s"
    program = shutil.which("prometheus") or shutil.which("prometheus", path=Path(sys.executable).parent)
    if program is None:
        raise SystemExit("prometheus is not installed; scripts/test installs it")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "prometheus.yml").write_text(yaml.safe_dump(settings))
        (Path(folder) / "rules.yml").write_text(yaml.safe_dump(rules))
        chosen = f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/kept"
        child = await asyncio.create_subprocess_exec(
            program, *chosen, f"--web.listen-address={listens}", "--log.level=warn"
        )
        try:
            for _ in range(_TRIES):
                if await _asked_twice(f"http://{listens}"):
                    break
                await asyncio.sleep(_BETWEEN_S)
            else:
                raise SystemExit(f"prometheus did not begin to ask {admin_url}")
            yield f"http://{listens}"
        finally:
            child.terminate()
            await child.wait()


async def _asked_twice(url: str) -> bool:
    # What happened before that does not show in a rate.
    asked = {"query": "count_over_time(up[1m]) > 1"}
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/api/v1/query", params=asked) as answer:
            return answer.status == 200 and (await answer.json())["data"]["result"] != []
    except aiohttp.ClientConnectionError:
        return False
