"""Delivery and log together: whatever the order in which things happen, nothing is lost, repeated or misordered."""

import itertools
from collections.abc import Iterator

import pytest

from orderstream.core.cursor import Cursor
from orderstream.core.delivery import (
    Delivery,
    Live,
    ReadChannel,
    ReadEvents,
    ReadSnapshot,
    Reset,
    Resumed,
    Send,
    Snapshot,
    SnapshotEnd,
    SnapshotPart,
    State,
    Wait,
)
from orderstream.core.events import Event, SequencedEvent, encoded
from orderstream.core.log import ChannelLog, ChannelPage, LogBounds

EPOCH = "0a0a0a0a"
OTHER_EPOCH = "0b0b0b0b"


def event(seq: int, epoch: str = EPOCH) -> Event:
    return encoded(SequencedEvent(seq, "ann", epoch, seq, "order", f'{{"seq":{seq}}}', 0.0))


class Table:
    """The truth: what was committed, kept from `oldest` on; and one client reading it through log and delivery."""

    def __init__(self, head: int = 0, *, oldest: int = 1, cursor: str | None, max_events: int = 256) -> None:
        self.head, self.oldest, self.epoch = head, oldest, EPOCH
        self.log = ChannelLog(LogBounds(max_events=max_events))
        self.delivery = Delivery(cursor)
        self.received: list[object] = []
        self.reads: list[object] = []

    def events(self, after: int) -> list[Event]:
        return [event(seq, self.epoch) for seq in range(max(after + 1, self.oldest), self.head + 1)]

    def commit(self) -> None:
        self.head += 1

    def publish(self, seq: int) -> None:
        self.log.append(event(seq, self.epoch))

    def page(self, after: int) -> ChannelPage:
        return ChannelPage(self.epoch, self.head, self.oldest, self.events(after))

    def snapshot(self) -> Snapshot:
        return Snapshot(Cursor(self.epoch, self.head), [b"{}"] * 3)

    def pump(self) -> None:
        """Takes all that delivery gives; answers no reads."""
        while True:
            action = self.delivery.advance(self.log, max_bytes=100)
            match action:
                case Send(items):
                    self.received.extend(items)
                case Wait():
                    return
                case Resumed():
                    pass
                case _:
                    self.reads.append(action)

    def answer(self) -> None:
        """Answers the oldest read from what is committed now."""
        match self.reads.pop(0):
            case ReadSnapshot():
                self.delivery.snapshot_read(self.snapshot())
            case ReadEvents(seq):
                self.delivery.events_read(self.epoch, self.events(seq)[:2])
            case ReadChannel():
                self.log.load(self.page(self.log.head))
                self.delivery.read_over()

    def settle(self) -> None:
        self.pump()
        while self.reads:
            self.answer()
            self.pump()

    @property
    def seqs(self) -> list[int]:
        """The numbers received since the last snapshot."""
        start = max((i for i, item in enumerate(self.received) if isinstance(item, SnapshotEnd)), default=-1)
        return [item.seq for item in self.received[start + 1 :] if isinstance(item, Event)]

    def named(self, kind: type) -> list[object]:
        return [item for item in self.received if isinstance(item, kind)]


def interleavings(*sequences: tuple[str, ...], unpublished: int = 0) -> Iterator[tuple[str, ...]]:
    """Every merge of the sequences that keeps the order within each and publishes nothing before its commit."""
    if not any(sequences):
        yield ()
    for i, sequence in enumerate(sequences):
        if not sequence or (sequence[0] == "publish" and unpublished == 0):
            continue
        change = {"commit": 1, "publish": -1}.get(sequence[0], 0)
        rest = (*sequences[:i], sequence[1:], *sequences[i + 1 :])
        for tail in interleavings(*rest, unpublished=unpublished + change):
            yield (sequence[0], *tail)


@pytest.mark.parametrize("cursor_seq", [None, 0, 1, 2])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_every_interleaving_of_load_and_live_gives_every_event_once(cursor_seq: int | None, count: int) -> None:
    """Commits, publications, the load's read and answer, and the snapshot's, in every order that can happen."""
    load = ("load-read", "load-answer")
    snapshot = ("snapshot",) if cursor_seq is None else ()
    for order in interleavings(("commit",) * count, ("publish",) * count, load, snapshot):
        table = Table(2, cursor=None if cursor_seq is None else f"{EPOCH}.{cursor_seq}")
        published = table.head
        page = table.page(0)
        for step in order:
            match step:
                case "commit":
                    table.commit()
                case "publish":
                    published += 1
                    table.publish(published)
                case "load-read":
                    page = table.page(cursor_seq if cursor_seq is not None else table.head)
                case "load-answer":
                    assert table.log.load(page)
                case "snapshot" if table.reads:
                    table.answer()
            table.pump()
        table.settle()
        start = cursor_seq if cursor_seq is not None else table.named(SnapshotEnd)[0].cursor.seq
        assert table.seqs == list(range(start + 1, 2 + count + 1)), order
        assert not table.named(Reset)
        assert table.delivery.state is State.LIVE


