"""The trading floor: all open orders, and which of them changes next.

`next_change` hands out one change after another, each of an order that no other change is under way for.
Whoever commits it says so with `settle`, or with `forget` where the order had changed beneath us. The floor
has no clock: its time is its changes. Each comes with one move of the market, and a trading day is so many
of them long.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from decimal import Decimal
from random import Random
from uuid import UUID

from . import desk, lives
from .crowd import Crowd
from .lives import Change, Order
from .market import INSTRUMENTS, Market
from .shelf import Shelf

# A day's changes for each order that may be open: some four generations, so that most end before the bell.
DAY_CHANGES_PER_ORDER = 10
# At most this many open orders of one user: what a person can look at, and what a snapshot has to carry.
OPEN_PER_USER = 40
# Orders looked at for something to happen before the floor makes something happen.
LOOKS = 8

# Chances, each for one order at one look.
CHANCE_URGENT_FIRST = 0.7  # that an order that is waited for goes before any other
CHANCE_ATTENDED = 0.25  # that an order placed by hand is looked at next, since somebody is watching it
CHANCE_FILLED_WHOLE = 0.4
CHANCE_CANCELLED = 0.02
CHANCE_REPLACED = 0.01
CHANCE_TOO_LATE = 0.1  # that an execution comes between a cancel and its confirmation
CHANCE_REPLACE_REFUSED = 0.15

PENDING = frozenset({"pending_new", "pending_cancel", "pending_replace"})
AT_ONCE = frozenset({"ioc", "fok"})


class Floor:
    """Everything random comes from `rng`, every id from `new_id`; `open_limit` orders are open at most."""

    def __init__(self, rng: Random, *, users: int, open_limit: int, new_id: Callable[[], UUID]) -> None:
        self.market = Market(rng)
        self.ended: Counter[str] = Counter()  # final status -> orders
        self._rng = rng
        self._new_id = new_id
        self._crowd = Crowd(rng, users)
        self._open_limit = open_limit
        self._changes = 0
        self._open_by_user: Counter[str] = Counter()
        self._shelf = Shelf()
        self._urgent: deque[UUID] = deque()  # orders that are waited for, longest first; some left the shelf since
        self._by_hand: dict[UUID, None] = {}  # orders placed by hand, longest unseen first; some left the shelf since
        self._away: set[UUID] = set()  # orders that a change is under way for
        self._called: set[UUID] = set()  # orders that the bell ends or fills, until that is done

    @property
    def open_orders(self) -> int:
        """Orders open now, those that a change is under way for included."""
        return self._open_by_user.total()

    @property
    def is_open(self) -> bool:
        """Whether stocks and ETFs trade: not from the bell until all that it ends is dealt with."""
        return not self._called

    def lay_out(self, orders: Iterable[Order]) -> None:
        """Begin again with these orders and no others, at the prices of now."""
        self._open_by_user.clear()
        self._shelf = Shelf()
        self._urgent.clear()
        self._by_hand.clear()
        self._away.clear()
        self._called.clear()
        for order in orders:
            self.take_in(order)

    def take_in(self, order: Order) -> None:
        """Put an order on the floor that did not come from `next_change`; ended ones are left out."""
        if order.status in lives.OPEN:
            self._open_by_user[order.user_id] += 1
            self._lay_down(order)

    def meet(self, order: Order) -> None:
        """An open order was found in the table: take it in, unless we know it as it is or are about to change it."""
        known = self._shelf.find(order.id)
        if order.id in self._away or (known is not None and known.version >= order.version):
            return
        if known is not None:
            self._shelf.take(order.id)
            self._open_by_user[order.user_id] -= 1
        self.take_in(order)

    def next_change(self) -> Change:
        """The next change to commit. Its order is off the floor until `settle` or `forget`."""
        change = self._next_change()
        self._away.add(change.order.id)
        return change

    def _next_change(self) -> Change:
        self._changes += 1
        self.market.move()
        if self._changes % (DAY_CHANGES_PER_ORDER * self._open_limit) == 0:
            self.ring_bell()
        return self._urgent_change() or self._attended() or self._arrival() or self._found() or self._forced()

    def settle(self, order: Order) -> None:
        """The change to `order` is committed, and this is the order now, with its new version."""
        self._away.discard(order.id)
        if order.status in lives.OPEN:
            self._lay_down(order)
        else:
            self.ended[order.status] += 1
            self.forget(order)

    def forget(self, order: Order) -> None:
        """An order that `next_change` gave out is no longer the floor's."""
        self._away.discard(order.id)
        self._open_by_user[order.user_id] -= 1
        self._called.discard(order.id)

    def ring_bell(self) -> None:
        """The day is over: funds get their NAV, which fills their orders, and day orders expire."""
        self.market.strike()
        for order in self._shelf:
            if order.time_in_force == "day" and order.status in lives.AT_WORK:
                self._called.add(order.id)
                self._urgent.append(order.id)

    # Which order is next.

    def _urgent_change(self) -> Change | None:
        if self._rng.random() >= CHANCE_URGENT_FIRST:
            return None
        while self._urgent:
            if order := self._shelf.take(self._urgent.popleft()):
                return self._looked_at(order)
        return None

    def _attended(self) -> Change | None:
        if not self._by_hand or self._rng.random() >= CHANCE_ATTENDED:
            return None
        order_id = next(iter(self._by_hand))
        del self._by_hand[order_id]
        order = self._shelf.take(order_id)
        return self._looked_at(order) if order else None

    def _arrival(self) -> Change | None:
        room = 1 - self.open_orders / self._open_limit
        return self._new_order() if self._rng.random() < room / 2 else None

    def _found(self) -> Change | None:
        for _ in range(LOOKS):
            order = self._shelf.draw(self._rng)
            if order and (change := self._looked_at(order)):
                return change
        return None

    def _forced(self) -> Change:
        """Nothing happens by itself: somebody places an order, or where the floor is full, cancels one."""
        change = self._new_order() if self.open_orders < self._open_limit else None
        if change:
            return change
        order = self._shelf.draw(self._rng)
        if order is not None and order.is_by_hand and order.status not in PENDING:
            self._lay_down(order)
            order = None
        if order is None:
            # Every order is under way, or not ours to cancel: one more passes the limit, and ours are cancelled next.
            return self._ordered(self._crowd.user())
        return self._answer(order) if order.status in PENDING else lives.ask_to_cancel(order)

    def _looked_at(self, order: Order) -> Change | None:
        change = self._change_of(order)
        if change is None:
            self._lay_down(order)
        return change

    def _new_order(self) -> Change | None:
        user = self._crowd.user()
        return self._ordered(user) if self._open_by_user[user] < OPEN_PER_USER else None

    def _ordered(self, user: str) -> Change:
        self._open_by_user[user] += 1
        return Change(desk.ordered(self._crowd.request(self.market), user, self._new_id))

    def _lay_down(self, order: Order) -> None:
        self._shelf.put(order)
        if order.status in PENDING or order.time_in_force in AT_ONCE:
            self._urgent.append(order.id)
        elif order.is_by_hand:
            self._by_hand[order.id] = None

    # What happens to it.

    def _change_of(self, order: Order) -> Change | None:
        """What happens to an order when it is looked at; None: nothing yet."""
        called = order.id in self._called
        self._called.discard(order.id)
        if order.status in PENDING:
            return self._answer(order)
        if called and order.asset_class != "mutual_fund":
            return lives.expire(order)
        return self._trade(order, called) or self._lapse(order) or self._whim(order)

    def _answer(self, order: Order) -> Change:
        if order.status == "pending_new":
            rejection = desk.check(order, self.market, is_open=self.is_open)
            return lives.reject(order, rejection.reason_code, rejection.reason) if rejection else lives.accept(order)
        if order.status == "pending_replace":
            return self._replaced(order)
        late = self._trade(order, called=False) if self._rng.random() < CHANCE_TOO_LATE else None
        return late or lives.cancel(order)

    def _replaced(self, order: Order) -> Change:
        last = self.market.price(order.symbol)
        if order.price is None or last is None or self._rng.random() < CHANCE_REPLACE_REFUSED:
            return lives.replaced(order, order.quantity, order.price)
        instrument = INSTRUMENTS[order.symbol]
        price = self._crowd.new_terms(instrument, last, order.side)
        quantity = order.quantity + (self._part(order) if self._rng.random() < 0.3 else 0)
        return lives.replaced(order, quantity, price)

    def _trade(self, order: Order, called: bool) -> Change | None:
        """An execution, if the market is where the order wants it; a fund's only at the bell, and whole."""
        price = self.market.price(order.symbol)
        is_fund = order.asset_class == "mutual_fund"
        closed = not called if is_fund else order.asset_class in desk.HAS_HOURS and not self.is_open
        if price is None or closed or not lives.may_trade_at(order, price):
            return None
        whole = is_fund or order.time_in_force == "fok" or self._rng.random() < CHANCE_FILLED_WHOLE
        return lives.fill(order, order.remaining_quantity if whole else self._part(order), price)

    def _lapse(self, order: Order) -> Change | None:
        return lives.expire(order) if order.time_in_force in AT_ONCE else None

    def _whim(self, order: Order) -> Change | None:
        """One of the crowd who waits may change their mind; a person at a page does so for themselves."""
        if order.is_by_hand:
            return None
        chance = self._rng.random()
        if chance < CHANCE_CANCELLED:
            return lives.ask_to_cancel(order)
        if chance < CHANCE_CANCELLED + CHANCE_REPLACED and order.price is not None:
            return lives.ask_to_replace(order)
        return None

    def _part(self, order: Order) -> Decimal:
        """A tenth to a half of what remains, in whole lots."""
        instrument = INSTRUMENTS.get(order.symbol)
        lot = instrument.lot if instrument else order.remaining_quantity
        lots = int(order.remaining_quantity / lot)
        if not lots:
            # Less than a lot: an order that somebody else put into the table.
            return order.remaining_quantity
        return lives.plain(lot * self._rng.randint(max(1, lots // 10), max(1, lots // 2)))
