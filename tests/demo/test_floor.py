"""Whatever the seed, every order on the floor lives by the rules."""

from collections import Counter, defaultdict
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from itertools import pairwise
from random import Random
from uuid import UUID

import pytest

from orderstream.demo import lives
from orderstream.demo.floor import OPEN_PER_USER, Floor
from orderstream.demo.lives import Change

from .orders import order

SEEDS = range(12)
CHANGES = 1_500
OPEN_LIMIT = 40


def new_floor(seed: int, *, users: int = 50, open_limit: int = OPEN_LIMIT) -> Floor:
    rng = Random(seed)
    return Floor(rng, users=users, open_limit=open_limit, new_id=lambda: UUID(int=rng.getrandbits(128)))


def commit(floor: Floor) -> Change:
    change = floor.next_change()
    change = replace(change, order=replace(change.order, version=change.order.version + 1))
    floor.settle(change.order)
    return change


@cache
def lived(seed: int) -> dict[UUID, list[Change]]:
    """All that happened on a floor: order id -> its changes."""
    floor, changes = new_floor(seed), defaultdict(list)
    for _ in range(CHANGES):
        change = commit(floor)
        changes[change.order.id].append(change)
    return dict(changes)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_status_follows_the_one_before_when_orders_live(seed: int) -> None:
    """Orders begin pending_new, move as FIX has it, and do not move once ended."""
    for changes in lived(seed).values():
        statuses = [change.order.status for change in changes]
        assert statuses[0] == "pending_new"
        assert all(after in lives.NEXT[before] for before, after in pairwise(statuses))


@pytest.mark.parametrize("seed", SEEDS)
def test_filled_is_what_the_executions_come_to_when_orders_live(seed: int) -> None:
    """Quantities add up exactly, and the average price is the executions' mean to eight decimals."""
    for changes in lived(seed).values():
        traded = [change.execution for change in changes if change.execution]
        last, quantity = changes[-1].order, sum((one.quantity for one in traded), Decimal(0))
        assert last.filled_quantity == quantity <= last.quantity
        assert (last.status == "filled") == (quantity == last.quantity)
        if traded:
            mean = sum(one.quantity * one.price for one in traded) / quantity
            assert last.average_price == mean.quantize(Decimal("1E-8"), ROUND_HALF_EVEN)


@pytest.mark.parametrize("seed", SEEDS)
def test_executions_are_within_the_limit_when_the_order_has_one(seed: int) -> None:
    """A buyer never pays more than the limit of that moment, a seller never gets less."""
    for changes in lived(seed).values():
        for one, execution in ((change.order, change.execution) for change in changes):
            if execution and one.price is not None:
                assert execution.price <= one.price if one.side == "buy" else execution.price >= one.price


@pytest.mark.parametrize("seed", SEEDS)
def test_fok_and_fund_orders_trade_whole_or_not_at_all_when_orders_live(seed: int) -> None:
    """Neither is ever partially filled."""
    for changes in lived(seed).values():
        first = changes[0].order
        if first.time_in_force == "fok" or first.asset_class == "mutual_fund":
            assert "partially_filled" not in {change.order.status for change in changes}


@pytest.mark.parametrize("seed", SEEDS)
def test_every_status_occurs_when_a_floor_runs_for_a_few_days(seed: int) -> None:
    """A demo shows all that can happen to an order, most of all that it is filled."""
    ended = Counter(changes[-1].order.status for changes in lived(seed).values())
    seen = {change.order.status for changes in lived(seed).values() for change in changes}
    assert seen == set(lives.NEXT)
    assert ended["filled"] > sum(ended[status] for status in lives.ENDED - {"filled"})


def test_every_reason_is_told_in_words_when_orders_are_refused_or_let_go() -> None:
    """The reasons that the demo is to show all occur, each with words."""
    ends = [changes[-1].order for seed in SEEDS for changes in lived(seed).values()]
    reasons = {one.reason_code for one in ends if one.status in lives.ENDED - {"filled"}}
    assert reasons >= {
        "insufficient_buying_power", "unknown_symbol", "market_closed", "price_out_of_range", "bad_quantity",
        "day_ended", "not_filled_at_once", "not_filled_whole", "cancelled_by_user",
    }  # fmt: skip
    assert all(one.reason for one in ends if one.reason_code)


def test_the_first_user_has_a_fifth_of_the_changes_when_there_are_fifty() -> None:
    """Whoever watches ann at five changes a second sees one about every second."""
    users = Counter(change.order.user_id for seed in SEEDS for one in lived(seed).values() for change in one)
    assert 0.15 < users["ann"] / users.total() < 0.3
    assert len(users) == 50
    assert "user-0050" in users


@pytest.mark.parametrize("users", [1, 3, 50])
def test_open_orders_are_bounded_when_a_floor_runs_on(users: int) -> None:
    """In all, and for each user."""
    floor = new_floor(1, users=users, open_limit=60)
    for _ in range(2_000):
        commit(floor)
        assert floor.open_orders <= min(60, OPEN_PER_USER * users)


def test_no_order_is_given_out_twice_when_its_change_is_under_way() -> None:
    """Several connections never write the same order at once."""
    floor = new_floor(2)
    for _ in range(200):
        commit(floor)
    under_way = [floor.next_change().order.id for _ in range(OPEN_LIMIT + 8)]
    assert len(set(under_way)) == len(under_way)


def test_fund_orders_fill_and_day_orders_expire_when_the_bell_rings() -> None:
    """Until all that is done, stocks and ETFs are closed."""
    floor = new_floor(3)
    fund = {
        "id": UUID(int=1),
        "symbol": "VFIAX",
        "asset_class": "mutual_fund",
        "order_type": "market",
        "price": None,
    }
    floor.lay_out([order(status="submitted", **fund), order(id=UUID(int=2), status="submitted", price=Decimal(1))])
    floor.ring_bell()
    assert not floor.is_open
    ends = {}
    while not floor.is_open:
        change = commit(floor)
        ends[change.order.id.int] = change.order.status
    assert (ends[1], ends[2]) == ("filled", "expired")


def test_floor_holds_the_orders_it_is_given_when_it_is_laid_out_anew() -> None:
    """Those from before a lost connection are gone, and ended ones are left out."""
    floor = new_floor(4)
    for _ in range(100):
        commit(floor)
    floor.lay_out([order(status="submitted"), order(id=UUID(int=2), status="filled")])
    assert floor.open_orders == 1


def test_order_placed_by_hand_is_left_to_its_user_when_it_waits() -> None:
    """The crowd's whims are not a person's: it is neither cancelled nor changed, however long it waits."""
    floor = new_floor(1)
    waiting = order(status="submitted", version=2, client_order_id="page-1", time_in_force="gtc", price=Decimal("190"))
    floor.meet(waiting)
    changed = {commit(floor).order.id for _ in range(2_000)}
    assert waiting.id not in changed


def test_order_is_met_once_when_it_is_found_again() -> None:
    """A look into the table finds what the floor already has; only a newer version counts."""
    floor = new_floor(1)
    found = order(status="submitted", version=2)
    for one in (found, found, replace(found, status="pending_cancel", version=3), found):
        floor.meet(one)
    assert floor.open_orders == 1
