"""Answers of a real service on a real Postgres, of every kind that `/openapi.json` describes.

`pytest tests/web/test_openapi.py --write-examples` writes those that the description shows; without it, a test says
when that is due.
"""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import aiohttp
from psycopg2.extensions import cursor

from tests.postgres.feed import insert_order, opened
from tests.services import RunningService, running_service
from tests.waiting import PATIENCE_S

STORED = Path(__file__).parents[2] / "orderstream" / "web" / "examples.json"

_ORDER, _OLDER, _EXECUTION = (f"{digit * 8}-{digit * 4}-4{digit * 3}-8{digit * 3}-{digit * 12}" for digit in "123")
_REQUESTS = 40
_SETTINGS: dict[str, Any] = {
    "heartbeat_s": 0.3,
    "auth_expiring_s": 60.0,
    "jwt_leeway_s": 0.0,
    "cors_origins": ["https://trade.example"],
    "requests_per_user_per_minute": _REQUESTS,
}
# What differs each time: cursors, times, pages, tickets, sessions and delays.
_CHANCE = re.compile(
    r'[0-9a-f]{8}\.(?=\d)|\d{4}-\d\d-\d\dT[\d:.]+Z|WyI[\w-]+|(?<="ticket": ")[\w-]+|jwt-[0-9a-f]+|(?<=retry: )\d+'
)


_JSON = {"Content-Type": "application/json"}


