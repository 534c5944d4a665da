"""Collecting: many who ask at once, one question."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from orderstream.collector import CROWD_WINDOW_S, Collector
from orderstream.errors import Unavailable
from tests.hub_world import in_turns
from tests.waiting import eventually


class Oracle:
    """Answers each key with its double, once let; remembers the questions."""

    def __init__(self) -> None:
        self.questions: list[list[int]] = []
        self.let = asyncio.Event()
        self.let.set()
        self.error: Exception | None = None

    async def ask(self, keys: Sequence[int]) -> Mapping[int, int]:
        self.questions.append(list(keys))
        await self.let.wait()
        if self.error:
            raise self.error
        return {key: 2 * key for key in keys}


@pytest.fixture
def oracle() -> Oracle:
    return Oracle()


async def test_those_who_ask_within_the_window_share_a_question(oracle: Oracle) -> None:
    """Each key once, each asker answered."""
    collector = Collector(oracle.ask, window_s=0.001, max_keys=100)
    assert await asyncio.gather(*(collector.get(key) for key in (1, 2, 1, 3))) == [2, 4, 2, 6]
    assert oracle.questions == [[1, 2, 3]]


async def test_full_question_does_not_wait_for_the_window(oracle: Oracle) -> None:
    """No question holds more keys than the limit."""
    collector = Collector(oracle.ask, window_s=60.0, max_keys=2)
    assert await asyncio.gather(*(collector.get(key) for key in range(4))) == [0, 2, 4, 6]
    assert oracle.questions == [[0, 1], [2, 3]]


@in_turns
async def test_crowd_waits_for_each_other(oracle: Oracle) -> None:
    """Those behind it share a question although they come many windows apart; who comes alone then does not wait."""
    collector, loop = Collector(oracle.ask, window_s=0.001, max_keys=100), asyncio.get_running_loop()
    await asyncio.gather(*map(collector.get, range(4)))
    first = asyncio.ensure_future(collector.get(4))
    await asyncio.sleep(0.02)
    await asyncio.gather(first, collector.get(5))
    assert oracle.questions == [[0, 1, 2, 3], [4, 5]]
    asked_at = loop.time()
    assert await collector.get(6) == 12
    assert loop.time() - asked_at < CROWD_WINDOW_S


async def test_failure_reaches_all_who_asked_and_nobody_after(oracle: Oracle) -> None:
    """The next question is a new one."""
    collector = Collector(oracle.ask, window_s=0.0, max_keys=9)
    oracle.error = ConnectionError("gone")
    assert [type(answer) for answer in await asyncio.gather(*map(collector.get, (1, 2)), return_exceptions=True)] == [
        ConnectionError
    ] * 2
    oracle.error = None
    assert await collector.get(1) == 2


async def test_cancelled_asker_does_not_take_the_answer_from_another(oracle: Oracle) -> None:
    """A client that departs costs the others nothing."""
    collector = Collector(oracle.ask, window_s=0.0, max_keys=9)
    leaving, staying = asyncio.create_task(collector.get(1)), asyncio.create_task(collector.get(1))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == 2
    assert leaving.cancelled()


async def test_close_leaves_nobody_waiting(oracle: Oracle) -> None:
    """Asked or not yet asked: cancelled."""
    collector = Collector(oracle.ask, window_s=60.0, max_keys=2)
    oracle.let.clear()
    asked = [asyncio.create_task(collector.get(key)) for key in range(3)]
    await eventually(lambda: oracle.questions)
    await collector.close()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(answer) for answer in answers] == [asyncio.CancelledError] * 3


async def test_one_who_gets_no_answer_is_told_and_the_others_are_answered() -> None:
    """A key that the answer leaves out must not leave all who asked with it waiting."""

    async def forgetful(keys: Sequence[int]) -> Mapping[int, int]:
        return {key: key for key in keys if key != 1}

    collector = Collector(forgetful, window_s=0.001, max_keys=100)
    forgotten, answered = await asyncio.gather(collector.get(1), collector.get(2), return_exceptions=True)
    assert isinstance(forgotten, Unavailable)
    assert answered == 2
