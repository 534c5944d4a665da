"""Plays a FIX log into the orders' tables, as an order service would have written them.

What a message changes and that it was played is one transaction, so what was killed in the middle is started again from
the beginning of its log and passes over what it finds done. Memory does not grow with the log: what is known of orders
is asked of the database for each batch.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import BinaryIO

import msgspec

from orderstream.core.fix import book
from orderstream.core.fix.book import Entry
from orderstream.core.fix.ids import names_of
from orderstream.core.fix.pace import Pace
from orderstream.core.fix.reports import NotRead, PassedOver, Users, at_of, read
from orderstream.core.fix.wire import Message, Reader, Unreadable
from orderstream.errors import OperatorError
from orderstream.ingest.aside import SetAside
from orderstream.ingest.counts import Counts
from orderstream.ingest.verdicts import verdicts
from orderstream.postgres.ingest import Refused, Tables, open_tables

# One round trip asks for, and one transaction writes, as many as that; it also bounds what a kill makes one do again.
BATCH_MESSAGES = 1000
_PIECE_BYTES = 1_048_576
# The reader would keep the interpreter for 5 ms each time that the writer has its answer and wants to go on.
_SWITCH_S = 0.0005
_PROGRESS_TTY_S, _PROGRESS_S = 0.5, 10.0

STDIN = "-"

Say = Callable[[str], None]


class Unusable(OperatorError):
    """The log cannot be read at all."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """`pace` is how many times as fast as it was, None as fast as it goes; `source` keeps apart logs that use the same
    names."""

    log: str
    aside: Path
    users: Users = Users()
    source: str = ""
    pace: float | None = None
    silence_most_s: float = float("inf")
    is_strict: bool = False


def aside_of(log: str, asked: Path | None) -> Path:
    """Where messages are set aside to: as asked, else beside the log. Raises Unusable if that is the log."""
    aside = asked or Path("stdin.set-aside" if log == STDIN else f"{log}.set-aside")
    if log != STDIN and aside.absolute() == Path(log).absolute():
        raise Unusable("--set-aside must not be the log itself")
    return aside


def run(database_url: str, options: Options, *, timeout_s: float, say: Say, progress: Say) -> int:
    """Ingests the log and says the closing table. The exit status: 0, 1 if anything was set aside, 128 and its number
    if a signal ended it.

    Raises Unusable, CannotWrite, and what `open_tables` and its methods do.
    """
    sys.setswitchinterval(_SWITCH_S)
    with (
        _opened(options.log) as log,
        SetAside(options.aside) as aside,
        open_tables(database_url, timeout_s=timeout_s) as tables,
        _signalled() as stop,
    ):
        ingest = _Ingest(tables, options, aside, stop, _Progress(progress, log))
        ingest.run(log)
        for line in ingest.closing():
            say(line)
        if stop.number:
            say(f"stopped by {signal.Signals(stop.number).name}: start it again, and it goes on from here")
            return 128 + stop.number
        if ingest.counts.total_aside:
            say(f"what was set aside is in {aside.path}")
            return 1
    return 0


class _Stopped(Exception):
    """A signal came while there was nothing to read, perhaps for ever."""


class _Stop(threading.Event):
    """Set by a signal, whose `number` it is; `is_reading` while nothing is lost by giving up at once."""

    number = 0
    is_reading = False


class _Item(msgspec.Struct, frozen=True):
    """A message to play, or why it cannot be."""

    line: int
    raw: bytes
    entry: Entry | None
    reason: str = ""


class _Ingest:
    """Reads ahead one batch while the one before is written, by a thread of its own: whoever waits for the database
    does not hold the interpreter."""

    def __init__(self, tables: Tables, options: Options, aside: SetAside, stop: _Stop, progress: "_Progress") -> None:
        self.counts = Counts()
        self._tables = tables
        self._options = options
        self._aside = aside
        self._stop = stop
        self._progress = progress
        self._pace = None if options.pace is None else Pace(options.pace, options.silence_most_s)
        self._items: list[_Item] = []
        self._position = tables.position()
        self._last_order_id: str | None = None
        self._writer = ThreadPoolExecutor(1)
        self._written: Future[None] | None = None

    def run(self, log: BinaryIO) -> None:
        """To the end of the log, or until it is told to stop; what was begun is written by then."""
        reader = Reader()
        with self._writer:
            with suppress(_Stopped):
                for piece in _pieces(log, self._stop):
                    self._take(reader.feed(piece))
                    # Whoever writes the log may write no more for a while.
                    self._write()
            if not self._stop.is_set():
                self._take(reader.end())
                self._write()
            self._settle()

    def closing(self) -> list[str]:
        """The table, with what the checker says of what was written."""
        took_s = self._progress.took_s
        self._progress.end()
        found = None
        if self._last_order_id is not None:
            found = verdicts(self._tables, self._position, self._last_order_id, self._stop)
        return self.counts.table(took_s, found)

    def _take(self, found: Iterator[Message | Unreadable]) -> None:
        for one in found:
            if isinstance(one, Unreadable):
                self._items.append(_Item(one.line, one.raw, None, one.reason))
            else:
                self._read(one)
            if len(self._items) >= BATCH_MESSAGES:
                self._write()
            if self._stop.is_set():
                return

    def _read(self, message: Message) -> None:
        self.counts.messages += 1
        entry, reason = None, ""
        if not message.checksum_is_good:
            self.counts.wrong_checksums += 1
        try:
            if self._options.is_strict and not message.checksum_is_good:
                raise NotRead("its CheckSum (10) is wrong")
            said = read(message, self._options.users)
            entry = Entry(said, names_of(said, self._options.source), message.is_retried)
            self.counts.kinds[said.kind] += 1
        except PassedOver as passed:
            self.counts.passed_over[str(passed)] += 1
            return
        except NotRead as error:
            reason = str(error)
        self._wait_for(message)
        if self._stop.is_set():
            # It was not due yet.
            return
        self._items.append(_Item(message.line, message.raw, entry, reason))

    def _wait_for(self, message: Message) -> None:
        if self._pace is None:
            return
        due_s = self._pace.due_s(at_of(message.values.get("52")))
        if due_s > self._progress.took_s:
            self._write()
            self._stop.wait(max(0.0, due_s - self._progress.took_s))

    def _write(self) -> None:
        """Hands what was read to the writer; at most one batch is with it."""
        if self._items:
            self._settle()
            self._written = self._writer.submit(self._write_batch, self._items)
            self._items = []
        self._progress.say(self.counts)

    def _settle(self) -> None:
        if self._written is not None:
            self._written.result()

    def _write_batch(self, items: list[_Item]) -> None:
        playable = [item for item in items if item.entry is not None]
        try:
            aside = self._play(playable)
        except Refused:
            aside = self._play_singly(playable)
        for item in items:
            reason = item.reason or aside.get(id(item))
            if reason:
                self._aside.write(item.line, item.raw, reason)
                self.counts.set_aside(reason)
        self._aside.flush()

    def _play(self, items: list[_Item]) -> dict[int, str]:
        """Reason by the `id` of the item that cannot be played."""
        entries = [item.entry for item in items if item.entry is not None]
        if not entries:
            return {}
        known, standing = self._tables.known([key for entry in entries for key in entry.names.all()])
        batch = book.play(entries, known, standing, self._options.source)
        self.counts.repeats += batch.repeats
        for one in batch.rounds:
            self._tables.write(one, is_last=one is batch.rounds[-1])
            self.counts.add(one)
            for row in (*one.new[-1:], *one.changed[-1:]):
                self._last_order_id = row.id
        return {id(items[place]): reason for place, reason in batch.aside}

    def _play_singly(self, items: list[_Item]) -> dict[int, str]:
        """When the database refused a batch: one of its messages is to blame, and it alone."""
        aside: dict[int, str] = {}
        repeats = self.counts.repeats
        for item in items:
            try:
                aside |= self._play([item])
            except Refused as error:
                aside[id(item)] = str(error)
        # Those that were written before the refusal are no repeats.
        self.counts.repeats = repeats
        return aside


class _Progress:
    """A line that writes itself over on a terminal, and comes now and then elsewhere."""

    def __init__(self, write: Say, log: BinaryIO) -> None:
        self._write = write
        self._log = log
        self._bytes = os.fstat(log.fileno()).st_size if log.seekable() else 0
        self._is_tty = sys.stderr.isatty()
        self._began = time.monotonic()
        self._said = self._began

    @property
    def took_s(self) -> float:
        return time.monotonic() - self._began

    def say(self, counts: Counts) -> None:
        now = time.monotonic()
        if now - self._said >= (_PROGRESS_TTY_S if self._is_tty else _PROGRESS_S):
            self._said = now
            share = self._log.tell() / self._bytes if self._bytes else None
            line = counts.line(self.took_s, share)
            self._write(f"\r{line}\x1b[K" if self._is_tty else f"{line}\n")

    def end(self) -> None:
        if self._is_tty and self._said > self._began:
            self._write("\r\x1b[K")


def _pieces(log: BinaryIO, stop: _Stop) -> Iterator[bytes]:
    """What there is, as soon as there is some, until it is told to stop. Raises _Stopped."""
    read_some = getattr(log, "read1", log.read)
    while not stop.is_set():
        stop.is_reading = True
        try:
            piece = read_some(_PIECE_BYTES)
        finally:
            stop.is_reading = False
        if not piece:
            return
        yield piece


@contextmanager
def _opened(log: str) -> Iterator[BinaryIO]:
    if log == STDIN:
        yield sys.stdin.buffer
        return
    try:
        with open(log, "rb") as file:
            yield file
    except IsADirectoryError as error:
        raise Unusable(f"cannot read {log}: {error.strerror}") from None
    except OSError as error:
        if error.filename != log:
            raise
        raise Unusable(f"cannot read {log}: {error.strerror}") from None


@contextmanager
def _signalled() -> Iterator[_Stop]:
    """Set by SIGINT or SIGTERM: the batch under way is finished. A second one does not wait for that."""
    stop = _Stop()
    before: dict[int, object] = {}

    def begin_to_stop(number: int, frame: FrameType | None) -> None:
        stop.number = number
        stop.set()
        for each, handler in before.items():
            signal.signal(each, handler)  # type: ignore[arg-type]
        if stop.is_reading:
            raise _Stopped

    for which in (signal.SIGINT, signal.SIGTERM):
        before[which] = signal.signal(which, begin_to_stop)
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)  # type: ignore[arg-type]
