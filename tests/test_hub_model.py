"""The hub with delivery as a model: whatever happens, in whatever order, each client ends with what the table holds.

Hypothesis chooses what happens; `--hypothesis-profile long` lets it search for minutes.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.hub_world import Turns, World

# Nothing, about a load's window, longer than it, and until what failed is tried again.
PAUSES_S = [0.0, 0.001, 0.01, 2.0]
HAPPENINGS: list[Callable[[World], None]] = [
    *[World.commits, World.publishes, World.answers] * 2,
    *[World.fails, World.connects, World.departs, World.stalls, World.renews, World.forgets, World.retires],
]


class HubWorld(RuleBasedStateMachine):
    """Each event after its cursor once and in order, or a reset and a snapshot: the clients fail on anything else."""

    def __init__(self) -> None:
        super().__init__()
        self._choose: Callable[[int], int] = lambda _: 0
        self.runner = asyncio.Runner(loop_factory=Turns)
        self.world = self.runner.run(self._made())

    async def _made(self) -> World:
        return World(self._chosen)

    def _chosen(self, below: int) -> int:
        return self._choose(below)

    @rule(happening=st.sampled_from(HAPPENINGS), pause_s=st.sampled_from(PAUSES_S), choices=st.data())
    def happens(self, happening: Callable[[World], None], pause_s: float, choices: Any) -> None:
        self._choose = lambda below: choices.draw(st.integers(0, below - 1))
        self.runner.run(self._happens(happening, pause_s))

    async def _happens(self, happening: Callable[[World], None], pause_s: float) -> None:
        happening(self.world)
        await asyncio.sleep(pause_s)
        self.world.hub.sweep()

    def teardown(self) -> None:
        try:
            self.runner.run(self._ends())
        finally:
            self.runner.close()

    async def _ends(self) -> None:
        world = self.world
        await world.comes_to_rest()
        for client in world.clients:
            assert client.failed is None
            assert client.orders == {order: world.table._orders[order]["version"] for order in client.orders}
            assert client.cursor == str(world.table._cursor(client.user_id))
            assert len(client.orders) == (client.user_id in world.order_ids)
        await world.hub.close()


TestHubWorld = HubWorld.TestCase
TestHubWorld.settings = settings(deadline=None, stateful_step_count=120)
