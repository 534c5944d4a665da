"""Keys: from the settings, and from a JWKS over a real connection that may be down, slow or talk nonsense."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from orderstream.errors import SettingsError, Unauthorized, Unavailable
from orderstream.web.jwks import MAX_JWKS_BYTES, Jwks, JwksSettings
from orderstream.web.jwt import JwtSettings, Verifier
from orderstream.web.keys import Key, fixed_keys, key_of_jwk, key_of_pem
from tests.waiting import PATIENCE_S, let_pass
from tests.web.signing import (
    SECRET,
    KeyServer,
    jwk,
    key_server,
    private_key,
    private_pem,
    public_pem,
    segment,
    signed,
)

KINDS = ["RS256", "ES256", "EdDSA"]


class Clock:
    """Seconds that pass when the test says so."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@asynccontextmanager
async def fetching(server: KeyServer, clock: Callable[[], float], **settings: Any) -> Iterator[Jwks]:
    jwks = Jwks(JwksSettings(**({"jwks_url": server.url} | settings)), now=clock)
    try:
        yield jwks
    finally:
        await jwks.close()


def verifier(jwks: Jwks, secret: str = "") -> Verifier:
    return Verifier(fixed_keys(secret, ""), jwks, JwtSettings())


def of_kid(kid: str, kind: str = "ES256", which: int = 0) -> str:
    return signed(private_key(kind, which), kind, {"kid": kid})


@pytest.mark.parametrize("kind", KINDS)
def test_public_key_may_be_text_or_a_file(kind: str, tmp_path: Path) -> None:
    """Its kind says what it verifies."""
    path = tmp_path / "login.pem"
    path.write_text(public_pem(kind))
    assert key_of_pem(str(path)).algorithm == key_of_pem(public_pem(kind)).algorithm == kind


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (private_pem("ES256"), "holds a private key"),
        (public_pem("RS256-short"), "must be RSA of 2048 bits or more"),
        (public_pem("ES384"), "ECDSA on P-256"),
        (public_pem("Ed448"), "or Ed25519"),
        ("-----BEGIN PUBLIC KEY-----\nxx\n-----END PUBLIC KEY-----", "is not a public key in PEM"),
        ("/absent.pem", "the file cannot be read: No such file"),
    ],
)
def test_unusable_public_key_is_one_line(text: str, complaint: str) -> None:
    """Which key of the settings, and why, without quoting it."""
    with pytest.raises(SettingsError, match=f"^jwt_public_key.*{complaint}") as caught:
        key_of_pem(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_entry_of_a_jwks_verifies_what_its_kind_is_for(kind: str) -> None:
    """With `alg` or without."""
    found = [key_of_jwk(jwk(kind, alg=kind, use="sig")), key_of_jwk(jwk(kind, alg=None))]
    assert [key.algorithm for key in found if key is not None] == [kind, kind]


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "alg": "HS256"},
        jwk("RS256", use="enc"),
        jwk("RS256", key_ops=["sign"]),
        jwk("RS256", alg="RS512"),
        jwk("RS256", alg="HS256"),
        jwk("RS256", d="AQAB"),
        jwk("RS256-short"),
        jwk("RS256", n=None),
        jwk("RS256", n=5),
        jwk("ES384"),
        jwk("ES256", x="AAAA"),
        jwk("Ed448"),
        {"kty": "OKP", "crv": "X25519", "x": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I"},
        {"kty": ["RSA"]},
        {},
    ],
)
def test_entry_that_we_should_not_verify_with_is_passed_over(entry: dict[str, Any]) -> None:
    """Symmetric, private, weak, broken, or meant for something else."""
    assert key_of_jwk(entry) is None


async def test_jwt_2_key_is_found_by_its_id(clock: Clock) -> None:
    """One fetch serves all."""
    async with key_server(jwk("RS256", kid="a"), jwk("EdDSA", kid="b")) as server, fetching(server, clock) as jwks:
        judge = verifier(jwks)
        assert await judge.verify(of_kid("a", "RS256"))
        assert await judge.verify(of_kid("b", "EdDSA"))
        assert server.fetches == 1


