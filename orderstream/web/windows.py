"""Requests in a sliding window, for the strategy of `limits`: in memory, bounded, on a clock that is passed in.

The library's own memory storage starts a thread each time that it clears up, and forgets a key only after its time:
whoever has many addresses would fill our memory.
"""

from collections.abc import Callable

from limits.storage import SlidingWindowCounterSupport, Storage

from orderstream.core.recent import Recent

# At the time itself the window is still as full as it may be.
_MOMENT_S = 0.001


class WindowStorage(Storage, SlidingWindowCounterSupport):
    """key -> how many came in the window of this number, and in the one before: of each `max_keys`. Those that
    were unused longest, since there was hardly room for more, are forgotten, which only lets more through."""

    STORAGE_SCHEME = None

    def __init__(self, *, max_keys: int, clock: Callable[[], float]) -> None:
        super().__init__()
        self._max_keys = max_keys
        self._clock = clock
        self._number = 0
        # They pass, so a client that holds a stream and asks nothing takes no room.
        self._counts, self._before = self._window(), self._window()

    def __len__(self) -> int:
        return len({*self._counts, *self._before})

    def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Counts `amount` more, unless that would be more than `limit` in `expiry` seconds, the same for every key."""
        before, left_s, count, _ = self.get_sliding_window(key, expiry)
        fits = int(before * left_s / expiry + count) + amount <= limit
        self._counts.put(key, count + amount if fits else count)
        return fits

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """The count of the window before and for how many seconds it still weighs, and the same of this one."""
        number, into_s = divmod(self._clock(), expiry)
        if number > self._number:
            self._before = self._counts if number == self._number + 1 else self._window()
            self._counts = self._window()
            self._number = int(number)
        return self._before.get(key) or 0, expiry - into_s, self._counts.get(key) or 0, 2 * expiry - into_s

    def wait_s(self, key: str, limit: int, expiry: int) -> float:
        """After how many seconds one more will be let through, if nothing comes before."""
        before, left_s, count, _ = self.get_sliding_window(key, expiry)
        if count < limit:
            return max(0.0, left_s - (limit - count) * expiry / before) + _MOMENT_S if before else 0.0
        return left_s + expiry - limit * expiry / count + _MOMENT_S

    def _window(self) -> Recent[str, int]:
        return Recent(self._max_keys)

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        self.clear(key)

    # What the library asks of every storage, for its other strategies.

    @property
    def base_exceptions(self) -> type[Exception]:
        return LookupError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        *_, count, _ = self.get_sliding_window(key, expiry)
        self._counts.put(key, count + amount)
        return count + amount

    def get(self, key: str) -> int:
        return self._counts.get(key) or 0

    def get_expiry(self, key: str) -> float:
        return self._clock()

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        count = len(self)
        self._counts, self._before = self._window(), self._window()
        return count

    def clear(self, key: str) -> None:
        self._counts.discard(key)
        self._before.discard(key)
