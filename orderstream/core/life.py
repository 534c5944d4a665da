"""The life of one order as far as its events tell it: what `checks` must know of what came before.

    row            the order as it was told last; None before that, and after something that could not be read
    executions     those that were reported
    apart          what is filled beyond the executions: 0 where they account for all of it, None before that is known
    born           its first event was its insertion, with nothing filled that its executions do not account for

A transaction is open from its first event to `close`, which judges its sums: nothing says which is its last event but
that the next one is another's.
"""

import msgspec

from orderstream.core.checks import (
    FALLS,
    KNOWN_TYPES,
    OF_A_REPORT,
    OF_A_ROW,
    OF_A_TRANSACTION,
    RISES,
    Check,
    Report,
    Row,
    Step,
    Transaction,
    first_broken,
)
from orderstream.core.executions import EXACT, Executed, Executions, Number, minus

# An order with more executions is one of a machine; beyond it, what a bust refers to may be unknown.
MAX_EXECUTIONS = 1000


class _OrderData(msgspec.Struct, gc=False):
    order: Row
    exec_type: str | None = None
    previous_status: str | None = None


class _ExecutionData(msgspec.Struct, gc=False):
    execution: Executed


_order_data = msgspec.json.Decoder(_OrderData).decode
_execution_data = msgspec.json.Decoder(_ExecutionData).decode


class Life:
    """Takes an order's events one by one. What cannot be read raises ValueError or ArithmeticError: `forget` then."""

    __slots__ = (
        "_before", "_effect", "_fell", "_has_report", "_has_row", "_rose", "apart", "born", "executions", "filled_at",
        "row", "together", "xid",
    )  # fmt: skip

    def __init__(self) -> None:
        self.executions = Executions()
        self.born = False
        self.together = False
        self.xid: object = None
        self.forget()

    def forget(self) -> None:
        """What comes next is the middle of a life."""
        self.row: Row | None = None
        self.apart: Number | None = None
        self.filled_at: tuple[Number, Number | None] | None = None
        self.born = False
        self._open()

    def _open(self) -> None:
        self._before = None if self.row is None else self.row.filled_quantity
        self._effect: Number | None = 0
        self._has_row = self._has_report = self._fell = self._rose = False

    @property
    def complete(self) -> bool:
        """Whether every execution that counts is known."""
        return self.born and not self.apart

    def take(self, name: str, body: str) -> Check | None:
        """The next event of the transaction that is open, and what is wrong with it alone."""
        if name == "order":
            return self._take_row(_order_data(body))
        if name == "execution":
            return self._take_report(_execution_data(body).execution)
        return None

    def _take_row(self, told: _OrderData) -> Check | None:
        now, was = told.order, self.row
        if was is not None and was.status != told.previous_status:
            # Something was not told: a trigger was off, or the order was another user's.
            self.forget()
            was = None
        elif was is None and not self._has_row and told.previous_status is None:
            # Its insertion, unless it came from another user; what is filled already, `close` accounts for.
            self.born = not self.executions
            self._before = 0
        if was is not None and was.filled_quantity != now.filled_quantity:
            self._account_for(told.exec_type, was, now)
        check = first_broken(OF_A_ROW, Step(now, was, told.exec_type, self.filled_at))
        self.row = now
        self._has_row = True
        if now.status == "filled":
            self.filled_at = (now.filled_quantity, now.quantity)
        elif self.filled_at is not None and self.filled_at[0] != now.filled_quantity:
            self.filled_at = None
        return check

    def _account_for(self, exec_type: str | None, was: Row, now: Row) -> None:
        if exec_type == "restated" and self._is_split(was, now):
            return
        if exec_type not in KNOWN_TYPES:
            # Whatever that is, it may have changed what is filled without an execution.
            self.apart = None
        elif now.filled_quantity < was.filled_quantity:
            self._fell |= exec_type not in FALLS
        else:
            self._rose |= exec_type not in RISES

    def _is_split(self, was: Row, now: Row) -> bool:
        """Whether what is filled and what is ordered changed by the same factor; then all that was traded did."""
        if not was.quantity or now.quantity is None or not was.filled_quantity:
            return False
        crossed = EXACT.multiply(now.quantity, was.filled_quantity), EXACT.multiply(now.filled_quantity, was.quantity)
        if crossed[0] != crossed[1]:
            return False
        if self._before is not None:
            self._before += now.filled_quantity - was.filled_quantity
        try:
            self.executions.scale(EXACT.divide(now.quantity, was.quantity))
        except ArithmeticError:
            # Three for one, backwards: what each trade came to is nobody's number.
            self._lose_executions()
        return True

    def _take_report(self, execution: Executed) -> Check | None:
        complete = self.complete
        if len(self.executions) >= MAX_EXECUTIONS:
            self._lose_executions()
        effect = self.executions.report(execution)
        if effect.quantity is None or self._effect is None:
            self._effect = None
        else:
            self._effect = EXACT.add(self._effect, effect.quantity)
        self._has_report = True
        return first_broken(OF_A_REPORT, Report(execution, effect, complete))

    def _lose_executions(self) -> None:
        self.executions, self.apart, self.born = Executions(), None, False

    def close(self, *, in_time: bool = True) -> Check | None:
        """The end of the transaction, and what is wrong with all of it; the next one is open then. What comes too late
        to be told (not `in_time`) is held against the next."""
        known = self.apart
        try:
            check = self._close()
            if check is not None and not in_time:
                self.apart = known
            return check
        finally:
            self._open()

    def _close(self) -> Check | None:
        if self.row is None:
            return None
        apart = minus(self.row.filled_quantity, self.executions.quantity)
        if self.apart is None:
            # The first that is known of it: no more can be said than what is filled that nobody reported.
            self.apart = apart
            self.born = self.born and apart == 0
            return None
        if self._before is None or self._effect is None:
            self.apart = apart
            return None
        return self._judge(self.row, minus(self.row.filled_quantity, self._before), self._effect, apart)

    def _judge(self, row: Row, rise: Number, effect: Number, apart: Number) -> Check | None:
        if rise == effect != 0 and self._has_row and self._has_report:
            self.together = True
        settled = apart == self.apart
        average = None
        if settled and apart == 0 and self.born and self._has_row and self._has_report:
            average = self.executions.net.average_price
        facts = Transaction(
            rise if self._has_row else None,
            effect if self._has_report else None,
            self._fell,
            self._rose,
            settled,
            self.together,
            average,
            row.average_price,
        )
        check = first_broken(OF_A_TRANSACTION, facts)
        if check is not None:
            # Said once: what follows is judged from here.
            self.apart = apart
        return check
