"""JWTs: good ones are read, all others are refused with the reason that RFC 6750 wants."""

import json
import math
import time
from typing import Any

import jwt as pyjwt
import pytest

from orderstream.core.claims import Identity
from orderstream.errors import Unauthorized
from orderstream.web.jwt import MAX_JWT_CHARS, ExpiredJwt, JwtSettings, Verifier, issue
from orderstream.web.keys import fixed_keys
from tests.web.signing import SECRET, private_key, public_pem, segment, signed

SOON = float(int(time.time()) + 7200)
ASYMMETRIC = ["RS256", "ES256", "EdDSA"]
# The public half as a secret: PyJWT would not sign with it, so the parts are put together as a forger does.
_HMAC = pyjwt.algorithms.HMACAlgorithm(pyjwt.algorithms.HMACAlgorithm.SHA256)

# SEC 2, 2.4.2: n of secp256r1.
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def verifier(secret: str = SECRET, public_key: str = "", *, now: Any = time.time, **settings: Any) -> Verifier:
    return Verifier(fixed_keys(secret, public_key), None, JwtSettings(**({"jwt_leeway_s": 0} | settings)), now=now)


def confused(kind: str) -> str:
    """HS256, signed with the PEM of a public key."""
    text = ".".join(segment(json.dumps(part)) for part in ({"alg": "HS256"}, {"sub": "u1", "exp": 9e9}))
    signature = _HMAC.sign(text.encode(), public_pem(kind).encode())
    return f"{text}.{pyjwt.utils.base64url_encode(signature).decode()}"


async def refused(encoded: str, judge: Verifier) -> str:
    """Why; nothing but Unauthorized with RFC 6750's code will do."""
    with pytest.raises(Unauthorized) as caught:
        await judge.verify(encoded)
    assert (caught.value.code, type(caught.value)) == ("invalid_token", Unauthorized)
    return str(caught.value)


async def test_issued_jwt_is_good_for_its_user() -> None:
    """What `issue` makes, a verifier reads."""
    assert (await verifier().verify(issue(SECRET, "u1", 60))).user_id == "u1"


@pytest.mark.parametrize("kind", ASYMMETRIC)
async def test_jwt_signed_with_the_private_half_is_good(kind: str) -> None:
    """The public half is all that we need."""
    judge = verifier("", public_pem(kind))
    assert await judge.verify(signed(private_key(kind), kind, exp=SOON, sid="s")) == Identity("u1", "s", SOON)


@pytest.mark.parametrize("encoded", [signed(), signed(private_key("ES256"), "ES256")])
async def test_secret_and_public_key_may_both_be_set(encoded: str) -> None:
    """A login service that moves from one to the other needs both for a day."""
    assert await verifier(SECRET, public_pem("ES256")).verify(encoded)


@pytest.mark.parametrize(
    ("claims", "session_id"),
    [
        ({"sid": "s1", "jti": "j1"}, "s1"),
        ({"sid": "", "jti": "j1"}, "j1"),
        ({"jti": "j1"}, "j1"),
    ],
)
async def test_session_is_the_sid_or_the_jti(claims: dict[str, str], session_id: str) -> None:
    """The login that a JWT is of."""
    assert (await verifier().verify(signed(**claims))).session_id == session_id


async def test_session_of_a_jwt_without_sid_and_jti_is_its_own() -> None:
    """So that it can be listed and revoked."""
    judge, one, another = verifier(), signed(exp=SOON), signed(exp=SOON + 1)
    sessions = [(await judge.verify(encoded)).session_id for encoded in (one, another, one)]
    assert sessions[0] == sessions[2] != sessions[1]
    assert sessions[0].startswith("jwt-")


async def test_jwt_5_twin_of_an_es256_signature_is_the_same_session() -> None:
    """(r, n - s) is as good as (r, s), and anybody can make it: it must not be a login of its own."""
    encoded, judge = signed(private_key("ES256"), "ES256"), verifier("", public_pem("ES256"))
    signed_part, _, signature = encoded.rpartition(".")
    r_s = pyjwt.utils.base64url_decode(signature)
    twin = r_s[:32] + (_P256_ORDER - int.from_bytes(r_s[32:])).to_bytes(32)
    spelled = f"{signed_part}.{pyjwt.utils.base64url_encode(twin).decode()}"
    assert spelled != encoded
    assert await judge.verify(spelled) == await judge.verify(encoded)


@pytest.mark.parametrize(
    ("issued_s_ago", "refused_at"),
    [(None, 101), (0, 101), (50, 51), (-3600, 101), (math.nan, 101)],
    ids=["no iat", "new", "old", "future", "nan"],
)
async def test_jwt_5_jwt_that_is_good_for_longer_than_an_ended_session_is_kept_is_refused(
    issued_s_ago: int | None, refused_at: int
) -> None:
    """It would be good again when its end is forgotten; from its `iat`, or from now where it does not say."""
    now = int(time.time())
    judge = verifier(revocation_keep_s=100, now=lambda: now)
    iat = now - issued_s_ago if issued_s_ago is not None else None
    assert await judge.verify(signed(iat=iat, exp=now + refused_at - 1))
    assert "for longer" in await refused(signed(iat=iat, exp=now + refused_at), judge)


async def test_jwt_5_jwt_issued_by_a_clock_that_is_ahead_of_ours_is_good() -> None:
    """`iat` says how old it is, and only `nbf` when it begins: or nobody could sign in while our clock is behind."""
    assert await verifier().verify(signed(iat=time.time() + 3600, exp=time.time() + 7200))
    assert "not valid yet" in await refused(signed(nbf=time.time() + 3600, exp=time.time() + 7200), verifier())


