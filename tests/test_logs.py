"""What a log line may hold, and how many lines a burst is."""

import json
import os
import re
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from structlog import DropEvent
from structlog.typing import EventDict

from orderstream.logs import Repeats
from tests.waiting import eventually

_FAILING = """
import structlog
from orderstream import logs

logs.configure(log_format={log_format!r}, log_level="info")

def connect(database_url):
    raise RuntimeError("no such host")

try:
    connect("postgresql://me:" + "se" + "cret@db/orders")
except RuntimeError as error:
    structlog.get_logger().error("part-failed", exc_info=error)
"""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_traceback_shows_no_local_variables(log_format: str) -> None:
    """A URL with its password, or a JWT, is in some frame of most failures."""
    child = subprocess.run(
        [sys.executable, "-c", _FAILING.format(log_format=log_format)], capture_output=True, text=True, check=True
    )
    assert "no such host" in child.stderr
    assert "secret@db" not in child.stderr


_TWO_LINES = """
import structlog
from orderstream import logs

logs.configure(log_format="json", log_level="info")
structlog.get_logger().info("first")
structlog.get_logger().info("second")
"""


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_line_is_written_at_once_with_its_end(unbuffered: str) -> None:
    """Processes that share a pipe would else write between. (Over this socket each write is a packet.)"""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
        subprocess.run([sys.executable, "-c", _TWO_LINES], stderr=theirs, env=environment, check=True)
        packets = [ours.recv(4096), ours.recv(4096)]
    assert [(packet.endswith(b"}\n"), json.loads(packet)["event"]) for packet in packets] == [
        (True, "first"),
        (True, "second"),
    ]


class Clock:
    """Seconds that pass when the test says so."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Log:
    """A logger whose lines go through a Repeats: `lines` are those that were said, in their order."""

    def __init__(self) -> None:
        self.lines: list[EventDict] = []
        self.clock = Clock()
        self.repeats = Repeats([lambda _, __, line: dict(line)], self.lines.append, clock=self.clock)

    def __call__(self, level: str, event: str, **fields: Any) -> None:
        with suppress(DropEvent):
            self.lines.append(dict(self.repeats(None, level, {"event": event, "level": level, **fields})))


@pytest.fixture
def log() -> Log:
    return Log()


def failed(kind: type[Exception]) -> Exception:
    """One that was raised, always in the same place."""
    try:
        raise kind
    except kind as error:
        return error


def test_burst_of_the_same_failure_is_one_line_with_their_number_and_whose_they_were(log: Log) -> None:
    """Wherever the requests went; the newest names are kept, since a client may ask about its own."""
    for number in range(100):
        log("error", "request-failed", path=f"/{number}", request_id=f"r{number}", exc_info=failed(ValueError))
    log.repeats.flush()
    first, rest = log.lines
    assert (first["request_id"], first["path"], first.get("repeated")) == ("r0", "/0", None)
    assert (rest["repeated"], rest["path"], "request_id" in rest) == (99, "/99", False)
    assert list(rest["request_ids"]) == [f"r{number}" for number in range(80, 100)]


@pytest.mark.parametrize(
    "other",
    [
        {"event": "sequencer-disconnected"},
        {"reason": "no route"},
        {"part": "hub-sweep"},
        {"level": "warning"},
        {"logger": "aiohttp.server"},
        {"exc_info": failed(KeyError)},
        {"exc_info": None},
    ],
    ids=lambda other: next(iter(other)),
)
def test_line_that_differs_in_what_identifies_it_is_another(log: Log, other: dict[str, Any]) -> None:
    """It is said at once."""
    same = {"event": "e", "level": "error", "reason": "refused", "part": "p", "exc_info": failed(ValueError)}
    for line in (same, same, {**same, **other}):
        log(**line)
    assert len(log.lines) == 2


def test_burst_that_goes_on_is_a_line_a_second(log: Log) -> None:
    """What became due is said with whatever is logged next."""
    for tenth in range(31):
        log.clock.now_s = tenth / 10
        log("warning", "sequencer-disconnected", reason="refused")
    assert [line.get("repeated", 1) for line in log.lines] == [1, 9, 10, 10]


def test_info_is_never_held(log: Log) -> None:
    """Each stream has its line."""
    for _ in range(3):
        log("info", "stream-opened")
    assert [line["event"] for line in log.lines] == ["stream-opened"] * 3


async def test_end_of_a_burst_is_told_though_nothing_else_is_logged(log: Log) -> None:
    """On a timer."""
    async with log.repeats.told():
        log("error", "e")
        log("error", "e")
        log.clock.now_s = 1.0
        assert await eventually(lambda: log.lines[1:])


_BURSTS = """
import asyncio, logging, structlog
from orderstream import logs

# Five lines are one burst, however long they take.
logs._INTERVAL_S = 60.0

async def main():
    repeats = logs.configure(log_format="json", log_level="info")
    async with repeats.told():
        for _ in range(5):
            structlog.get_logger().warning("jwks-failed", reason="refused")
            logging.getLogger("asyncio").error("Task was lost\\nfuture: %s", object())
            logging.getLogger("asyncio").info("Using selector")

asyncio.run(main())
"""


def test_libraries_are_held_to_it_too_and_the_end_says_what_is_left() -> None:
    """In our form, with the logger's name."""
    child = subprocess.run([sys.executable, "-c", _BURSTS], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in child.stderr.splitlines()]
    said = [(line["event"].partition("\n")[0], line.get("logger"), line.get("repeated", 1)) for line in lines]
    ours, theirs = ("jwks-failed", None), ("Task was lost", "asyncio")
    assert said == [(*ours, 1), (*theirs, 1), (*ours, 4), (*theirs, 4)]


ROOT = Path(__file__).parent.parent
_CALL = re.compile(r"\b_?log\.(warning|error|exception|critical)\(")
_NAMED_CALL = re.compile(r"\b_log\.(warning|error)\(\s*\"([a-z-]+)\"")
_ROW = re.compile(r"^\| `([a-z-]+)` \| (warning|error) \| [^|]+ \| [^|]+ \|$", re.MULTILINE)


def test_every_warning_and_error_is_explained_to_the_operator() -> None:
    """In docs/operations.md, with its level and what to do; and nothing is explained that nobody says."""
    code = "".join(path.read_text() for path in sorted((ROOT / "orderstream").rglob("*.py")))
    said = {(event, level) for level, event in _NAMED_CALL.findall(code)}
    assert len(said) == len({event for event, _ in said}) > 10
    assert set(_ROW.findall((ROOT / "docs" / "operations.md").read_text())) == said


def test_every_warning_and_error_has_a_name_that_can_be_looked_up() -> None:
    """A literal one, so that the table is whole."""
    code = "".join(path.read_text() for path in sorted((ROOT / "orderstream").rglob("*.py")))
    assert len(_CALL.findall(code)) == len(_NAMED_CALL.findall(code))
