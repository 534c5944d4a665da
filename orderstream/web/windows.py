"""Requests in a sliding window, for the strategy of `limits`: in memory, bounded, on a clock that is passed in.

The library's own memory storage starts a thread each time that it clears up, and forgets a key only after its time:
whoever has many addresses would fill our memory.
"""

from collections.abc import Callable

import msgspec
from limits.storage import SlidingWindowCounterSupport, Storage

# At the time itself the window is still as full as it may be.
_MOMENT_S = 0.001


class Window(msgspec.Struct, gc=False):
    """How many came in the window of this number, and in the one before."""

    number: int
    count: int = 0
    before: int = 0

    def move_to(self, number: int) -> None:
        if number > self.number:
            self.before = self.count if number == self.number + 1 else 0
            self.count = 0
            self.number = number


class WindowStorage(Storage, SlidingWindowCounterSupport):
    """key -> Window, `max_keys` of them: the one that was unused longest is forgotten, which only lets more through."""

    STORAGE_SCHEME = None

    def __init__(self, *, max_keys: int, clock: Callable[[], float]) -> None:
        super().__init__()
        self._max_keys = max_keys
        self._clock = clock
        # The longest unused first.
        self._windows: dict[str, Window] = {}

    def __len__(self) -> int:
        return len(self._windows)

    def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Counts `amount` more, unless that would be more than `limit` in `expiry` seconds."""
        before, left_s, count, _ = self.get_sliding_window(key, expiry)
        if int(before * left_s / expiry + count) + amount > limit:
            return False
        self._windows[key].count += amount
        return True

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """The count of the window before and for how many seconds it still weighs, and the same of this one."""
        number, into_s = divmod(self._clock(), expiry)
        window = self._windows.pop(key, None) or self._new(int(number))
        self._windows[key] = window
        window.move_to(int(number))
        return window.before, expiry - into_s, window.count, 2 * expiry - into_s

    def wait_s(self, key: str, limit: int, expiry: int) -> float:
        """After how many seconds one more will be let through, if nothing comes before."""
        before, left_s, count, _ = self.get_sliding_window(key, expiry)
        if count < limit:
            return max(0.0, left_s - (limit - count) * expiry / before) + _MOMENT_S if before else 0.0
        return left_s + expiry - limit * expiry / count + _MOMENT_S

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        self._windows.pop(key, None)

    def _new(self, number: int) -> Window:
        if len(self._windows) >= self._max_keys:
            del self._windows[next(iter(self._windows))]
        return Window(number)

    # What the library asks of every storage, for its other strategies.

    @property
    def base_exceptions(self) -> type[Exception]:
        return LookupError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        self.get_sliding_window(key, expiry)
        self._windows[key].count += amount
        return self._windows[key].count

    def get(self, key: str) -> int:
        return self._windows[key].count if key in self._windows else 0

    def get_expiry(self, key: str) -> float:
        return self._clock()

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        count = len(self._windows)
        self._windows.clear()
        return count

    def clear(self, key: str) -> None:
        self._windows.pop(key, None)
