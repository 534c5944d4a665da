"""Holds each change against what came before it, for all orders at once, in the order in which they are numbered.

It keeps the lives of the orders that changed last, so it must be told of every event once; what it does not know of an
order that is not new it asks for (`strangers`), and is told (`recall`). A transaction is judged at its last event of
that order; while a window is open (`whole` false), more of it may follow.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from orderstream.core.checks import IMPOSSIBLE, Check
from orderstream.core.life import Life

# At about 2 KB each 40 MB at most. One that is not here costs a query when it changes again.
MAX_ORDERS = 20_000
# Whose past is asked for at once; the others' is not known. More come only to a leader that has just begun.
MAX_STRANGERS = 100

UNREAD = Check("", "", "")

# An order in the eyes of one user: to another it has another past.
Key = tuple[str, str]


class Change(msgspec.Struct, frozen=True, gc=False):
    """An event that has no number yet; `xid` is the transaction that wrote it."""

    xid: str
    user_id: str
    order_id: str | None
    name: str  # order | execution | order-removed
    body: str


class Verdicts(NamedTuple):
    """`checks`: place in the batch -> what is odd. `unread`: how many events could not be looked at."""

    checks: dict[int, Check]
    unread: int


class Checker:
    """`max_orders`: of more, the one that has not changed for the longest is forgotten."""

    def __init__(self, *, max_orders: int = MAX_ORDERS) -> None:
        self._max_orders = max_orders
        self._lives: OrderedDict[Key, Life] = OrderedDict()

    def __len__(self) -> int:
        return len(self._lives)

    def strangers(self, batch: Sequence[Change]) -> list[Key]:
        """Orders that are not new in this batch, and whose past is not known here."""
        lives = self._lives
        unknown = [change for change in batch if (change.user_id, change.order_id) not in lives]
        found: dict[Key, bool] = {}
        for change in unknown:
            if change.order_id is not None:
                found.setdefault((change.user_id, change.order_id), _is_insertion(change))
        return [key for key, is_new in found.items() if not is_new][:MAX_STRANGERS]

    def recall(self, key: Key, past: Iterable[tuple[str, str]]) -> None:
        """The (name, body) of an order's events before this batch, as far as they are kept."""
        life = self._lives[key] = Life()
        for name, body in past:
            _take(life, name, body)
        _close(life)

    def judge(self, batch: Sequence[Change], *, whole: bool) -> Verdicts:
        """The next events."""
        checks: dict[int, Check] = {}
        unread = 0
        for key, all_places in _by_order(batch).items():
            life = self._life(key)
            left = len(all_places)
            for xid, places in _by_transaction(batch, all_places):
                if life.xid is not None and life.xid != xid:
                    # Its last event has its number, and can be told nothing more.
                    _close(life, in_time=False)
                for place in places:
                    change = batch[place]
                    check = _take(life, change.name, change.body)
                    if check is not None:
                        unread += _keep_worse(checks, place, check)
                left -= len(places)
                if left or whole:
                    check = _close(life)
                    if check is not None:
                        unread += _keep_worse(checks, places[-1], check)
                    life.xid = None
                else:
                    life.xid = xid
            if change.name == "order-removed":
                del self._lives[key]
        while len(self._lives) > self._max_orders:
            self._lives.popitem(last=False)
        return Verdicts(checks, unread)

    def _life(self, key: Key) -> Life:
        life = self._lives.get(key)
        if life is None:
            life = self._lives[key] = Life()
        else:
            self._lives.move_to_end(key)
        return life


def _by_order(batch: Sequence[Change]) -> dict[Key, list[int]]:
    """Order -> places of its events."""
    found: dict[Key, list[int]] = {}
    for place, change in enumerate(batch):
        if change.order_id is not None:
            found.setdefault((change.user_id, change.order_id), []).append(place)
    return found


def _by_transaction(batch: Sequence[Change], places: list[int]) -> Iterable[tuple[str, list[int]]]:
    """Transactions, each with the places of its events, in the order of the first. Two transactions' executions may lie
    between each other."""
    if len(places) == 1:
        # As a rule.
        return ((batch[places[0]].xid, places),)
    found: dict[str, list[int]] = {}
    for place in places:
        found.setdefault(batch[place].xid, []).append(place)
    return found.items()


def _is_insertion(change: Change) -> bool:
    # A quote within a string has a backslash before it, so this is the field and nothing else.
    return change.name == "order" and '"previous_status":null' in change.body


def _take(life: Life, name: str, body: str) -> Check | None:
    """What is odd about an event; UNREAD where it could not be read."""
    try:
        return life.take(name, body)
    except (ValueError, ArithmeticError):
        # msgspec's errors are ValueErrors: NaN, null, a shape that nobody promised.
        life.forget()
        return UNREAD


def _close(life: Life, *, in_time: bool = True) -> Check | None:
    try:
        return life.close(in_time=in_time)
    except ArithmeticError:
        # More digits than anybody counts with.
        life.forget()
        return UNREAD


def _keep_worse(checks: dict[int, Check], place: int, check: Check) -> bool:
    """Says whether it was UNREAD."""
    if check is UNREAD:
        return True
    if place not in checks or check.verdict == IMPOSSIBLE != checks[place].verdict:
        checks[place] = check
    return False
