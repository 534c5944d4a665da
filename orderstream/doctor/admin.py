"""What the service that runs on this host says of itself, on its admin port."""

import re

import aiohttp

from orderstream.settings import host_port

_TIMEOUT = aiohttp.ClientTimeout(total=2.0)
_LIMIT = re.compile(r"^process_max_fds ([0-9.e+]+)$", re.MULTILINE)
# Many programs say the line above.
_OURS = "orderstream_build_info"


async def file_limit(admin_listen: str) -> int | None:
    """How many files it may have open; None where none is running here, or it is no service of ours."""
    host, port = host_port(admin_listen)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    url = f"http://[{host}]:{port}/metrics" if ":" in host else f"http://{host}:{port}/metrics"
    try:
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session, session.get(url) as answer:
            text = await answer.text()
    except (aiohttp.ClientError, OSError, UnicodeDecodeError):
        return None
    match = _LIMIT.search(text) if _OURS in text else None
    return None if match is None else int(float(match[1]))
