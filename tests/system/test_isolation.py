"""Nobody sees what is another's: many users at once on two services, and one who asks for another's order."""

import asyncio
import random
import threading
import time
import uuid
from collections import Counter
from contextlib import closing
from typing import Any

import aiohttp
import jwt
import psycopg2
import pytest

from orderstream.postgres.pool import Pool
from tests.services import SECRET, Address, running_service
from tests.system.clients import ENDLESS, Frame, Stream
from tests.system.tables import execute, insert_order, write_orders
from tests.waiting import eventually

USERS = [f"user-{number}" for number in range(12)]
# What one who was logged out, or whose JWT ended, may still receive that was on its way; all of it is in this process,
# and late where that gets no time.
GRACE_S = 5.0
# What must have been seen of each for the test to mean something.
ENOUGH = Counter({"visits": 400, "refused": 5, "session-revoked": 3, "auth-expired": 3, "order": 500, "reset": 3})


class Desk:
    """The order service: each order's client_order_id says whose it is now, and `owners` whose it ever was."""

    def __init__(self, database: str, seed: int) -> None:
        self.owners: dict[str, set[str]] = {}
        self.enough = threading.Event()
        self._random = random.Random(f"{seed} desk")
        self._session = psycopg2.connect(database)
        self._session.autocommit = True
        self._cursor = self._session.cursor()
        self._actions = [self._place, self._place, self._change, self._change, self._execute, self._move, self._delete]

    def run(self) -> None:
        """Until it is `enough`."""
        with closing(self._session):
            self._place()
            while not self.enough.wait(0.002):
                self._random.choice(self._actions)()

    def _place(self) -> None:
        order_id, user = str(uuid.uuid4()), self._random.choice(USERS)
        self.owners[order_id] = {user}
        insert_order(self._cursor, order_id, user, user)

    def _change(self) -> None:
        self._cursor.execute("update orders set filled_quantity = filled_quantity + 1 where id = %s", [self._any()])

    def _execute(self) -> None:
        self._cursor.execute(
            "insert into executions (order_id, symbol, side, quantity) "
            "select id, symbol, side, 1 from orders where id = %s",
            [self._any()],
        )

    def _move(self) -> None:
        order_id, user = self._any(), self._random.choice(USERS)
        self.owners[order_id].add(user)
        moved = "update orders set user_id = %s, client_order_id = %s where id = %s"
        self._cursor.execute(moved, [user, user, order_id])

    def _delete(self) -> None:
        self._cursor.execute("delete from orders where id = %s", [self._any()])

    def _any(self) -> str:
        return self._random.choice(list(self.owners))


class Site:
    """What all devices share: two services, connections to them, and what was given to anybody."""

    def __init__(self, seed: int, at: list[Address], desk: Desk, client: aiohttp.ClientSession) -> None:
        self.seed = seed
        self.at = at
        self.desk = desk
        self.client = client
        self.cursors: list[str] = []  # of all users: a cursor is no credential
        self.logins = {user: [f"{user}.{number}" for number in range(4)] for user in USERS}
        self.out_at: dict[str, float] = {}  # login -> when the answer came that it was logged out


