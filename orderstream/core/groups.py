"""Members by key, where most keys have one: a dict of tuples would take half as much again."""

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Groups(Generic[T]):
    """key -> its members, in the order in which they came; no member is a list."""

    __slots__ = ("_members",)

    def __init__(self) -> None:
        # The only member, or a list of several.
        self._members: dict[str, Any] = {}

    def __len__(self) -> int:
        """How many keys have members."""
        return len(self._members)

    def of(self, key: str) -> tuple[T, ...]:
        """Those that it has now."""
        found = self._members.get(key)
        if found is None:
            return ()
        return tuple(found) if type(found) is list else (found,)

    def has(self, key: str, one: T) -> bool:
        """Whether it is a member."""
        found = self._members.get(key)
        return one in found if type(found) is list else found is not None and one == found

    def add(self, key: str, one: T) -> None:
        """As the last one."""
        before = self.of(key)
        self._members[key] = [*before, one] if before else one

    def remove(self, key: str, one: T) -> None:
        """It must be a member."""
        rest = [other for other in self.of(key) if other != one]
        if not rest:
            del self._members[key]
        else:
            self._members[key] = rest if len(rest) > 1 else rest[0]

    def __iter__(self) -> Iterator[T]:
        for key in list(self._members):
            yield from self.of(key)
