"""What an order service writes for a batch of messages: pure, from what the tables know of their orders.

A request to cancel or replace changes nothing until it is answered, so of requests only the names are kept. A report
about an order that nobody has seen makes its row as the report has it: nothing is made up about what came before.

Changes come in rounds, in file order for each order and with at most one of an order in a round. A round is a
transaction, as of an order service each report is: what one statement does to a row is one event however often it does
it, and what one transaction does to an order is checked as a whole.
"""

from collections.abc import Mapping, Sequence

import msgspec

from orderstream.core.fix import words
from orderstream.core.fix.ids import Names, uuid_of
from orderstream.core.fix.reports import ASK, NEW, REFUSAL, REPORT, Said, whole

PLATFORM = "fix"
_OPENING = ("new", "pending_new", "rejected")


class Entry(msgspec.Struct, frozen=True):
    """One message to play; `is_retried` as the wire says."""

    said: Said
    names: Names
    is_retried: bool = False


class Key(msgspec.Struct, frozen=True):
    """A name, or the id of a message that was played, and its order; without an order, of a message that was set aside
    for want of one. `account` is that of the first message under this name, if it was a report."""

    key: str
    order_id: str | None
    account: str | None


class Standing(msgspec.Struct, frozen=True):
    """What the table has of an order; `day` is that of its beginning, as YYYY-MM-DD."""

    side: str
    has_ended: bool
    day: str


class OrderRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """Columns of public.orders; None leaves what is there, but for `exec_type`, `reason_code` and `reason`."""

    id: str
    user_id: str | None = None
    client_order_id: str | None = None
    original_client_order_id: str | None = None
    symbol: str | None = None
    asset_class: str | None = None
    side: str | None = None
    order_type: str | None = None
    time_in_force: str | None = None
    platform: str | None = None
    quantity: str | None = None
    cash_amount: str | None = None
    price: str | None = None
    stop_price: str | None = None
    status: str | None = None
    filled_quantity: str | None = None
    average_price: str | None = None
    exec_type: str | None = None
    reason_code: str | None = None
    reason: str | None = None
    created_at: str | None = None


class ExecutionRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """Columns of public.executions; the order says symbol and side where the report does not."""

    id: str
    order_id: str
    quantity: str
    kind: str
    symbol: str | None = None
    side: str | None = None
    price: str | None = None
    refers_to: str | None = None
    executed_at: str | None = None


class Round(msgspec.Struct):
    """One transaction, in this order: an execution needs its order, and is told before the change that it made. `keys`
    are of the messages that it plays, by their own."""

    new: list[OrderRow] = []
    executions: list[ExecutionRow] = []
    changed: list[OrderRow] = []
    keys: dict[str, Key] = {}


class Batch(msgspec.Struct):
    """What is to be written, and what became of the messages; `aside` is of their places in the batch."""

    rounds: list[Round] = []
    aside: list[tuple[int, str]] = []
    repeats: int = 0


def play(entries: Sequence[Entry], known: Mapping[str, Key], standing: Mapping[str, Standing], source: str) -> Batch:
    """`known` is what the ledger has of the entries' names, `standing` of the orders that these lead to."""
    book = _Book(dict(known), dict(standing), source)
    for place, entry in enumerate(entries):
        book.play(place, entry)
    return book.batch


