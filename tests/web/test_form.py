"""A request that comes again is known by its form, whatever its cursor and credential; nothing else is taken for it."""

import pytest

from orderstream.web.form import form_of

CURSOR, JWT = "0a0a0a0a.7", "eyJh.eyJz.c2ln"


def request(cursor: str = CURSOR, jwt: str = JWT, *, is_jwt_first: bool = True, path: str = "/v1/orders/poll") -> bytes:
    lines = [f"Authorization: Bearer {jwt}", "Host: x", f'If-None-Match: W/"{cursor}"', "Accept: */*"]
    if not is_jwt_first:
        lines.reverse()
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode()


@pytest.mark.parametrize("is_jwt_first", [True, False])
def test_same_words_with_another_cursor_and_credential_have_the_form(is_jwt_first: bool) -> None:
    """Whichever comes first, and however long the cursor is; both are given as they are."""
    form = form_of(request(is_jwt_first=is_jwt_first), CURSOR, JWT)
    assert form is not None
    for cursor, jwt in [(CURSOR, JWT), ("ffffffff.123456789", JWT[::-1]), ("0a0a0a0a.8", JWT)]:
        assert form.read(request(cursor, jwt, is_jwt_first=is_jwt_first)) == (cursor, jwt)


def test_clients_that_ask_alike_have_one_form() -> None:
    """So that one is kept for all of them: those whose credentials are as long."""
    cursor, jwt = "ffffffff.123456789", JWT[::-1]
    assert form_of(request(), CURSOR, JWT) == form_of(request(cursor, jwt), cursor, jwt)


@pytest.mark.parametrize("is_jwt_first", [True, False])
def test_one_byte_more_less_or_other_is_another_form(is_jwt_first: bool) -> None:
    """Wherever it is, but for the bytes of these two."""
    sent = request(is_jwt_first=is_jwt_first)
    form = form_of(sent, CURSOR, JWT)
    assert form is not None
    own = [range(at := sent.index(text.encode()), at + len(text)) for text in (CURSOR, JWT)]
    for at, byte in enumerate(sent):
        changed = sent[:at] + bytes([byte ^ 1]) + sent[at + 1 :]
        assert (form.read(changed) is not None) == any(at in place for place in own)
        shorter, longer = form.read(sent[:at] + sent[at + 1 :]), form.read(sent[:at] + b"x" + sent[at:])
        for read in (shorter, longer):
            # Where the cursor is, another length is another cursor.
            assert read is None or (read[1] == JWT and at in range(own[0].start, own[0].stop + 1))


def test_what_is_shorter_than_the_form_has_another() -> None:
    """Part of a request, or nothing."""
    sent = request()
    form = form_of(sent, CURSOR, JWT)
    assert form is not None
    assert [form.read(sent[:size]) for size in range(len(sent) - len(CURSOR))] == [None] * (len(sent) - len(CURSOR))


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(request(path=f"/v1/orders/poll?{CURSOR}"), id="cursor-twice"),
        pytest.param(request(path=f"/v1/orders/poll?{JWT}"), id="credential-twice"),
        pytest.param(request("0a0a0a0a.8"), id="no-cursor"),
        pytest.param(request(jwt="other"), id="no-credential"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_request_in_which_either_is_not_just_once_has_none(sent: bytes) -> None:
    """It could not be told which place is meant."""
    assert form_of(sent, CURSOR, JWT) is None


def test_cursor_within_the_credential_is_none() -> None:
    """Two places may not overlap."""
    assert form_of(request("other", f"e{CURSOR}e"), CURSOR, f"e{CURSOR}e") is None