async def test_expired_jwt_is_told_apart() -> None:
    """A stream answers it otherwise than a forged one."""
    with pytest.raises(ExpiredJwt, match="expired") as caught:
        await verifier(jwt_leeway_s=30).verify(signed(exp=time.time() - 31))
    assert caught.value.code == "invalid_token"


async def test_leeway_forgives_a_clock_that_is_off() -> None:
    """Within the leeway, expired is not expired and early is not early."""
    encoded = signed(exp=time.time() - 10, nbf=time.time() + 10)
    assert await verifier(jwt_leeway_s=30).verify(encoded)


@pytest.mark.parametrize(
    ("encoded", "detail"),
    [
        (signed("another-secret-of-the-tests-of-32-bytes"), "is not valid"),
        (signed(SECRET * 2, "HS512"), "is not valid"),
        (pyjwt.encode({"sub": "u1", "exp": 2e9}, None, "none"), "is not valid"),
        pytest.param(signed().rpartition(".")[0] + ".", "is not valid", id="unsigned"),
        (signed(nbf=time.time() + 7200), "not valid yet"),
        (signed(exp=None), "lacks the claim exp"),
        (signed(sub=None), "lacks the claim sub"),
        (signed(sub=5), "is not valid"),
        (signed(sub=""), "sub is not a usable id"),
        (signed(sub="a\nb"), "sub is not a usable id"),
        (signed(sub="u" * 256), "sub is not a usable id"),
        (signed(sid="s\0"), "sid or jti is not a usable id"),
        (signed(sid=["s"]), "sid or jti is not a usable id"),
        (signed(exp="tomorrow"), "is not valid"),
        (signed(exp="4000000000"), "has no exp"),
        (signed(exp=float("inf")), "is not valid"),
        (signed(headers={"crit": ["b64"], "b64": True}), "is not valid"),
        (signed(headers={"crit": ["exp"]}), "is not valid"),
        (signed(headers={"crit": []}), "is not valid"),
        (signed(headers={"crit": "exp"}), "is not valid"),
        (signed(sid="s" * MAX_JWT_CHARS), "too long"),
        ("", "is not valid"),
        ("a.b.c", "is not valid"),
        ("\udcff.b.c", "is not valid"),
        (signed() + "=", "is not valid"),
        (signed() + "==", "is not valid"),
        (signed() + "\n", "is not valid"),
        (f"{segment('[' * 5000)}.e30.e30", "is not valid"),
        (f"{segment(json.dumps({'alg': {}}))}.e30.e30", "is not valid"),
        (f"{segment(json.dumps({'alg': 'HS256', 'kid': 5}))}.e30.e30", "is not valid"),
    ],
)
async def test_jwt_5_bad_jwt_is_refused(encoded: str, detail: str) -> None:
    """Forged, misshapen or incomplete: Unauthorized, and nothing else."""
    assert detail in await refused(encoded, verifier())


@pytest.mark.parametrize("kind", ASYMMETRIC)
async def test_jwt_1_signed_with_a_public_key_as_if_it_were_a_secret_is_refused(kind: str) -> None:
    """Everybody has the public key: what it verifies is never HS256, whatever the header says."""
    assert "is not valid" in await refused(confused(kind), verifier("", public_pem(kind)))


@pytest.mark.parametrize("algorithm", ["RS384", "PS256"])
async def test_jwt_1_other_algorithm_of_the_same_key_is_refused(algorithm: str) -> None:
    """A key is for one."""
    encoded = signed(private_key("RS256"), algorithm)
    assert "is not valid" in await refused(encoded, verifier("", public_pem("RS256")))


@pytest.mark.parametrize(
    ("claims", "detail"),
    [
        ({"iss": "login", "aud": "shop"}, "for another audience"),
        ({"iss": "login", "aud": ["shop"]}, "for another audience"),
        ({"iss": "login", "aud": 5}, "for another audience"),
        ({"iss": "login"}, "lacks the claim aud"),
        ({"iss": "other", "aud": "orders"}, "from another issuer"),
        ({"aud": "orders"}, "lacks the claim iss"),
    ],
)
async def test_jwt_5_jwt_of_another_audience_or_issuer_is_refused(claims: dict[str, Any], detail: str) -> None:
    """The same login may serve others, whose JWTs are no good here."""
    judge = verifier(jwt_issuer="login", jwt_audience="orders")
    assert detail in await refused(signed(**claims), judge)


@pytest.mark.parametrize("audience", ["orders", ["shop", "orders"]])
async def test_jwt_of_our_audience_is_good(audience: object) -> None:
    """Alone or among others."""
    judge = verifier(jwt_issuer="login", jwt_audience="orders")
    assert await judge.verify(signed(iss="login", aud=audience))


async def test_issuer_and_audience_are_not_checked_where_not_set() -> None:
    """A JWT that names an audience is good even so."""
    assert await verifier().verify(signed(iss="anybody", aud="anything"))


async def test_jwt_verified_before_is_still_subject_to_its_expiry() -> None:
    """Remembered until then and no longer."""
    clock = [time.time()]
    judge = verifier(now=lambda: clock[0])
    encoded = signed(exp=clock[0] + 60)
    assert await judge.verify(encoded) is await judge.verify(encoded)
    clock[0] += 60
    with pytest.raises(ExpiredJwt):
        await judge.verify(encoded)


async def test_longest_unused_jwt_is_forgotten_when_too_many_are_remembered() -> None:
    """It is verified anew, and that is all."""
    judge = verifier(max_verified_jwts=2)
    first, second, third = (signed(sub=user) for user in ("u1", "u2", "u3"))
    known = [await judge.verify(encoded) for encoded in (first, second)]
    assert await judge.verify(first) is known[0]
    await judge.verify(third)
    assert await judge.verify(first) is known[0]
    assert await judge.verify(second) is not known[1]
