"""A real Prometheus with the settings and rules of config/, which looks at one process while pictures are taken."""

import asyncio
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import yaml

CONFIG = Path(__file__).parents[1] / "config"


@asynccontextmanager
async def looking_at(admin_url: str) -> AsyncIterator[str]:
    """Its URL; it asks every second."""
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
            yield f"http://{listens}"
        finally:
            child.terminate()
            await child.wait()
