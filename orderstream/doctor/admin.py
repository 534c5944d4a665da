"""What the service that runs on this host says of itself, on its admin port."""

import re
from typing import NamedTuple

import aiohttp
import msgspec

from orderstream.doctor.findings import Finding, ok, wrong
from orderstream.settings import host_port

SERVICE = "service"

_TIMEOUT_S = 2.0
_TIMEOUT = aiohttp.ClientTimeout(total=_TIMEOUT_S)
_LIMIT = re.compile(r"^process_max_fds ([0-9.e+]+)$", re.MULTILINE)
# Many programs say the line above.
_OURS = "orderstream_build_info"
_WELL = "ok"


class Health(msgspec.Struct):
    """The answer of `/health/ready`: name of a check -> `ok` or a reason."""

    checks: dict[str, str]


class Asked(NamedTuple):
    """`silent`: somebody takes the connection and does not answer. Else None stands for what nobody of ours said."""

    silent: bool
    file_limit: int | None
    health: Health | None


async def ask(admin_listen: str) -> Asked:
    """The metrics, and whether it is ready."""
    host, port = host_port(admin_listen)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    try:
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            async with session.get(f"{url}/metrics") as answer:
                text = await answer.text()
            if _OURS not in text:
                return Asked(False, None, None)
            async with session.get(f"{url}/health/ready") as answer:
                health = msgspec.json.decode(await answer.read(), type=Health)
    except TimeoutError:
        return Asked(True, None, None)
    except (aiohttp.ClientError, OSError, UnicodeDecodeError, msgspec.MsgspecError):
        return Asked(False, None, None)
    match = _LIMIT.search(text)
    return Asked(False, int(float(match[1])) if match else None, health)


def check_service(asked: Asked, admin_listen: str) -> list[Finding]:
    """Nothing where none is running here."""
    if asked.silent:
        return [
            wrong(
                SERVICE,
                f"what listens on {admin_listen} says nothing within {_TIMEOUT_S:g} s: it is stopped, or hangs",
                "look at its state (in `ps`, T is stopped: kill -CONT); else restart it, its clients go to the others",
            )
        ]
    if asked.health is None:
        return []
    return [
        wrong(SERVICE, f"the one that runs here is not ready: {name}: {reason}", "see below; else its log says more")
        for name, reason in asked.health.checks.items()
        if reason != _WELL
    ] or [ok(SERVICE, "the one that runs here is ready")]