@pytest.mark.parametrize(
    ("cursor", "reason"),
    [
        ("nonsense", "cursor-malformed"),
        (f"{EPOCH}.3\n", "cursor-malformed"),
        (f"{OTHER_EPOCH}.3", "epoch-changed"),
        (f"{EPOCH}.9", "cursor-ahead"),
        (f"{EPOCH}.1", "cursor-expired"),
    ],
)
def test_reset_and_snapshot_when_cursor_cannot_be_continued_from(cursor: str, reason: str) -> None:
    """The client is told why, gets a whole snapshot, and goes on from it."""
    table = Table(6, oldest=4, cursor=cursor)
    table.log.load(table.page(6))
    table.settle()
    assert [type(item) for item in table.received] == [Reset, SnapshotPart, SnapshotEnd, Live]
    assert table.received[0] == Reset(reason)


def test_cursor_ahead_of_the_log_is_continued_when_the_table_knows_it() -> None:
    """Another process may be ahead of this one's follower: that is no reset."""
    table = Table(3, cursor=f"{EPOCH}.5")
    table.log.load(table.page(3))
    table.head = 6
    table.settle()
    assert table.seqs == [6]
    assert not table.named(Reset)


def test_replay_from_the_table_when_the_log_does_not_reach_back() -> None:
    """A cursor older than memory is served in pages, then live."""
    table = Table(20, cursor=f"{EPOCH}.1", max_events=4)
    table.log.load(table.page(16))
    table.settle()
    assert table.seqs == list(range(2, 21))


def test_slow_reader_catches_up_from_the_table_when_the_log_moved_on() -> None:
    """A live client that was left behind misses nothing."""
    table = Table(1, cursor=f"{EPOCH}.1", max_events=4)
    table.log.load(table.page(1))
    table.settle()
    for seq in range(2, 31):
        table.commit()
        table.publish(seq)
    table.settle()
    assert table.seqs == list(range(2, 31))


def test_reset_when_retention_overtook_a_slow_reader() -> None:
    """What is gone from memory and table is announced."""
    table = Table(1, cursor=f"{EPOCH}.1", max_events=4)
    table.log.load(table.page(1))
    table.settle()
    for seq in range(2, 31):
        table.commit()
        table.publish(seq)
    table.oldest = 10
    table.settle()
    assert table.named(Reset) == [Reset("cursor-expired")]
    assert table.seqs == []
    assert table.named(SnapshotEnd) == [SnapshotEnd(Cursor(EPOCH, 30), 3)]


def test_reset_when_the_epoch_changes_under_a_live_client() -> None:
    """An old promise is not continued silently."""
    table = Table(3, cursor=f"{EPOCH}.3")
    table.log.load(table.page(3))
    table.settle()
    table.epoch = OTHER_EPOCH
    table.log.chill()
    table.log.load(table.page(3))
    table.settle()
    assert table.named(Reset) == [Reset("epoch-changed")]
    assert table.named(SnapshotEnd)[-1] == SnapshotEnd(Cursor(OTHER_EPOCH, 3), 3)


def test_nothing_is_sent_when_closed() -> None:
    """A closed delivery waits for ever."""
    table = Table(3, cursor=f"{EPOCH}.0")
    table.log.load(table.page(0))
    table.delivery.close()
    table.pump()
    assert table.received == []


@pytest.mark.parametrize("sequence", list(itertools.permutations([4, 5, 6])))
def test_log_turns_cold_rather_than_skip_when_events_come_out_of_order(sequence: tuple[int, ...]) -> None:
    """A hole is never papered over: warm means dense."""
    log = ChannelLog(LogBounds())
    log.load(ChannelPage(EPOCH, 3, 1, []))
    for seq in sequence:
        log.append(event(seq))
    assert log.warm == (sequence == (4, 5, 6))


@pytest.mark.parametrize(
    ("state", "epoch", "seq", "keeps_up"),
    [
        (State.LIVE, EPOCH, 2, True),
        (State.LIVE, EPOCH, 1, False),
        (State.LIVE, OTHER_EPOCH, 2, False),
        (State.REPLAYING, EPOCH, 2, False),
        (State.CLOSED, EPOCH, 2, False),
    ],
)
def test_client_keeps_up_that_is_live_and_lacks_just_what_is_new(
    state: State, epoch: str, seq: int, keeps_up: bool
) -> None:
    """Then the new events count as handed out; else nothing has changed."""
    table = Table(head=2, cursor=f"{EPOCH}.2")
    table.log.load(table.page(0))
    table.pump()
    table.log.append(event(3))
    table.log.epoch, table.delivery.state = epoch, state
    assert table.delivery.keeps_up(table.log, seq) is keeps_up
    assert table.delivery.position == (3 if keeps_up else 2)
