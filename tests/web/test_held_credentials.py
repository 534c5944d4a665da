"""Whose the next poll on a connection is: its credential says so, whatever the one before was."""

import re

from orderstream.web import jwt
from orderstream.web.seats import SESSIONS
from tests.services import SECRET
from tests.web.edge import Edge, Line, edge
from tests.web.loops import on_both_loops
from tests.web.test_held import answer, asked, polled


def of(user: str, session: str | None = None, *, seq: int = 0) -> bytes:
    """The words of `asked` with another credential."""
    credential = jwt.issue(SECRET, user, 3600, session).encode()
    return re.sub(rb"(?<=\r\nAuthorization: Bearer )[^\r]+", credential, asked(seq))


async def idle(served: Edge, asks: bytes) -> Line:
    """A connection on which its first poll was answered with an event."""
    line = await served.line()
    line.send(asks)
    assert (await answer(line)).status == 200
    return line


@on_both_loops
async def test_another_users_credential_is_answered_to_that_user(served: Edge) -> None:
    """A proxy may share a connection between users, and clients of one kind ask alike: whether the credential was seen
    before or not."""
    for user in ("u1", "u2", "u2", "u3", "u3", "u3"):
        served.store.place(user)
    line = await idle(served, of("u1"))
    await idle(served, of("u2"))
    for user, newest in [("u2", 2), ("u3", 3), ("u1", 1), ("u2", 2)]:
        line.send(of(user))
        assert (await answer(line)).headers["etag"] == f'W/"0a0a0a0a.{newest}"'


async def test_another_session_of_the_user_is_not_taken_for_the_one_before() -> None:
    """That one was ended, and this one was not."""
    async with edge() as served:
        served.store.place("u1")
        line = await idle(served, of("u1", "one"))
        await idle(served, of("u1", "two"))
        served.app[SESSIONS].revoke("u1", "one", float("inf"))
        line.send(of("u1", "two"))
        assert (await answer(line)).status == 200
        line.send(of("u1", "one"))
        assert (await answer(line)).kind == "session-revoked"


async def test_nonsense_in_place_of_the_credential_is_refused() -> None:
    """As long as it was, and whatever it may look like."""
    async with edge() as served:
        line = await served.line()
        await polled(served, line)
        [own] = re.findall(rb"\r\nAuthorization: Bearer ([^\r]+)", asked(1))
        line.send(asked(1).replace(own, b"x\r\nContent-Length: 0\r\nY: ".ljust(len(own), b"z")))
        assert (await answer(line)).status == 401