async def test_key_of_another_kind_under_the_id_is_refused(clock: Clock) -> None:
    """The header chooses among the keys; it does not choose the algorithm."""
    async with key_server(jwk("RS256", kid="a"), jwk("ES256", kid="b")) as server, fetching(server, clock) as jwks:
        with pytest.raises(Unauthorized):
            await verifier(jwks).verify(of_kid("a", "ES256"))


async def test_jwt_without_an_id_is_for_the_only_key(clock: Clock) -> None:
    """Of several, none is guessed."""
    encoded = signed(private_key("ES256"), "ES256")
    async with key_server(jwk("ES256", kid="a")) as server, fetching(server, clock) as jwks:
        assert await verifier(jwks).verify(encoded)
        server.entries.append(jwk("ES256", 1, kid="b"))
        await jwks.refresh()
        clock.now_s += 10
        with pytest.raises(Unauthorized):
            await verifier(jwks).verify(encoded)


async def test_secret_is_for_jwts_without_an_id(clock: Clock) -> None:
    """Beside a JWKS: no fetch, and no trying of one key after another."""
    async with key_server(jwk("ES256", kid="a")) as server, fetching(server, clock) as jwks:
        assert await verifier(jwks, SECRET).verify(signed())
        assert server.fetches == 0
        with pytest.raises(Unauthorized):
            await verifier(jwks, SECRET).verify(signed(headers={"kid": "a"}))


async def test_jwt_4_rotation_needs_no_restart(clock: Clock) -> None:
    """A new key is fetched when a JWT names it; the old one is good until it leaves the set, remembered JWT or not."""
    old, new = of_kid("old"), of_kid("new", which=1)
    async with key_server(jwk("ES256", kid="old")) as server, fetching(server, clock) as jwks:
        judge = verifier(jwks)
        await judge.verify(old)
        server.entries.append(jwk("ES256", 1, kid="new"))
        clock.now_s += 10
        assert await judge.verify(new)
        assert await judge.verify(old)
        del server.entries[0]
        await jwks.refresh()
        clock.now_s += 10
        with pytest.raises(Unauthorized):
            await judge.verify(old)
        assert await judge.verify(new)


async def test_jwt_2_unknown_keys_cause_one_fetch_in_an_interval(clock: Clock) -> None:
    """Within it nobody can tell; after it the set decides."""
    async with key_server(jwk("ES256", kid="a")) as server, fetching(server, clock) as jwks:
        judge = verifier(jwks)
        await judge.verify(of_kid("a"))
        clock.now_s += 4
        with pytest.raises(Unavailable) as caught:
            await judge.verify(of_kid("x"))
        assert (caught.value.retry_after_s, server.fetches) == (6.0, 1)
        clock.now_s += 6
        with pytest.raises(Unauthorized):
            await judge.verify(of_kid("x"))
        assert server.fetches == 2


async def test_all_who_wait_share_one_fetch(clock: Clock) -> None:
    """And one who leaves does not end it for the others."""
    held = asyncio.Event()

    async def slowly() -> web.StreamResponse:
        await held.wait()
        return await server.publish()

    async with key_server(jwk("ES256", kid="a")) as server, fetching(server, clock) as jwks:
        server.answer = slowly
        asked = [asyncio.create_task(verifier(jwks).verify(of_kid("a"))) for _ in range(20)]
        async with asyncio.timeout(PATIENCE_S), server.fetched:
            await server.fetched.wait_for(lambda: server.fetches > 0)
        asked[0].cancel()
        held.set()
        identities = await asyncio.gather(*asked[1:])
        assert {identity.user_id for identity in identities} == {"u1"}
        assert server.fetches == 1


async def status_500() -> web.StreamResponse:
    return web.Response(status=500, text='{"keys":[]}')


async def redirect() -> web.StreamResponse:
    raise web.HTTPFound("http://127.0.0.1:1/")