class Produced:
    """`answers`: (operation, status, name) -> body as it came; `frames`: (event, data) of all streams; `requests`:
    (operation, name) -> body as it was sent."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, int, str], str] = {}
        self.problems: dict[str, tuple[int, str]] = {}
        self.frames: list[tuple[str, str]] = []
        self.requests: dict[tuple[str, str], str] = {}

    @property
    def examples(self) -> dict[str, Any]:
        """As they are stored; what only a test wants is called odd."""
        stored: dict[str, Any] = {}
        for (operation, status, name), body in self.answers.items():
            if name != "odd":
                value = body if operation == "streamOrders" else json.loads(body)
                stored.setdefault(f"{operation} {status}", {})[name] = value
        for (operation, name), body in self.requests.items():
            stored[f"{operation} request"] = {name: json.loads(body)}
        return stored | {f"problem {kind}": json.loads(body) for kind, (_, body) in self.problems.items()}


def lasting(examples: dict[str, Any]) -> str:
    """What of them is the same each time."""
    return _CHANCE.sub("*", json.dumps(examples, indent=1))


async def produced(database: str) -> Produced:
    """Asks for all of it, which takes a second or two."""
    made = Produced()
    with opened(database) as session, session.cursor() as at:
        _place(at)
        async with running_service(database, **_SETTINGS) as service, aiohttp.ClientSession(service.url) as client:
            asked = _Asked(made, service, client)
            await asked.numbered(2)
            async with client.get("/v1/orders/stream", headers=asked.ann) as stream:
                await asked.follow(stream, at)
                await asked.resources()
            await asked.ends()
            await asked.problems()
    return made


def _place(at: cursor) -> None:
    insert_order(at, "ann", id=_OLDER, symbol="BTC-USD", asset_class="crypto", quantity="0.00012500")
    insert_order(at, "ann", id=_ORDER, client_order_id="mine-1")
    # Words that nobody here has heard of, digits that no double holds, and nothing where nothing need be.
    insert_order(at, "odd", status="teleported", quantity="123456789012345678.123456789", price=None, side="hold")
    insert_order(at, "odd", status="rejected", quantity=None, reason="line\nbreak")


class _Asked:
    def __init__(self, made: Produced, service: RunningService, client: aiohttp.ClientSession) -> None:
        self._made, self._service, self._client = made, service, client
        self._cursor = ""
        # One JWT, so one session, for all that she asks.
        self.ann = service.bearer("ann")

    async def numbered(self, seq: int) -> None:
        """Returns once so many events of ann's are known."""
        async with asyncio.timeout(PATIENCE_S):
            while not self._cursor.endswith(f".{seq}"):
                tag = {"If-None-Match": f'W/"{self._cursor}"', "Prefer": "wait=5"} if self._cursor else {}
                self._cursor = json.loads(await self._ask("/v1/orders/poll", **tag))["cursor"]

    async def follow(self, stream: aiohttp.ClientResponse, at: cursor) -> None:
        """A stream as it goes: an order is traded, another one comes and goes."""
        blocks = await self._until(stream, "live")
        at.execute(
            "update orders set status = 'partially_filled', filled_quantity = 4, average_price = 230.25 where id = %s",
            [_ORDER],
        )
        blocks += await self._until(stream, "order")
        at.execute(
            "insert into executions (id, order_id, symbol, side, quantity, price)"
            " values (%s, %s, 'AAPL', 'buy', 4, 230.25)",
            [_EXECUTION, _ORDER],
        )
        blocks += await self._until(stream, "execution")
        shown = [block for block in blocks if "event: heartbeat\n" not in block]
        shown += (await self._until(stream, "heartbeat"))[-1:]
        self._made.answers["streamOrders", 200, "a-trade"] = "".join(shown)
        gone = insert_order(at, "ann", id=_EXECUTION)
        at.execute("delete from orders where id = %s", [gone])
        await self._until(stream, "order-removed")

    async def resources(self) -> None:
        """Every answer that is no problem."""
        tag = f'W/"{self._cursor}"'
        for operation, name, path, headers in (
            ("listOrders", "a-page", "/v1/orders?limit=1", {}),
            ("readOrder", "partly-filled", f"/v1/orders/{_ORDER}", {}),
            ("readOrderEvents", "a-page", f"/v1/orders/{_ORDER}/events?limit=2", {}),
            ("listExecutions", "a-statement", "/v1/executions?since=2026-01-01T00:00:00Z", {}),
            ("pollOrders", "snapshot", "/v1/orders/poll", {}),
            ("pollOrders", "events", "/v1/orders/poll", {"If-None-Match": tag}),
            ("pollOrders", "reset", "/v1/orders/poll", {"If-None-Match": '"of another service"'}),
        ):
            self._made.answers[operation, 200, name] = await self._ask(path, **headers)
        self._made.answers["listOrders", 200, "odd"] = await self._ask("/v1/orders", "odd")
        self._made.answers["listSessions", 200, "a-browser"] = await self._ask("/v1/sessions", "ann")
        async with self._client.post("/v1/tickets", headers=self.ann) as answer:
            self._made.answers["issueTicket", 201, "ticket"] = await answer.text()
        ack = json.dumps({"cursor": self._cursor, "transport": "sse"})
        self._made.requests["acknowledge", "of-a-stream"] = ack
        async with self._client.post("/v1/acks", headers=self.ann | _JSON, data=ack) as answer:
            assert answer.status == 204, await answer.text()

    async def ends(self) -> None:
        """A stream that begins with a reset and whose credential is about to end; and one after its end."""
        path = "/v1/orders/stream?cursor=of-another-service"
        for expires_s, last in ((50, "live"), (-1, "goaway")):
            async with self._client.get(path, headers=self._service.bearer("ann", expires_s)) as stream:
                await self._until(stream, last)

    async def problems(self) -> None:
        """Those that can be had by asking; the last of them ends ann's session."""
        crossed = {"Cookie": f"orderstream_jwt={self._service.jwt('ann')}", "Origin": "https://elsewhere.example"}
        preflight = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET"}
        ann = self.ann
        for method, path, headers in (
            ("GET", "/v1/orders", {}),
            ("GET", "/v1/orders?limit=many", ann),
            ("GET", "/v1/orders/none", ann),
            ("PUT", "/v1/orders", ann),
            ("GET", "/v1/orders", crossed),
            ("OPTIONS", "/v1/orders", preflight),
            ("GET", f"/v1/orders?symbol={'A' * 9000}", ann),
            ("GET", "/v1/orders", {"X-Long": "A" * 17_000}),
            ("GET", "/v1/orders", {"Expect": "a miracle"}),
            ("POST", "/v1/tickets", ann | {"Content-Length": "70000"}),
            ("POST", "/v1/acks", ann | {"Content-Type": "text/plain"}),
        ):
            body = b"0" * 70_000 if "Content-Length" in headers else None
            await self._problem(method, path, headers, body)
        session_id = json.loads(self._made.answers["listSessions", 200, "a-browser"])["sessions"][0]["id"]
        greedy = self._service.bearer("greedy")
        # As many again, since those of a minute that is over count for less and less.
        for _ in range(2 * _REQUESTS):
            async with self._client.get("/v1/orders", headers=greedy) as answer:
                if answer.status == 429:
                    break
        await self._problem("GET", "/v1/orders", greedy)
        async with self._client.delete(f"/v1/sessions/{session_id}", headers=ann) as answer:
            assert answer.status == 204, await answer.text()
        await self._problem("GET", "/v1/orders", ann)

    async def _problem(self, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> None:
        async with self._client.request(method, path, headers=headers, data=body) as answer:
            text = await answer.text()
            assert answer.content_type == "application/problem+json", (path, answer.status, text)
            kind = json.loads(text)["type"].rpartition(":")[2]
            assert kind not in self._made.problems, kind
            self._made.problems[kind] = (answer.status, text)

    async def _ask(self, path: str, user: str = "ann", **headers: str) -> str:
        async with self._client.get(
            path, headers=(self.ann if user == "ann" else self._service.bearer(user)) | headers
        ) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.text()

    async def _until(self, stream: aiohttp.ClientResponse, event: str) -> list[str]:
        """The blocks up to the next event of that name."""
        blocks: list[str] = []
        async with asyncio.timeout(PATIENCE_S):
            while not blocks or f"event: {event}\n" not in blocks[-1]:
                blocks.append((await stream.content.readuntil(b"\n\n")).decode())
                fields = dict(line.split(": ", 1) for line in blocks[-1].rstrip("\n").split("\n"))
                if "event" in fields:
                    self._made.frames.append((fields["event"], fields["data"]))
        return blocks
