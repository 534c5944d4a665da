"""The books of one process: who is open, who was logged out, and what the other processes have yet to be told."""

from typing import Any

import pytest

from orderstream.core.claims import Identity
from orderstream.core.cursor import Cursor
from orderstream.core.devices import Device
from orderstream.sessions import OpenDelivery, Poller, Sessions

PHONE = Identity("ann", "phone", 2e9)
LAPTOP = Identity("ann", "laptop", 2e9)
BENS = Identity("ben", "phone", 2e9)
DEVICE = Device("mobile", "203.0.113.0/24")
FIRST = 1_000_000_000
LATER = 5000.0


class Held:
    """A poll; writes its name down when it is revoked."""

    def __init__(self, name: str = "", revoked: list[str] | None = None) -> None:
        self._name, self._revoked = name, revoked

    def revoke(self) -> None:
        if self._revoked is not None:
            self._revoked.append(self._name)


class Stream(Held, OpenDelivery):
    """One whose cursor is that of the book."""

    transport = "sse"

    def __init__(self, book: "Book", identity: Identity, *named: Any) -> None:
        Held.__init__(self, *named)
        OpenDelivery.__init__(self, identity, DEVICE)
        self._book = book

    @property
    def cursor(self) -> Cursor | None:
        return self._book.cursor


class Book(Sessions):
    """Sessions at a time that the test sets; whose first delivery has the number FIRST."""

    def __init__(self) -> None:
        self.now = FIRST / 1e6
        super().__init__(linger_s=60.0, max_polling=2, clock=lambda: self.now)

    def stream(self, identity: Identity, name: str = "", revoked: list[str] | None = None) -> OpenDelivery:
        stream = Stream(self, identity, name, revoked)
        self.open_stream(stream)
        return stream

    cursor: Cursor | None = None

    def told(self, most: int = 100) -> tuple[list[int], list[int]]:
        """Numbers of what was opened and closed."""
        changes = self.take_changes(most)
        return [delivery.number for delivery in changes.opened], changes.closed

    def sessions(self, user_id: str = "ann") -> list[str]:
        return [delivery.session_id for delivery in self.of_user(user_id)]


@pytest.fixture
def book() -> Book:
    return Book()


def test_only_the_revoked_session_of_that_user_ends(book: Book) -> None:
    """All of its deliveries, streams and polls; nobody else's."""
    revoked: list[str] = []
    for identity in (PHONE, LAPTOP, BENS):
        book.stream(identity, f"{identity.user_id} {identity.session_id}", revoked)
    book.begin_poll(Poller(PHONE, DEVICE), Held("poll", revoked))
    book.revoke("ann", "phone", LATER)
    assert revoked == ["ann phone", "poll"]
    assert [book.is_revoked(identity) for identity in (PHONE, LAPTOP, BENS)] == [True, False, False]


def test_what_opens_while_its_session_is_revoked_ends_at_once(book: Book) -> None:
    """It was let in a moment before."""
    revoked: list[str] = []
    book.revoke("ann", "phone", LATER)
    book.stream(PHONE, "stream", revoked)
    poll = Held("poll", revoked)
    book.end_poll(book.begin_poll(Poller(PHONE, DEVICE), poll), poll, None)
    assert revoked == ["stream", "poll"]
    assert len(book.sessions()) == 1


def test_revocation_that_is_let_go_is_forgotten_at_once(book: Book) -> None:
    """So that what is held stays bounded: an early end would wait behind later ones."""
    book.revoke("ann", "phone", LATER)
    book.revoke("ann", "phone", 0.0)
    assert (book.is_revoked(PHONE), len(book._revoked)) == (False, 0)


def test_revocation_is_over_at_its_time_and_forgotten(book: Book) -> None:
    """No JWT of the session is in force any more."""
    book.revoke("ann", "phone", LATER)
    book.now = LATER
    assert not book.is_revoked(PHONE)
    book.now += 1
    book.sweep()
    assert book._revoked == {}


def test_poller_is_listed_while_it_polls_and_for_a_while_after(book: Book) -> None:
    """One delivery, told once, however many polls; its cursor is that of the last answer."""
    for seq in range(3):
        poll = Held()
        book.end_poll(book.begin_poll(Poller(PHONE, DEVICE), poll), poll, Cursor("0a0a0a0a", seq))
        book.now += 59
        book.sweep()
        assert [one.cursor for one in book.of_user("ann")] == [f"0a0a0a0a.{seq}"]
    assert book.told() == ([FIRST], [])
    book.now += 2
    book.sweep()
    assert book.of_user("ann") == []
    assert book.told() == ([], [FIRST])


def test_poller_that_holds_a_poll_is_not_idle(book: Book) -> None:
    """However long the poll is held, and although another of the same device was answered."""
    held, short = Held(), Held()
    polling = book.begin_poll(Poller(PHONE, DEVICE), held)
    book.end_poll(book.begin_poll(Poller(PHONE, DEVICE), short), short, None)
    book.now += 1000
    book.sweep()
    assert book.sessions() == ["phone"]
    book.end_poll(polling, held, None)
    book.now += 61
    book.sweep()
    assert book.sessions() == []


def test_device_that_polls_again_after_it_was_forgotten_is_listed_anew(book: Book) -> None:
    """Its connection may be open still, and knows its old poller: as another delivery, which is told once."""
    poll = Held()
    forgotten = book.begin_poll(Poller(PHONE, DEVICE), poll)
    book.end_poll(forgotten, poll, None)
    book.told()
    book.now += 61
    book.sweep()
    again = book.begin_poll(forgotten, poll)
    assert again is not forgotten
    assert book.told() == ([again.number], [forgotten.number])
    assert book.begin_poll(forgotten, Held()) is again
    assert book.sessions() == ["phone"]


