"""What a poll is answered with, from what its delivery hands out."""

import json
from typing import Any

import pytest

from orderstream.core.answer import Answer
from orderstream.core.cursor import Cursor
from orderstream.core.delivery import Item, Live, Reset, SnapshotEnd, SnapshotPart
from orderstream.core.events import Event, SequencedEvent, encoded

EPOCH = "0a0a0a0a"
END = SnapshotEnd(Cursor(EPOCH, 7), 3)


def event(seq: int) -> Event:
    return encoded(SequencedEvent(seq, "ann", EPOCH, seq, "order", f'{{"seq":{seq}}}', 0.0))


def collected(*items: Item, most_events: int = 3) -> Answer:
    answer = Answer(most_events)
    for item in items:
        assert not isinstance(item, Live)
        answer.add(item)
    return answer


def body(answer: Answer, head: int) -> Any:
    return json.loads(answer.body(head))


def test_events_are_an_answer_from_the_first_on() -> None:
    """With the cursor of the last."""
    answer = collected(event(4), event(5))
    assert (answer.is_whole, answer.is_full, answer.outcome) == (True, False, "events")
    told = body(answer, 5)
    assert (told["cursor"], told["more"], answer.cursor) == ("0a0a0a0a.5", False, Cursor(EPOCH, 5))
    assert [one["id"] for one in told["events"]] == ["0a0a0a0a.4", "0a0a0a0a.5"]


@pytest.mark.parametrize(("count", "head"), [(4, 4), (3, 4), (2, 3), (4, 2)])
def test_there_is_more_where_it_was_full_or_others_came_since(count: int, head: int) -> None:
    """The client asks again at once. The table may be ahead of the head that is known here."""
    answer = collected(*map(event, range(1, count + 1)))
    assert answer.is_full == (count >= 3)
    told = body(answer, head)
    assert (len(told["events"]), told["more"]) == (min(count, 3), True)


def test_snapshot_is_an_answer_once_it_ended() -> None:
    """Its parts in one, and nothing behind it."""
    answer = collected(SnapshotPart([b"1", b"2"]), SnapshotPart([b"3"]))
    assert (answer.is_whole, answer.is_full) == (False, False)
    answer.add(END)
    assert (answer.is_whole, answer.is_full, answer.outcome) == (True, True, "snapshot")
    assert body(answer, 9) == {"cursor": "0a0a0a0a.7", "orders": [1, 2, 3], "executions": []}


def test_reset_takes_back_what_was_collected_and_waits_for_its_snapshot() -> None:
    """Events of another epoch are not told beside it."""
    answer = collected(event(1), Reset("epoch-changed"))
    assert (answer.is_whole, answer.events) == (False, [])
    answer.add(END)
    assert (answer.is_whole, answer.outcome) == (True, "reset")
    assert body(answer, 9) == {"reset": "epoch-changed", "cursor": "0a0a0a0a.7", "orders": [], "executions": []}
