"""Alarms: what is due is called once, in time, and not when it was taken back."""

import asyncio
from collections.abc import Callable

from orderstream.web.alarms import TICK_S, Alarms
from tests.waiting import eventually


class Sleeper:
    """Says when it was called."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.rang_at: list[float] = []
        self._then = then

    def ring(self) -> None:
        self.rang_at.append(asyncio.get_running_loop().time())
        self._then()


async def test_what_is_due_is_called_once_it_is_over() -> None:
    """Not before, and with others in whichever order it was set."""
    alarms, now = Alarms(), asyncio.get_running_loop().time()
    dues = [now + 0.25, now + 0.05, now + 0.15, now + 0.05]
    sleepers = [Sleeper() for _ in dues]
    for sleeper, due in zip(sleepers, dues, strict=True):
        assert due <= alarms.set(sleeper, due).at < due + TICK_S
    await eventually(lambda: all(sleeper.rang_at for sleeper in sleepers))
    assert [len(sleeper.rang_at) for sleeper in sleepers] == [1, 1, 1, 1]
    assert all(sleeper.rang_at[0] > due - 0.01 for sleeper, due in zip(sleepers, dues, strict=True))


async def test_those_due_within_a_tick_share_an_alarm() -> None:
    """However many they are, there is one timer."""
    alarms, at = Alarms(), asyncio.get_running_loop().time() // TICK_S * TICK_S + 10
    assert alarms.set(Sleeper(), at + 0.02) is alarms.set(Sleeper(), at + 0.08)
    assert alarms.set(Sleeper(), at + 0.12) is not alarms.set(Sleeper(), at + 0.08)


async def test_what_was_taken_back_is_not_called() -> None:
    """Before it rings, or by another for whom it rings too."""
    alarms, now = Alarms(), asyncio.get_running_loop().time()
    early, last = Sleeper(), Sleeper()
    first = Sleeper(lambda: alarm.take_back(second))
    second = Sleeper(lambda: alarm.take_back(first))
    for sleeper in (early, first, second):
        alarm = alarms.set(sleeper, now)
    alarm.take_back(early)
    assert not hasattr(early, "earlier")
    assert not hasattr(early, "later")
    alarms.set(last, now + 2 * TICK_S)
    await eventually(lambda: last.rang_at)
    assert (early.rang_at, len(first.rang_at) + len(second.rang_at)) == ([], 1)


async def test_those_of_one_alarm_are_called_in_the_order_in_which_they_were_set() -> None:
    """The others' turns come between."""
    alarms, called = Alarms(), list[int]()
    for number in range(4):
        alarms.set(Sleeper(lambda number=number: called.append(number)), 0.0)
    await eventually(lambda: len(called) == 4)
    assert called == [0, 1, 2, 3]


async def test_alarm_may_be_set_again_while_it_rings() -> None:
    """It is another one then, and after it, although for the same time."""
    alarms = Alarms()
    sleeper = Sleeper(lambda: len(sleeper.rang_at) < 3 and alarms.set(sleeper, 0.0))
    alarms.set(sleeper, 0.0)
    await eventually(lambda: len(sleeper.rang_at) == 3)
    alarms.set(sleeper, 0.0)
    await eventually(lambda: len(sleeper.rang_at) == 4)


async def test_one_that_fails_takes_nobody_with_it() -> None:
    """The loop is told, and the others are called."""
    alarms, failures, loop = Alarms(), list[object](), asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))

    def fail() -> None:
        raise ArithmeticError

    sleepers = [Sleeper(), Sleeper(fail), Sleeper()]
    for sleeper in sleepers:
        alarms.set(sleeper, 0.0)
    await eventually(lambda: all(sleeper.rang_at for sleeper in sleepers))
    assert [type(failure) for failure in failures] == [ArithmeticError]


async def test_others_have_their_turn_between_many_that_are_due() -> None:
    """Thousands of polls may end together."""
    alarms, loop = Alarms(), asyncio.get_running_loop()
    order: list[str] = []
    for _ in range(3):
        alarms.set(Sleeper(lambda: (order.append("due"), loop.call_soon(order.append, "other"))), 0.0)
    await eventually(lambda: len(order) == 6)
    assert order == ["due", "due", "other", "due", "other", "other"]
