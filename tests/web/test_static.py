"""`/orderstream.js` as it is served: one file for pages of any origin, kept by caches, asked for by its tag."""

import pytest

from tests.web.conftest import Site

PATHS = {"/orderstream.js": "text/javascript", "/orderstream.d.ts": "application/typescript"}


@pytest.mark.parametrize(("path", "content_type"), PATHS.items(), ids=PATHS)
async def test_the_client_is_served_to_everybody(site: Site, path: str, content_type: str) -> None:
    """Without a credential, for any origin, with a strong tag and a time to keep it."""
    async with site.client.get(path, headers={"Origin": "https://page.example"}) as response:
        headers = response.headers
        assert (response.status, headers["Content-Type"]) == (200, f"{content_type}; charset=utf-8")
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert headers["Cache-Control"].startswith("max-age=")
        assert headers["ETag"].startswith('"')


@pytest.mark.parametrize("written", ["{tag}", "W/{tag}", '"another", {tag}', "*"])
async def test_a_client_that_is_known_is_not_sent_again(site: Site, written: str) -> None:
    """304 with the same headers, however the cache writes the tag."""
    async with site.client.get("/orderstream.js") as first:
        tag = first.headers["ETag"]
    async with site.client.get("/orderstream.js", headers={"If-None-Match": written.format(tag=tag)}) as again:
        assert (again.status, await again.read(), again.headers["ETag"]) == (304, b"", tag)


async def test_another_tag_is_sent_the_client(site: Site) -> None:
    """After an update."""
    async with site.client.get("/orderstream.js", headers={"If-None-Match": '"older"'}) as response:
        assert response.status == 200


async def test_the_client_is_one_file(site: Site) -> None:
    """It imports nothing, so that no page has half of one version and half of the next."""
    async with site.client.get("/orderstream.js") as response:
        lines = (await response.text()).splitlines()
    assert not [line for line in lines if line.startswith("import ")]
    assert [line for line in lines if line.startswith("export ")] == [
        "export function orderstream(url, options = {}) {",
        "export { LIMITS, REASONS, decimal, why };",
    ]