def test_poller_that_polls_again_is_not_idle(book: Book) -> None:
    """Its second poll may be held for long."""
    first, second = Held(), Held()
    book.end_poll(poller := book.begin_poll(Poller(PHONE, DEVICE), first), first, None)
    book.begin_poll(poller, second)
    book.now += 1000
    book.sweep()
    assert book.sessions() == ["phone"]


def test_two_devices_of_a_session_are_two_deliveries(book: Book) -> None:
    """A credential may be used on both."""
    for device in (DEVICE, Device("web", None), DEVICE):
        book.begin_poll(Poller(PHONE, device), Held())
    assert [one.platform for one in book.of_user("ann")] == ["mobile", "web"]


def test_longest_idle_poller_goes_when_there_are_too_many(book: Book) -> None:
    """Between two polls a device costs memory, so they are bounded."""
    for session_id in ("one", "two", "three"):
        poll = Held()
        book.end_poll(book.begin_poll(Poller(Identity("ann", session_id, 2e9), DEVICE), poll), poll, None)
    assert book.sessions() == ["two", "three"]


def test_changes_are_told_once_and_in_batches(book: Book) -> None:
    """The oldest first; what closed before it was told of is never told."""
    streams = [book.stream(PHONE) for _ in range(5)]
    book.close(streams[1])
    first, _, *others = (stream.number for stream in streams)
    assert [book.told(2) for _ in range(3)] == [([first, others[0]], []), (others[1:], []), ([], [])]
    for stream in streams:
        book.close(stream)
        book.close(stream)
    assert [book.told(3), book.told(3)] == [([], [first, *others[:2]]), ([], others[2:])]


def test_changes_that_could_not_be_told_are_told_later(book: Book) -> None:
    """Whether or not they arrived; what closed meanwhile is removed, since it may have."""
    first, second = book.stream(PHONE), book.stream(LAPTOP)
    changes = book.take_changes(100)
    book.close(first)
    book.put_back(changes)
    assert book.told() == ([second.number], [first.number])


def test_cursor_is_told_again_when_it_moved(book: Book) -> None:
    """And not when it did not: an idle service says nothing."""
    book.cursor = Cursor("0a0a0a0a", 1)
    stream = book.stream(PHONE)
    book.told()
    book.look_at_cursors(1.0)
    assert book.told() == ([], [])
    book.cursor = Cursor("0a0a0a0a", 2)
    book.look_at_cursors(1.0)
    assert book.told() == ([stream.number], [])


def test_cursors_are_looked_at_in_turn(book: Book) -> None:
    """A share at a time, each once a round."""
    numbers = [book.stream(PHONE).number for _ in range(10)]
    book.told()
    book.cursor = Cursor("0a0a0a0a", 1)
    seen: list[int] = []
    for _ in range(4):
        book.look_at_cursors(0.25)
        seen += book.told()[0]
    assert seen == numbers


def test_everything_is_told_again_to_who_forgot(book: Book) -> None:
    """What is open now."""
    streams = [book.stream(PHONE) for _ in range(3)]
    book.told()
    book.close(streams[0])
    book.tell_all_again()
    assert book.told() == ([FIRST + 1, FIRST + 2], [FIRST])


def test_number_is_the_time_in_microseconds_and_the_next_one_where_that_is_taken(book: Book) -> None:
    """So two that open at once are told apart, and a clock that is set back gives none again."""
    numbers = []
    for ahead_s in (0.0, 0.0, 60.0, -30.0):
        book.now += ahead_s
        numbers.append(book.stream(PHONE).number - FIRST)
    assert numbers == [0, 1, 60_000_000, 60_000_001]
    assert book.of_user("ann")[2].opened_at == FIRST / 1e6 + 60


def test_nothing_is_kept_of_who_is_gone(book: Book) -> None:
    """Once told, and once the turn came to it."""
    for stream in [book.stream(PHONE) for _ in range(3)]:
        book.told()
        book.close(stream)
    book.told()
    book.look_at_cursors(1.0)
    assert [len(kept) for kept in (book._open, book._unwritten, book._closed, book._in_turn)] == [0, 0, 0, 0]


def test_event_is_acknowledged_once_for_each_delivery_that_was_sent_it(book: Book) -> None:
    """Two streams of the session have it; one that was not opened by the session does not count."""
    book.cursor = Cursor("0a0a0a0a", 5)
    for identity in (PHONE, PHONE, LAPTOP):
        book.stream(identity)
    said = [book.acknowledge(PHONE, "sse", Cursor("0a0a0a0a", seq)) for seq in (5, 5, 5, 4, 6)]
    assert said == [True, True, False, False, False]
    assert not book.acknowledge(BENS, "sse", Cursor("0a0a0a0a", 5))


def test_acknowledgements_begin_anew_with_an_epoch(book: Book) -> None:
    """Its numbers are others."""
    book.cursor = Cursor("0a0a0a0a", 5)
    book.stream(PHONE)
    assert book.acknowledge(PHONE, "sse", book.cursor)
    book.cursor = Cursor("0b0b0b0b", 1)
    assert not book.acknowledge(PHONE, "sse", Cursor("0a0a0a0a", 1))
    assert book.acknowledge(PHONE, "sse", book.cursor)
