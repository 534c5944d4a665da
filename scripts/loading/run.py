"""Holds the streams and polls, then asks the service what each of them should have got."""

import random
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from scripts.fleet.connection import Target
from scripts.fleet.fleet import Fleet, raise_descriptor_limit
from scripts.fleet.polls import OrderPoll
from scripts.fleet.streams import OrderStream
from scripts.fleet.tally import Tally
from scripts.loading.screen import Progress
from scripts.loading.users import User
from scripts.loading.writers import Writer

# How long what was written last may take to arrive, once nothing more is written, on a machine with much else to do.
_SETTLE_S = 15.0
# Before the end nobody leaves any more.
_BACK_S = 5.0
# What was committed last has its number by then.
_NUMBERED_S = 3.0
_ASKING_S = 30.0
_POLL_WAIT_S = 25
_ASKED_AT_ONCE = 50

Client = OrderStream | OrderPoll


@dataclass(frozen=True)
class Plan:
    """How many, for how long; `ramp_up_s` is over how long they come, before `duration_s` begins. Meanwhile so many
    streams a second leave, and come back with their cursor."""

    streams: int
    polls: int
    ramp_up_s: float
    duration_s: float
    leave_per_s: float = 0.0


class Run:
    """Against services of one deployment, at which the clients come by turns. `unasked` are users of whom the service
    did not say, at the end, what there was."""

    def __init__(self, targets: Sequence[Target], plan: Plan, users: Sequence[User], offset_s: float) -> None:
        self._targets, self._plan, self._users, self._offset_s = targets, plan, users, offset_s
        self.streaming, self.polling = Tally("sse"), Tally("poll")
        self.unasked = 0
        self._clients: dict[User, list[Client]] = defaultdict(list)
        self._all: list[Client] = []

    @property
    def tallies(self) -> list[Tally]:
        """Of the transports that are used."""
        plan = self._plan
        return [tally for tally, count in ((self.streaming, plan.streams), (self.polling, plan.polls)) if count]

    def go(self, writer: Writer | None, progress: Progress) -> None:
        """All of it. Raises OSError where this system cannot hold so many; the writer is stopped in any case."""
        raise_descriptor_limit(self._plan.streams + self._plan.polls + _ASKED_AT_ONCE)
        fleet = Fleet()
        try:
            self._come(fleet, writer, progress)
            if writer is not None:
                writer.start()
            self._let_leave(fleet)
            self._turn(fleet, writer, progress, self._plan.duration_s)
        finally:
            if writer is not None:
                writer.stop()
        try:
            self._settle(fleet)
        finally:
            progress.show(self.tallies, None if writer is None else writer.written, at_once=True)
            fleet.close()

    def _let_leave(self, fleet: Fleet) -> None:
        streams = [client for client in self._all if isinstance(client, OrderStream)]
        ends = time.monotonic() + self._plan.duration_s

        def leave() -> None:
            random.choice(streams).leave()
            # Those who left last are back before they are asked what they have.
            if time.monotonic() < ends - _BACK_S:
                fleet.later(1 / self._plan.leave_per_s, leave)

        if streams and self._plan.leave_per_s:
            fleet.later(1 / self._plan.leave_per_s, leave)

    def _come(self, fleet: Fleet, writer: Writer | None, progress: Progress) -> None:
        for number in range(self._plan.streams + self._plan.polls):
            user = self._users[number % len(self._users)]
            client = self._stream(number, user) if number < self._plan.streams else self._poll(number, user)
            self._clients[user].append(client)
            self._all.append(client)
        if self._plan.ramp_up_s:
            fleet.per_s = len(self._all) / self._plan.ramp_up_s
        fleet.add(self._all)
        self._turn(fleet, writer, progress, self._plan.ramp_up_s)
        fleet.per_s = None

    def _turn(self, fleet: Fleet, writer: Writer | None, progress: Progress, duration_s: float) -> None:
        def show() -> bool:
            progress.show(self.tallies, None if writer is None else writer.written)
            return False

        fleet.turn_until(show, duration_s)

    def _stream(self, number: int, user: User) -> OrderStream:
        target = self._target(number)
        head = self._head(target, "/v1/orders/stream", b"Accept: text/event-stream\r\n", user)
        stream = OrderStream(target, number, user.name or "", head, self.streaming, self._offset_s)
        stream.returns = True
        return stream

    def _poll(self, number: int, user: User) -> OrderPoll:
        target = self._target(number)
        head = self._head(target, "/v1/orders/poll", b"Prefer: wait=%d\r\n" % _POLL_WAIT_S, user)
        return OrderPoll(target, number, user.name or "", head, self.polling, offset_s=self._offset_s)

    def _target(self, number: int) -> Target:
        return self._targets[number % len(self._targets)]

    @staticmethod
    def _head(target: Target, path: str, more: bytes, user: User) -> bytes:
        return b"GET %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: orderstream-load\r\n%b%b" % (
            (target.path + path).encode(),
            target.authority.encode(),
            more,
            user.authorization,
        )

    def _settle(self, fleet: Fleet) -> None:
        """A number that never came leaves no hole behind it where it was the last: so each user's newest is asked for,
        and whoever has not got it a while later has lost what is missing to it."""
        fleet.turn_for(_NUMBERED_S)
        asked = {user: self._question(user, clients) for user, clients in self._clients.items()}
        questions = [question for question in asked.values() if question is not None]
        fleet.at_once = _ASKED_AT_ONCE
        fleet.add(questions)
        fleet.turn_until(lambda: all(question.rounds == 0 for question in questions), _ASKING_S)
        self.unasked = sum(question.rounds != 0 for question in questions)
        heads = {user: question.last for user, question in asked.items() if question is not None}
        waiting = [(client, heads[user]) for user in heads for client in self._clients[user] if client.last >= 0]
        fleet.turn_until(lambda: all(client.last >= head for client, head in waiting), _SETTLE_S)
        for client, head in waiting:
            client.tally.lost += max(0, head - client.last)

    def _question(self, user: User, clients: Sequence[Client]) -> OrderPoll | None:
        """From where the hindmost is; None where nobody has come as far as a snapshot."""
        known = [client for client in clients if client.cursor is not None and client.last >= 0]
        if not known:
            return None
        hindmost = min(known, key=lambda client: client.last)
        head = self._head(hindmost.target, "/v1/orders/poll", b"Prefer: wait=0\r\n", user)
        question = OrderPoll(
            hindmost.target, hindmost.number, user.name or "", head, Tally("question"), cursor=hindmost.cursor
        )
        question.rounds = 1
        return question