class Device:
    """Comes and goes as one user, from several logins, with cursors of anybody."""

    def __init__(self, user: str, number: int, site: Site) -> None:
        self.seen: Counter[str] = Counter()
        self._user = user
        self._site = site
        self._client = site.client
        self._logins = site.logins[user]
        self._random = random.Random(f"{site.seed} {user} {number}")

    async def run(self) -> None:
        """For ever. A violation is an AssertionError."""
        while True:
            login = self._random.choice(self._logins)
            expires_at = time.time() + self._random.choice([1.5, 600, 600, 600])
            visits = [self._stream, self._stream, self._poll, self._poll, self._list, self._history, self._log_out]
            await self._random.choice(visits)(login, expires_at)
            self.seen["visits"] += 1

    async def _stream(self, login: str, expires_at: float) -> None:
        url = f"{self._random.choice(self._site.at).url}/v1/orders/stream"
        headers = self._bearer(login, expires_at) | self._resumed("Last-Event-ID", "{}")
        async with self._client.get(url, headers=headers, timeout=ENDLESS) as response:
            if response.status == 204:
                self._refused(login)
                return
            stream = Stream(response)
            frames = self._random.randrange(1, 40)
            # Who may see nothing any more stays until the stream ends.
            while frames > 0 or time.time() > self._ends_at(login, expires_at):
                if (frame := await stream.next()) is None:
                    return
                self._look(frame, login, expires_at)
                frames -= 1

    async def _poll(self, login: str, expires_at: float) -> None:
        headers = self._resumed("If-None-Match", 'W/"{}"') | {"Prefer": f"wait={self._random.randrange(2)}"}
        if not (body := await self._get("/v1/orders/poll", login, expires_at, headers)):
            return
        for each in body.get("events", []):
            self._look(Frame(each["event"], each["data"], each["id"]), login, expires_at)
        self._look(Frame("snapshot", body, body.get("cursor")), login, expires_at)

    async def _list(self, login: str, expires_at: float) -> None:
        if page := await self._get("/v1/orders", login, expires_at, {}):
            self._look(Frame("snapshot", page, None), login, expires_at)
        for session in (await self._get("/v1/sessions", login, expires_at, {})).get("sessions", []):
            assert session["id"].startswith(f"{self._user}.")

    async def _history(self, login: str, expires_at: float) -> None:
        """Of anybody's order, and the executions of all."""
        order_id = self._random.choice([*self._site.desk.owners, "none"])
        told = await self._get(f"/v1/orders/{order_id}/events?limit=200", login, expires_at, {})
        for each in told.get("events", []):
            self._look(Frame(each["event"], each["data"], None), login, expires_at)
        for one in (await self._get("/v1/executions", login, expires_at, {})).get("executions", []):
            assert self._user in self._site.desk.owners[one["order_id"]]

    async def _log_out(self, login: str, expires_at: float) -> None:
        """From a login of its own, which nobody ends; and logs in again."""
        if self._random.random() < 0.6 or login in self._site.out_at:
            return
        url = f"{self._random.choice(self._site.at).url}/v1/sessions/{login}"
        own = self._bearer(f"{self._user}.own", time.time() + 600)
        async with self._client.delete(url, headers=own) as response:
            assert response.status == 204
        self._site.out_at.setdefault(login, time.time())
        self._logins.append(f"{self._user}.{len(self._logins)}")

    async def _get(self, path: str, login: str, expires_at: float, headers: dict[str, str]) -> Any:
        url = self._random.choice(self._site.at).url + path
        async with self._client.get(url, headers=self._bearer(login, expires_at) | headers) as response:
            if response.status == 401:
                self._refused(login)
            return await response.json() if response.status == 200 else {}

    def _look(self, frame: Frame, login: str, expires_at: float) -> None:
        self.seen[frame.data["reason"] if frame.event == "goaway" else frame.event] += 1
        if frame.event in ("goaway", "retry"):
            return
        assert time.time() < self._ends_at(login, expires_at) + GRACE_S, (frame, login)
        if frame.id is not None:
            self._site.cursors.append(frame.id)
        for order in frame.data.get("orders", []) if frame.event == "snapshot" else []:
            assert order["client_order_id"] == self._user
        if frame.event == "order":
            assert frame.data["order"]["client_order_id"] == self._user
        elif frame.event == "execution":
            assert self._user in self._site.desk.owners[frame.data["execution"]["order_id"]]
        elif frame.event == "order-removed":
            assert self._user in self._site.desk.owners[frame.data["order_id"]]

    def _ends_at(self, login: str, expires_at: float) -> float:
        return min(expires_at, self._site.out_at.get(login, expires_at))

    def _refused(self, login: str) -> None:
        self.seen["refused"] += login in self._site.out_at

    def _resumed(self, header: str, form: str) -> dict[str, str]:
        if not self._site.cursors or self._random.random() < 0.4:
            return {}
        return {header: form.format(self._random.choice(self._site.cursors[-50:]))}

    def _bearer(self, login: str, expires_at: float) -> dict[str, str]:
        claims = {"sub": self._user, "sid": login, "exp": expires_at}
        return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, 'HS256')}"}


@pytest.mark.system
async def test_nobody_receives_what_is_anothers(database: str, request: pytest.FixtureRequest) -> None:
    """Streams, polls and lists on two services over shared connections, with cursors of others; logins are ended and
    JWTs run out meanwhile, and soon after nothing comes any more."""
    seed = request.config.getoption("--seed") or random.randrange(1 << 32)
    print(f"repeat with --seed {seed}")
    desk = Desk(database, seed)
    settings = {"jwt_leeway_s": 0.0, "heartbeat_s": 0.5}
    async with (
        running_service(database, **settings) as first,
        running_service(database, **settings) as second,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), connector=aiohttp.TCPConnector(limit=0)) as client,
        asyncio.TaskGroup() as group,
    ):
        site = Site(seed, [first, second], desk, client)
        devices = [Device(user, number, site) for user in USERS for number in range(2)]
        desking = group.create_task(asyncio.to_thread(desk.run))
        try:
            visiting = [group.create_task(device.run()) for device in devices]
            await eventually(lambda: sum((device.seen for device in devices), Counter()) >= ENOUGH, within_s=120)
        finally:
            desk.enough.set()
            print(sum((device.seen for device in devices), Counter()))
        await desking
        for task in visiting:
            task.cancel()


@pytest.mark.parametrize("below", ["", "/events"])
async def test_another_users_order_is_answered_like_none(
    database: str, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    """Byte for byte but for Date, and by the same one query, so that neither words nor time tell that it exists."""
    fetch, asked = Pool.fetch, list[str]()

    async def fetched(pool: Pool, sql: str, parameters: Any = None) -> Any:
        asked.append(sql)
        return await fetch(pool, sql, parameters)

    write_orders(database, "bob", 1)
    async with running_service(database) as at:
        [(bobs,)] = execute(database, "select id::text from orders")
        monkeypatch.setattr(Pool, "fetch", fetched)
        answers = [await _raw(at, f"/v1/orders/{order_id}{below}") for order_id in (bobs, str(uuid.uuid4()))]
    reads = [sql for sql in asked if "orderstream.orders" in sql]
    assert answers[0].startswith(b"HTTP/1.1 404")
    assert answers[0] == answers[1]
    assert len(reads) == 2
    assert reads[0] == reads[1]


async def _raw(at: Address, path: str) -> bytes:
    """The answer as it came, without its Date, to a request that is always called the same."""
    reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
    credential = at.bearer("ann")["Authorization"]
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Request-Id: same\r\nAuthorization: {credential}\r\n"
    writer.write(f"{head}Connection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return b"\r\n".join(line for line in answer.split(b"\r\n") if not line.startswith(b"Date: "))
