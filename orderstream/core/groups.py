"""Members, of which there is mostly one: then it is the group itself, where a tuple of one would take 48 bytes more.

A group is None, its only member, or a list of several; so no member is a list, or None.
"""

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


def members(group: Any) -> tuple[Any, ...]:
    """In the order in which they came."""
    if group is None:
        return ()
    return tuple(group) if type(group) is list else (group,)


def joined(group: Any, one: object) -> Any:
    """The group with one more, as the last."""
    return one if group is None else [*members(group), one]


def left(group: Any, one: object) -> Any:
    """The group without one, which may be gone already."""
    rest = [other for other in members(group) if other != one]
    if len(rest) > 1:
        return rest
    return rest[0] if rest else None


class Groups(Generic[T]):
    """key -> its group; one without members is gone."""

    __slots__ = ("_groups",)

    def __init__(self) -> None:
        self._groups: dict[str, Any] = {}

    def __len__(self) -> int:
        """How many keys have members."""
        return len(self._groups)

    def of(self, key: str) -> tuple[T, ...]:
        """Those that it has now."""
        return members(self._groups.get(key))

    def has(self, key: str, one: T) -> bool:
        """Whether it is a member."""
        found = self._groups.get(key)
        return one in found if type(found) is list else found is not None and one == found

    def add(self, key: str, one: T) -> None:
        """As the last one."""
        self._groups[key] = joined(self._groups.get(key), one)

    def remove(self, key: str, one: T) -> None:
        """It must be a member."""
        group = self._groups[key] = left(self._groups[key], one)
        if group is None:
            del self._groups[key]

    def __iter__(self) -> Iterator[T]:
        for key in list(self._groups):
            yield from self.of(key)
