"""A bounded number of things, of which those that were used last stay."""

from orderstream.core.recent import Recent


def filled(most: int, count: int) -> Recent[int, str]:
    recent: Recent[int, str] = Recent(most)
    for key in range(count):
        recent.put(key, str(key))
    return recent


def test_what_is_put_is_found_until_it_is_discarded() -> None:
    """The newest value of a key; discarding may be repeated."""
    recent = filled(8, 2)
    recent.put(0, "again")
    assert [recent.get(key) for key in (0, 1, 2)] == ["again", "1", None]
    recent.discard(0)
    recent.discard(0)
    assert (recent.get(0), len(recent)) == (None, 1)


def test_there_are_never_more_than_may_be() -> None:
    """The first that came give way, where none was used since."""
    assert list(filled(8, 20)) == list(range(12, 20))


def test_longest_unused_gives_way_when_it_is_full() -> None:
    """Getting one and putting it are both a use."""
    recent = filled(8, 8)
    recent.get(0)
    recent.put(1, "again")
    recent.put(8, "8")
    assert list(recent) == [3, 4, 5, 6, 7, 0, 1, 8]


def test_nothing_is_moved_while_there_is_room() -> None:
    """A dict whose keys are moved takes twice the memory."""
    recent = filled(8, 6)
    recent.get(0)
    recent.put(1, "again")
    assert list(recent) == [0, 1, 2, 3, 4, 5]


def test_nothing_is_kept_where_nothing_may_be() -> None:
    """As where a setting of 0 turns it off."""
    assert list(filled(0, 2)) == []
