"""JWTs: good ones are read, all others are refused with the reason that RFC 6750 wants."""

import base64
import json
import time

import jwt as pyjwt
import pytest

from orderstream.errors import Unauthorized
from orderstream.web.jwt import ExpiredJwt, issue, verify

SECRET = "a-secret-of-the-tests-of-32-bytes-or-more"


def signed(secret: str = SECRET, algorithm: str = "HS256", **claims: object) -> str:
    return pyjwt.encode({"sub": "u1", "exp": time.time() + 60} | claims, secret, algorithm)


def segment(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def test_issued_jwt_is_good_for_its_user() -> None:
    """What `issue` makes, `verify` reads."""
    assert verify(issue(SECRET, "u1", 60), SECRET, 0)["sub"] == "u1"


def test_claims_come_back_whole() -> None:
    """The session's id is for others to read."""
    assert verify(signed(sid="s1", aud="another"), SECRET, 0)["sid"] == "s1"


def test_expired_jwt_is_told_apart() -> None:
    """A stream answers it otherwise than a forged one."""
    with pytest.raises(ExpiredJwt, match="expired") as caught:
        verify(signed(exp=time.time() - 31), SECRET, 30)
    assert caught.value.code == "invalid_token"


def test_leeway_forgives_a_clock_that_is_off() -> None:
    """Within the leeway, expired is not expired and early is not early."""
    assert verify(signed(exp=time.time() - 10, nbf=time.time() + 10), SECRET, 30)


@pytest.mark.parametrize(
    ("encoded", "detail"),
    [
        (signed(secret="another-secret-of-the-tests-of-32-bytes"), "is not valid"),
        (signed(algorithm="HS512", secret=SECRET * 2), "is not valid"),
        (pyjwt.encode({"sub": "u1", "exp": 2e9}, None, "none"), "is not valid"),
        (signed(nbf=time.time() + 100), "not valid yet"),
        (signed(exp=None), "lacks the claim exp"),
        (signed(sub=None), "lacks the claim sub"),
        (signed(sub=5), "is not valid"),
        (signed(exp="tomorrow"), "is not valid"),
        (signed(exp=float("inf")), "is not valid"),
        ("", "is not valid"),
        ("a.b.c", "is not valid"),
        ("\udcff.b.c", "is not valid"),
        (f"{segment('[' * 5000)}.e30.e30", "is not valid"),
        (f"{segment(json.dumps({'alg': {}}))}.e30.e30", "is not valid"),
        (f"{segment(json.dumps({'alg': 'HS256', 'kid': 5}))}.e30.e30", "is not valid"),
    ],
)
def test_bad_jwt_is_refused(encoded: str, detail: str) -> None:
    """Forged, misshapen or incomplete: Unauthorized, and nothing else."""
    with pytest.raises(Unauthorized, match=detail) as caught:
        verify(encoded, SECRET, 0)
    assert (caught.value.code, type(caught.value)) == ("invalid_token", Unauthorized)