async def garbage() -> web.StreamResponse:
    return web.Response(text="<html>")


async def deep() -> web.StreamResponse:
    return web.Response(text='{"keys":' + "[" * 100_000)


async def large() -> web.StreamResponse:
    return web.Response(text='{"keys":[]}' + " " * MAX_JWKS_BYTES)


async def never() -> web.StreamResponse:
    let_pass(JwksSettings().jwks_timeout_s + 1)
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize("answer", [status_500, redirect, garbage, deep, large, never])
async def test_jwt_3_known_keys_go_on_when_the_server_fails(answer: Any, clock: Clock) -> None:
    """And a JWT of an unknown one is nobody's fault: it may be good."""
    async with (
        key_server(jwk("ES256", kid="a")) as server,
        fetching(server, clock) as jwks,
    ):
        judge = verifier(jwks)
        await judge.verify(of_kid("a"))
        server.answer = answer
        clock.now_s += 10
        with pytest.raises(Unavailable):
            await judge.verify(of_kid("b", which=1))
        assert (server.fetches, jwks.missing) == (2, None)
        assert await judge.verify(of_kid("a"))


@pytest.mark.parametrize("algorithm", ["none", "HS512", "PS256", "", 5, None])
async def test_jwt_1_algorithm_of_no_key_is_refused_without_asking_for_one(algorithm: Any, clock: Clock) -> None:
    """Whatever key it names and though the server is away: it could never be good."""
    forged = f"{segment(json.dumps({'alg': algorithm, 'kid': 'x'}))}.{of_kid('x').split('.', 1)[1]}"
    async with key_server(jwk("ES256", kid="a")) as server, fetching(server, clock) as jwks:
        server.answer = status_500
        with pytest.raises(Unauthorized):
            await verifier(jwks).verify(forged)
        assert server.fetches == 0


async def test_jwt_3_unreachable_server_is_no_verdict_and_is_told(clock: Clock) -> None:
    """From the start: no keys, and readiness learns why; they are used as soon as they are there."""
    async with key_server(jwk("ES256", kid="a")) as server, fetching(server, clock) as jwks:
        server.answer = status_500
        with pytest.raises(Unavailable):
            await verifier(jwks).verify(of_kid("a"))
        assert jwks.missing == "no keys from jwks_url: the answer was 500"
        server.answer = server.publish
        clock.now_s += 10
        assert await verifier(jwks).verify(of_kid("a"))
        assert jwks.missing is None


async def test_set_without_keys_is_no_verdict_on_a_jwt(clock: Clock) -> None:
    """All keys were withdrawn: none is good any more, but clients are to come back, not to give up."""
    async with key_server(jwk("ES256", kid="a")) as server, fetching(server, clock) as jwks:
        judge = verifier(jwks)
        await judge.verify(of_kid("a"))
        server.entries.clear()
        await jwks.refresh()
        clock.now_s += 10
        with pytest.raises(Unavailable):
            await judge.verify(of_kid("a"))


async def test_keys_are_fetched_again_in_the_background() -> None:
    """So that a withdrawn key is noticed though nobody names a new one."""
    async with key_server(jwk("ES256", kid="a")) as server, fetching(server, Clock(), jwks_refresh_s=0.01) as jwks:
        running = asyncio.create_task(jwks.run())
        async with asyncio.timeout(PATIENCE_S), server.fetched:
            await server.fetched.wait_for(lambda: server.fetches >= 3)
        running.cancel()


async def test_keys_of_different_kinds_may_share_an_id(clock: Clock) -> None:
    """RFC 7517 section 4.5."""
    async with key_server(jwk("RS256", kid="a"), jwk("ES256", kid="a")) as server, fetching(server, clock) as jwks:
        found = await jwks.find("a")
        assert [key.algorithm for key in found if isinstance(key, Key)] == ["RS256", "ES256"]
        assert await verifier(jwks).verify(of_kid("a", "ES256"))
