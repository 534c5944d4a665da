"""What is read from a verified JWT."""

import pytest

from orderstream.core.claims import MAX_ID_CHARS, identity
from orderstream.errors import Unauthorized


@pytest.mark.parametrize(
    ("claims", "session_id"), [({"sid": "s"}, "s"), ({"jti": "j"}, "j"), ({"sid": "s", "jti": "j"}, "s")]
)
def test_session_is_sid_or_else_jti(claims: dict[str, object], session_id: str) -> None:
    """A login has one name, or none."""
    assert identity({"sub": "ann", "exp": 9, **claims}, b"").session_id == session_id


@pytest.mark.parametrize("sub", [None, "", 7, ["ann"], "a\nb", "a\x00", "x" * (MAX_ID_CHARS + 1)])
def test_unusable_sub_is_refused(sub: object) -> None:
    """Never cut or converted: two users must not become one."""
    with pytest.raises(Unauthorized, match="sub is"):
        identity({"sub": sub, "exp": 9}, b"")


@pytest.mark.parametrize("exp", [None, "9", [9]])
def test_jwt_without_end_is_refused(exp: object) -> None:
    """A stream must know when to end."""
    with pytest.raises(Unauthorized, match="exp"):
        identity({"sub": "ann", "exp": exp}, b"")


def test_longest_user_id_is_taken() -> None:
    """The limit itself is within."""
    assert identity({"sub": "x" * MAX_ID_CHARS, "exp": 9}, b"").user_id == "x" * MAX_ID_CHARS
