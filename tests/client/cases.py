"""Runs the Python client's pure parts through cases that its JavaScript twin runs through too.

`tests/client_cases/*.json` hold lists of cases; `tests/client_js/cases.test.js` reads the same files.
"""

import json
from pathlib import Path
from typing import Any

import msgspec

from orderstream.client import happenings, wire
from orderstream.client.acks import Sampling
from orderstream.client.book import Book, Hole
from orderstream.client.events import (
    Event,
    ExecutionReported,
    Order,
    OrderChanged,
    OrderRemoved,
    SnapshotTaken,
    Transport,
)
from orderstream.client.limits import Limits
from orderstream.client.machine import Machine
from orderstream.client.reader import Polled, PollReader, StreamReader
from orderstream.client.reasons import why
from orderstream.client.sse import Frame, FrameTooLarge, Parser

FOLDER = Path(__file__).parent.parent / "client_cases"
Case = dict[str, Any]


def cases(name: str) -> list[Case]:
    found: list[Case] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def run_machine(case: Case) -> list[Any]:
    """`happenings` -> for each the state, its cause, and the actions. Time goes on by a second each."""
    machine = Machine(Limits(**case.get("limits", {})), lambda: case.get("random", 0.5))
    steps = []
    for at_s, told in enumerate(case["happenings"], 1):
        actions = machine.on(_happening(told), float(at_s))
        steps.append({"state": machine.state, "cause": machine.cause, "actions": [_plain(one) for one in actions]})
    return _jsonable(steps)


def run_book(case: Case) -> list[Any]:
    """`steps` of `snapshot` or `event` -> for each what is told, and what is known after it."""
    book = Book()
    return [{"told": _book_step(book, step), **_known(book)} for step in case["steps"]]


def run_stream(case: Case) -> list[Any]:
    """`frames`, each `[name, id, payload]`, after a book at `cursor` -> what each says, in words."""
    book = _book_at(case)
    reader = StreamReader(book, renewable=case.get("renewable", True))
    said = []
    for name, id, payload in case["frames"]:
        text = payload if isinstance(payload, str) else json.dumps(payload)
        said.append(_said(reader.read(Frame(name, text, id))))
    return said


def run_poll(case: Case) -> list[Any]:
    """`answers`, each `{body, held}`, after a book at `cursor` -> what each says, in words."""
    reader = PollReader(_book_at(case))
    said = []
    for answer in case["answers"]:
        body = answer["body"] if isinstance(answer["body"], str) else json.dumps(answer["body"])
        said.append(_said(reader.read(Polled(body.encode(), answer["held"]))))
    return said


def run_why(case: Case) -> str | None:
    """`order` -> why it ended."""
    return why(msgspec.convert({"id": "a", "status": "rejected"} | case["order"], Order))


def run_checks(case: Case) -> Any:
    """`event`, a name and a payload, after a book -> what its reader is told to be odd."""
    name, payload = case["event"]
    told = _book_at({"cursor": "0a1b2c3d.4"}).apply(name, "0a1b2c3d.5", json.dumps(payload), Transport.SSE)
    assert isinstance(told, OrderChanged | ExecutionReported)
    return msgspec.to_builtins(told.check)


def run_live(case: Case) -> list[str]:
    """`frames` of a stream, then `answers` of polls, after a book at `cursor` -> the cursors of what came live.

    An answer that is null says that nothing is new."""
    book, live = _book_at(case), list[str]()
    stream = StreamReader(book, renewable=True, came_live=lambda cursor: live.append(str(cursor)))
    poll = PollReader(book, came_live=lambda cursor: live.append(str(cursor)))
    for name, id, payload in case.get("frames", ()):
        _said(stream.read(Frame(name, json.dumps(payload), id)))
    for body in case.get("answers", ()):
        if body is None:
            poll.caught_up()
            continue
        _said(poll.read(Polled(json.dumps(body).encode(), held=True)))
    return live


def run_acks(case: Case) -> list[bool | None]:
    """`steps`, each the second of an event that came live, or that the one under way is `done` -> which are taken."""
    sampling = Sampling(case["every_s"], lambda: float(case["random"]))
    return [sampling.done() if step == "done" else sampling.take(step) for step in case["steps"]]


def run_sse(case: Case) -> Any:
    """`chunks`, text or `{"hex"}` -> the frames and the last `retry`, or that there was too much."""
    parser = Parser(case.get("limit", 1_048_576))
    try:
        frames = [frame for chunk in case["chunks"] for frame in parser.feed(_bytes(chunk))]
    except FrameTooLarge:
        return "malformed"
    said = [{"name": frame.name, "id": frame.id, "payload": frame.payload} for frame in frames]
    return {"frames": said, "retry_s": parser.retry_s}


def _happening(told: Case) -> happenings.Happening:
    fields = {name: value for name, value in told.items() if name != "kind"}
    return msgspec.convert(fields, getattr(happenings, told["kind"]))


def _plain(said: msgspec.Struct) -> Case:
    return {"kind": type(said).__name__, **msgspec.structs.asdict(said)}


def _jsonable(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _book_at(case: Case) -> Book:
    book = Book()
    book.cursor = wire.cursor(case["cursor"]) if case.get("cursor") else None
    return book


def _book_step(book: Book, step: Case) -> str | None:
    try:
        if "snapshot" in step:
            taken = step["snapshot"]
            orders = [msgspec.convert(row, Order) for row in taken["orders"]]
            cursor = wire.cursor(taken["cursor"])
            return _word(book.snapshot(orders, cursor, Transport.SSE, taken.get("reset")))
        if "forget" in step:
            return book.forget()
        name, id, payload = step["event"]
        return _word(book.apply(name, id, json.dumps(payload), Transport.SSE))
    except Hole:
        return "hole"
    except wire.Malformed:
        return "malformed"


def _known(book: Book) -> Case:
    orders = {order.id: [order.status, order.version] for order in book.orders.values()}
    return {"cursor": str(book.cursor) if book.cursor else None, "orders": orders}


def _said(told: Any) -> list[Any]:
    said: list[Any] = []
    try:
        for one in told:
            said.append(_word(one) if isinstance(one, Event) else _jsonable(_plain(one)))
    except Hole:
        said.append("hole")
    except wire.Malformed:
        said.append("malformed")
    return said


_WORDS: dict[type[Event], str] = {
    OrderChanged: "order",
    ExecutionReported: "execution",
    OrderRemoved: "removed",
    SnapshotTaken: "snapshot",
}


def _word(event: Event | None) -> str | None:
    return None if event is None else _WORDS[type(event)]


def _bytes(chunk: str | dict[str, str]) -> bytes:
    return chunk.encode() if isinstance(chunk, str) else bytes.fromhex(chunk["hex"])
