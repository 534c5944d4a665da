"""Collects what is asked for within a few milliseconds into one question: ten thousand reconnects, tens of queries."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

from orderstream.errors import Unavailable

# Who comes alone is answered soon. In a crowd, such as after a restart, all are answered sooner where they wait for
# each other: at 2,000 a second, 200 share a question that takes Postgres little longer than one of six.
CROWD_WINDOW_S = 0.1
_CROWD_PER_S = 50
# A few who come together by chance are none.
_LEAST_CROWD = 4

K = TypeVar("K")
V = TypeVar("V")


class Collector(Generic[K, V]):
    """`get(key)` answers from a `fetch` shared with all who ask within `window_s`, at most `max_keys` of them; within
    CROWD_WINDOW_S while the one before was a crowd's."""

    def __init__(
        self,
        fetch: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]],
        *,
        window_s: float,
        max_keys: int,
    ) -> None:
        self._fetch = fetch
        self._window_s = self._next_window_s = window_s
        self._max_keys = max_keys
        self._asked: dict[K, asyncio.Future[V]] = {}
        self._flush_due: asyncio.TimerHandle | None = None
        self._fetches: set[asyncio.Task[Mapping[K, V]]] = set()

    async def get(self, key: K) -> V:
        """Raises what `fetch` raises. May be cancelled: the others who asked are not."""
        future = self._asked.get(key)
        if future is None:
            loop = asyncio.get_running_loop()
            future = self._asked[key] = loop.create_future()
            if len(self._asked) >= self._max_keys:
                self._flush()
            elif self._flush_due is None:
                self._flush_due = loop.call_later(self._next_window_s, self._flush)
        return await asyncio.shield(future)

    async def close(self) -> None:
        """Lets the questions under way go unanswered."""
        if self._flush_due is not None:
            self._flush_due.cancel()
        for future in self._asked.values():
            future.cancel()
        for task in list(self._fetches):
            task.cancel()
        await asyncio.gather(*self._fetches, return_exceptions=True)

    def _flush(self) -> None:
        if self._flush_due is not None:
            self._flush_due.cancel()
            self._flush_due = None
        asked, self._asked = self._asked, {}
        crowd = len(asked) >= max(_LEAST_CROWD, min(self._max_keys, _CROWD_PER_S * self._next_window_s))
        self._next_window_s = max(self._window_s, CROWD_WINDOW_S) if crowd else self._window_s
        task = asyncio.ensure_future(self._fetch_all(list(asked)))
        self._fetches.add(task)
        task.add_done_callback(lambda done: self._answer(asked, done))

    async def _fetch_all(self, keys: Sequence[K]) -> Mapping[K, V]:
        return await self._fetch(keys)

    def _answer(self, asked: dict[K, asyncio.Future[V]], fetch: asyncio.Task[Mapping[K, V]]) -> None:
        # By callback: a fetch that was cancelled before it began runs no code of its own.
        self._fetches.discard(fetch)
        for key, future in asked.items():
            if future.done():
                continue
            if fetch.cancelled():
                future.cancel()
            elif (error := fetch.exception()) is not None:
                future.set_exception(error)
                future.exception()  # Seen here: whoever asked may be gone.
            elif key in fetch.result():
                future.set_result(fetch.result()[key])
            else:
                future.set_exception(Unavailable("there is no answer for this one"))
                future.exception()
