"""The faults by name: each a function that begins one and, after the pause in which it lasts, ends it."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple

from tests.faults.stage import Stage

# With the stage's settings: a client's silence of 2.5 s, a query of 3 s and a dead session of 2 s are noticed one after
# the other at worst, and each is answered by another attempt within a second.
LIVE_S = 10.0

Begin = Callable[[Stage], AbstractAsyncContextManager[None]]


class Fault(NamedTuple):
    """Lasts from `lasts_s[0]` to `lasts_s[1]` seconds; what its stage must be like; what is lawful because of it."""

    name: str
    says: str
    during: Begin
    lasts_s: tuple[float, float]
    staged: Mapping[str, Any]  # arguments of `staged`
    resets: frozenset[str]
    complaints: frozenset[str]  # events that services may log as errors
    writes_fail: bool  # where it does not, no order's transaction may
    alone: bool  # what it proves, another one at the same time would break
    private: bool  # leaves a server behind that is of no use to the next
    disk_bytes: int  # the server's own file system, of that size; 0: none
    live_s: float  # how long all may take to be live again after it
    needs: str  # what this machine lacks for it; empty: nothing


CATALOGUE: dict[str, Fault] = {}


def fault(
    *lasts_s: float,
    resets: frozenset[str] = frozenset(),
    complaints: frozenset[str] = frozenset(),
    writes_fail: bool = False,
    alone: bool = False,
    private: bool = False,
    disk_bytes: int = 0,
    live_s: float = LIVE_S,
    needs: str = "",
    **staged: Any,
) -> Callable[[Callable[[Stage], AsyncIterator[None]]], Begin]:
    """Puts a function into the catalogue, under its own name; its docstring is what `--list` shows."""

    def enter(begin: Callable[[Stage], AsyncIterator[None]]) -> Begin:
        name, during = begin.__name__.replace("_", "-"), asynccontextmanager(begin)
        says = " ".join((begin.__doc__ or "").split())
        CATALOGUE[name] = Fault(
            *(name, says, during, (lasts_s[0], lasts_s[-1]), staged, resets, complaints),
            *(writes_fail, alone, private, disk_bytes, live_s, needs),
        )
        return during

    return enter