class _Book:
    def __init__(self, known: dict[str, Key], standing: dict[str, Standing], source: str) -> None:
        self.batch = Batch()
        self._known = known
        self._standing = standing
        self._source = source
        self._rounds: dict[str, int] = {}

    def play(self, place: int, entry: Entry) -> None:
        said, names = entry.said, entry.names
        before = self._known.get(names.message)
        if before is not None and before.order_id is not None:
            # What one hop calls an order is learned from repeats too.
            self._name(names, before.order_id, said)
            self.batch.repeats += 1
            return
        if before is not None and not entry.is_retried:
            # What is to be played late is in the file that it was set aside to; here it stays in its place.
            self.batch.aside.append((place, "it was set aside before, when its order was not known"))
            return
        order_id = self._find(said, names)
        if order_id is not None and self._is_anew(said, order_id):
            order_id = None
        if order_id is not None and order_id in self._standing:
            self._go_on(order_id, said)
        elif (problem := _cannot_begin(said)) is not None:
            self._keep(Key(names.message, None, None), 0)
            self.batch.aside.append((place, problem))
            return
        else:
            # One that is known and has no row was deleted since.
            order_id = order_id or uuid_of("order", self._source, names.message)
            self._begin(order_id, said)
        self._name(names, order_id, said)
        self._keep(Key(names.message, order_id, None), self._rounds.get(order_id, 0))

    def _find(self, said: Said, names: Names) -> str | None:
        """The order that the message is about, by the surest name that leads to one."""
        mine = (names.own, names.seen, names.plain)
        theirs = (names.old, names.old_plain)
        # A request is known by what it asks about: its own ClOrdID is the request's.
        for name in (*theirs, *mine) if said.kind in (ASK, REFUSAL) else (*mine, *theirs, names.at_broker):
            if (order_id := self._led(name, said)) is not None:
                return order_id
        return self._led(names.at_broker, said)

    def _led(self, name: str | None, said: Said) -> str | None:
        key = None if name is None else self._known.get(name)
        if key is None or key.order_id is None:
            return None
        # In a drop copy of many accounts two may use the same ClOrdID, and anywhere two sides the same OrderID.
        if said.kind == REPORT and key.account and said.account and key.account != said.account:
            return None
        there = self._standing.get(key.order_id)
        if there is not None and said.side and there.side and there.side != said.side:
            return None
        return key.order_id

    def _is_anew(self, said: Said, order_id: str) -> bool:
        """Names are good for a day: one of an order that has ended may be given again on a later one."""
        begins = said.kind == NEW or (said.kind == REPORT and said.exec_type in _OPENING)
        there = self._standing.get(order_id)
        return begins and there is not None and there.has_ended and said.day > there.day

    def _begin(self, order_id: str, said: Said) -> None:
        terms = said.terms
        is_request = said.kind == NEW
        status = "pending_new" if is_request else said.status or ""
        row = OrderRow(
            id=order_id,
            user_id=said.user,
            client_order_id=_name_at_first(said) or None,
            original_client_order_id=_name_before(said),
            symbol=terms.symbol,
            asset_class=terms.asset_class or "stock",
            side=said.side,
            order_type=terms.order_type or ("limit" if terms.price is not None else "market"),
            time_in_force=terms.time_in_force or "day",
            platform=PLATFORM,
            quantity=whole(said),
            cash_amount=terms.cash_amount,
            price=terms.price,
            stop_price=terms.stop_price,
            status=status,
            filled_quantity=said.filled_quantity or "0",
            average_price=said.average_price,
            exec_type="pending_new" if is_request else said.exec_type,
            reason_code=said.reason_code,
            reason=said.reason,
            created_at=said.at,
        )
        there = self._round(order_id)
        there.new.append(row)
        self._execute(there, order_id, said)
        self._standing[order_id] = Standing(said.side, status in words.ENDED, said.day)

    def _go_on(self, order_id: str, said: Said) -> None:
        if said.kind in (NEW, ASK):
            return
        terms = said.terms
        there = self._standing.get(order_id)
        row = OrderRow(
            id=order_id,
            client_order_id=said.client_order_id or None if _name_before(said) else None,
            original_client_order_id=_name_before(said),
            # Every gateway has its own name for a security; that a corporate action changed it is news.
            symbol=terms.symbol if said.exec_type == "restated" else None,
            order_type=terms.order_type,
            time_in_force=terms.time_in_force,
            quantity=terms.quantity,
            cash_amount=terms.cash_amount,
            price=terms.price,
            stop_price=terms.stop_price,
            status=said.status,
            filled_quantity=said.filled_quantity,
            average_price=said.average_price,
            exec_type=said.exec_type,
            reason_code=said.reason_code,
            reason=said.reason,
        )
        now = self._round(order_id)
        self._execute(now, order_id, said)
        now.changed.append(row)
        if there is not None and said.status is not None:
            self._standing[order_id] = Standing(there.side, said.status in words.ENDED, there.day)

    def _execute(self, now: Round, order_id: str, said: Said) -> None:
        """The execution that the report is, if any; one is known by its ExecID, however often it is sent."""
        kind = words.KINDS.get(said.exec_type or "")
        quantity = said.last_quantity or "0"
        if kind is None or (kind == "trade" and not float(quantity)):
            return
        # Without ExecID (17) the change itself is all there is to know it by.
        execution_id = said.exec_id or f"{said.sequence} {said.first_sent}"
        now.executions.append(
            ExecutionRow(
                id=uuid_of("execution", order_id, execution_id),
                order_id=order_id,
                symbol=said.terms.symbol,
                side=said.side or None,
                quantity=quantity,
                price=said.last_price,
                kind=kind,
                refers_to=uuid_of("execution", order_id, said.refers_to) if said.refers_to else None,
                executed_at=said.at,
            )
        )

    def _round(self, order_id: str) -> Round:
        """The next one for this order."""
        self._rounds[order_id] = self._rounds.get(order_id, -1) + 1
        return self._at(self._rounds[order_id])

    def _at(self, place: int) -> Round:
        if place == len(self.batch.rounds):
            self.batch.rounds.append(Round())
        return self.batch.rounds[place]

    def _name(self, names: Names, order_id: str, said: Said) -> None:
        """Whatever this message calls its order leads to it from now on. A name that leads to another order stays,
        unless that one has ended and this is a new one. Brokers may know an account by another name than the client
        does, so a name from a request is good for reports of any."""
        account = said.account or None if said.kind == REPORT else None
        for name in (names.own, names.plain, names.at_broker, names.seen, names.old, names.old_plain):
            key = None if name is None else self._known.get(name)
            if name is None or (key is not None and not self._may_take(key, order_id)):
                continue
            self._keep(Key(name, order_id, account), self._rounds.get(order_id, 0))

    def _may_take(self, key: Key, order_id: str) -> bool:
        if key.order_id is None or key.order_id == order_id:
            return False
        there, mine = self._standing.get(key.order_id), self._standing.get(order_id)
        return there is not None and mine is not None and there.has_ended and mine.day > there.day

    def _keep(self, key: Key, place: int) -> None:
        self._known[key.key] = key
        self._at(place).keys[key.key] = key


def _name_at_first(said: Said) -> str:
    """What the order is called, where this is the first that is heard of it: until a request is accepted, not by that
    one's name."""
    asks = said.exec_type in ("pending_cancel", "pending_replace")
    return (said.original_client_order_id if asks else "") or said.client_order_id


def _name_before(said: Said) -> str | None:
    """The name that the order had, where this report gives it that of the request that was accepted."""
    is_accepted = said.exec_type in ("replaced", "cancelled") and said.client_order_id != said.original_client_order_id
    return said.original_client_order_id or None if is_accepted else None


def _cannot_begin(said: Said) -> str | None:
    """Why a message about an order that nobody has seen cannot make its row."""
    if said.kind in (ASK, REFUSAL):
        what = "a request" if said.kind == ASK else "a refusal"
        return f"it is {what} about an order of which nothing was seen before"
    lacking = [("Symbol (55)", said.terms.symbol), ("Side (54)", said.side)]
    missing = [name for name, value in lacking if not value]
    return f"it is the first about its order and has no {' and no '.join(missing)}" if missing else None
