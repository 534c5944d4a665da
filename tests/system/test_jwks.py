"""A service whose keys are published by a login service that is not there yet."""

import asyncio

import aiohttp
import pytest
from aiohttp import web

from tests.services import running_service
from tests.system.clients import ENDLESS, Stream, ready
from tests.waiting import PATIENCE_S
from tests.web.signing import jwk, key_server, private_key, signed


async def status_500() -> web.StreamResponse:
    return web.Response(status=500)


@pytest.mark.system
async def test_service_starts_without_its_keys_and_takes_them_when_they_come(database: str) -> None:
    """Not ready, and why; whoever asks is told to come back, an EventSource in its stream; then all goes on."""
    headers = {"Authorization": f"Bearer {signed(private_key('ES256'), 'ES256', {'kid': 'a'})}"}
    async with key_server(jwk("ES256", kid="a")) as server, aiohttp.ClientSession(headers=headers) as session:
        server.answer = status_500
        jwks = {"jwt_secret": "", "jwks_url": server.url, "jwks_min_interval_s": 1.0}
        async with running_service(database, **jwks) as at:
            async with session.get(f"{at.admin_url}/health/ready") as response:
                checks = (await response.json())["checks"]
            async with session.get(f"{at.url}/v1/orders") as response:
                listed = response
            async with session.get(f"{at.url}/v1/orders/stream", timeout=ENDLESS) as response:
                frames = await Stream(response).rest()
            assert checks["jwks"].startswith("no keys from jwks_url")
            assert (listed.status, "Retry-After" in listed.headers) == (503, True)
            assert (response.status, frames[-1].event, frames[-1].data["reason"]) == (200, "goaway", "overload")
            server.answer = server.publish
            async with asyncio.timeout(PATIENCE_S):
                while not await ready(session, at):
                    pass
            async with session.get(f"{at.url}/v1/orders") as response:
                assert response.status == 200
