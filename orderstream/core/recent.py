"""Of many things, a bounded number of those that were used last."""

from collections.abc import Hashable, Iterator
from itertools import islice
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

# From how full on it matters who was used last. Before, nothing is moved: each move leaves a hole in a dict, which in
# the end takes twice the room.
_NEARLY_FULL = 0.875


class Recent(Generic[K, V]):
    """key -> value, of at most `most` keys; those that were unused longest, since it was nearly full, give way."""

    __slots__ = ("_most", "_values")

    def __init__(self, most: int) -> None:
        self._most = most
        # The longest unused first.
        self._values: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[K]:
        return iter(self._values)

    def get(self, key: K) -> V | None:
        """Its value, which is used now; None where there is none."""
        found = self._values.get(key)
        if found is not None and len(self._values) >= self._most * _NEARLY_FULL:
            self._values[key] = self._values.pop(key)
        return found

    def put(self, key: K, value: V) -> None:
        """Which is used now."""
        values = self._values
        if key in values:
            if len(values) >= self._most * _NEARLY_FULL:
                del values[key]
        elif self._most == 0:
            return
        elif len(values) >= self._most:
            # Some at a time: whoever looks for the first key of a dict walks over all that went before it.
            for longest_unused in list(islice(values, max(1, self._most // 128))):
                del values[longest_unused]
        values[key] = value

    def discard(self, key: K) -> None:
        """It may be gone already."""
        self._values.pop(key, None)

    def clear(self) -> None:
        self._values = {}
