"""Members by key."""

from hypothesis import given
from hypothesis import strategies as st

from orderstream.core.groups import Groups

CHANGES = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 4)))


@given(CHANGES)
def test_groups_are_as_lists_by_key_when_members_come_and_go(changes: list[tuple[str, int]]) -> None:
    """One that is not there comes, one that is there goes; none is left of a key without members."""
    groups: Groups[int] = Groups()
    lists: dict[str, list[int]] = {"a": [], "b": []}
    for key, member in changes:
        assert groups.has(key, member) == (member in lists[key])
        if member in lists[key]:
            groups.remove(key, member)
            lists[key].remove(member)
        else:
            groups.add(key, member)
            lists[key].append(member)
    assert {key: list(groups.of(key)) for key in lists} == lists
    assert sorted(groups) == sorted(lists["a"] + lists["b"])
    assert len(groups) == sum(bool(members) for members in lists.values())
