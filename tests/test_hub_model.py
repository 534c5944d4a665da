"""The hub with delivery as a model: whatever happens, in whatever order, each client ends with what the table holds.

A world is what its number makes happen, so one that fails fails again; `--hypothesis-profile long` tries thirty times
as many. Hypothesis itself would choose a twentieth of them in the same time, and take minutes over one that fails.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from hypothesis import settings

from orderstream.core.delivery import State
from tests.hub_world import Turns, World

STEPS = 60
# Every so often everything is answered, and everybody must be right: what went wrong is not mended by what comes later.
RESTS = 0.06
# Nothing, about a load's window, longer than it, and until what failed is tried again.
PAUSES_S = [0.0, 0.0, 0.0, 0.001, 0.001, 0.01, 0.01, 2.0]
HAPPENINGS: list[Callable[[World], None]] = [
    *[World.commits, World.publishes] * 4,
    *[World.answers, World.fails, World.connects, World.stalls, World.forgets] * 2,
    *[World.departs, World.renews, World.retires, World.misses],
]


class Step(NamedTuple):
    """What happens, with choices that are `number`'s own: where another step is left out they stay what they are."""

    happening: Callable[[World], None]
    pause_s: float
    rests: bool
    number: int


def steps_of(world: int) -> list[Step]:
    """What happens in the world of that number."""
    choices = random.Random(world)
    return [
        Step(choices.choice(HAPPENINGS), choices.choice(PAUSES_S), choices.random() < RESTS, choices.randrange(2**32))
        for _ in range(STEPS)
    ]


async def live(steps: Sequence[Step]) -> None:
    """Fails where a client is told what breaks the law, or does not end with what the table holds."""
    choices = random.Random()
    world = World(choices.randrange)
    for step in steps:
        choices.seed(step.number)
        step.happening(world)
        await asyncio.sleep(step.pause_s)
        world.hub.sweep()
        if step.rests:
            await rest(world)
    await rest(world)
    await world.hub.close()


async def rest(world: World) -> None:
    await world.comes_to_rest()
    for client in world.clients:
        assert (client.failed, client.wronged) == (None, None)
        assert client.subscriber is not None
        assert client.subscriber.state is State.LIVE
        assert client.orders == {order: world.table._orders[order]["version"] for order in client.orders}
        assert client.cursor == str(world.table._cursor(client.user_id))
        assert len(client.orders) == (client.user_id in world.order_ids)


def failure_of(steps: Sequence[Step]) -> Exception | None:
    with asyncio.Runner(loop_factory=Turns) as runner:
        try:
            runner.run(live(steps))
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is told with the world's number
            return failure
    return None


def needed(steps: Sequence[Step]) -> Sequence[Step]:
    """Those of a world that fails without which it would not."""
    at = 0
    while at < len(steps):
        fewer = [*steps[:at], *steps[at + 1 :]]
        if failure_of(fewer) is not None:
            steps = fewer
        else:
            at += 1
    return steps


def test_each_client_ends_with_what_the_table_holds_whatever_happens() -> None:
    """Each event after its cursor once and in order, or a reset and a snapshot: the clients fail on anything else."""
    for world in range(5 * settings.default.max_examples):
        steps = steps_of(world)
        if (failure := failure_of(steps)) is not None:
            lines = [f"{step.happening.__name__} {step.pause_s} {step.rests}" for step in needed(steps)]
            raise AssertionError("\n".join([f"world {world}", *lines])) from failure
