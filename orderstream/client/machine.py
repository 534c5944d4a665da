"""Which transport to use now, and when to try the other: a table without I/O, clock or randomness.

Happenings go in with the time they happened, actions come out; `line` carries them out. The law of the table:

1. `signed-out` is the end: nothing leads out of it, and nothing is done in it.
2. Everywhere else the stream is either open or a wait for it is running, so SSE is always on its way back.
3. The poll is in use in `polling` and `offline` only, and there it is either asking or waiting.
4. `live` is entered by the stream's `live` event only, and entering it closes the poll. While a poll works beside a
   stream that fell silent, `live` waits for a heartbeat too: a proxy that keeps bytes back may let some through.
5. No wait is without a bound, and every one that this side chose has full jitter: random() * limit.

              connecting      live            polling         offline
StreamLive    -> live         .               -> live         -> live
StreamProved  .               .               -> live         -> live
StreamLost    again, or       -> connecting,  probe later     probe later
              -> polling      or -> polling
PollAnswered  .               .               ask again       -> polling, probe
PollLost      .               .               -> offline      ask later
Refused       once with a new JWT, in each; then -> signed-out
Expiring      a new JWT is asked for, in each
Dismissed     -> signed-out, in each
"""

from collections.abc import Callable
from typing import Any

from orderstream.client.events import State, Transport
from orderstream.client.happenings import (
    Action,
    AskPoll,
    Began,
    Behind,
    CaughtUp,
    Cause,
    ClosePoll,
    CloseStream,
    Dismissed,
    Due,
    End,
    Expiring,
    Forget,
    Happening,
    OpenStream,
    PollAnswered,
    PollLost,
    Refused,
    RenewJwt,
    Retry,
    Stop,
    StreamLeft,
    StreamLive,
    StreamLost,
    StreamProved,
    Timer,
    Wait,
)
from orderstream.client.limits import Limits

_LEAVE_STREAM: tuple[Action, ...] = (CloseStream(), Stop(Timer.STREAM), Stop(Timer.BEHIND))
_LEAVE_POLL: tuple[Action, ...] = (ClosePoll(), Stop(Timer.POLL))

Actions = list[Action]
Rule = Callable[["Machine", Any], Actions]


class Machine:
    """`random` gives floats in [0, 1)."""

    def __init__(self, limits: Limits, random: Callable[[], float]) -> None:
        self.state = State.CONNECTING
        self.since_s = 0.0
        self.cause: str | None = None
        self._limits = limits
        self._random = random
        self._retry_s = 0.0
        self._stream_losses = 0
        self._poll_losses = 0
        self._holes = 0
        self._renewed = False
        self._silent = False

    @property
    def transport(self) -> Transport | None:
        """What events come by in this state."""
        return {State.LIVE: Transport.SSE, State.POLLING: Transport.LONG_POLL}.get(self.state)

    def on(self, happening: Happening, at_s: float) -> Actions:
        """The actions to carry out, in order."""
        if self.state is State.SIGNED_OUT:
            return []
        rule = TABLE[type(happening)][COLUMNS.index(self.state)]
        before = self.state
        actions = rule(self, happening)
        if self.state is not before or isinstance(happening, Began):
            self.since_s = at_s
        return actions

    def _stay(self, happening: Happening) -> Actions:
        return []

    def _begin(self, happening: Began) -> Actions:
        return [OpenStream()]

    def _obey_retry(self, happening: Retry) -> Actions:
        self._retry_s = min(happening.retry_s, self._limits.told_cap_s)
        return []

    # The stream.

    def _go_live(self, happening: StreamLive) -> Actions:
        self._enter(State.LIVE, None)
        self._poll_losses = 0
        self._renewed = False
        return list(_LEAVE_POLL)

    def _trust(self, happening: StreamProved) -> Actions:
        # Not before: a proxy that lets only the first kilobytes through would be tried for ever.
        self._stream_losses = self._holes = 0
        self._silent = False
        return []

    def _try_live(self, happening: StreamLive) -> Actions:
        return [] if self._silent else self._go_live(happening)

    def _prove_live(self, happening: StreamProved) -> Actions:
        return self._trust(happening) + self._go_live(StreamLive())

    def _lose_stream(self, happening: StreamLost) -> Actions:
        self._stream_losses += 1
        repair = self._repair(happening.cause)
        self._silent = self._silent or happening.cause is Cause.SILENT
        if self._silent or self._stream_losses >= self._limits.stream_failures:
            return [*_LEAVE_STREAM, *repair, *self._fall_back(happening)]
        self._enter(State.CONNECTING, happening.cause)
        return [*_LEAVE_STREAM, *repair, self._stream_again(happening.after_s)]

    def _fall_back(self, happening: StreamLost) -> Actions:
        self._enter(State.POLLING, happening.cause)
        return [AskPoll(), self._probe(happening.after_s)]

    def _lose_probe(self, happening: StreamLost) -> Actions:
        self._stream_losses += 1
        self._silent = self._silent or happening.cause is Cause.SILENT
        repair = self._repair(happening.cause)
        # The poll may be asking with the cursor that was just forgotten.
        ask = [*_LEAVE_POLL, AskPoll()] if repair else []
        return [*_LEAVE_STREAM, *repair, *ask, self._probe(happening.after_s)]

    def _leave_stream(self, happening: StreamLeft) -> Actions:
        if self.state is State.LIVE:
            # The server spread these out so that a restart is no stampede: obeyed to the millisecond.
            self._enter(State.CONNECTING, happening.reason)
            return [*_LEAVE_STREAM, Wait(Timer.STREAM, min(happening.after_s, self._limits.told_cap_s))]
        lost = StreamLost(Cause.OVERLOAD, happening.after_s)
        return self._lose_stream(lost) if self.state is State.CONNECTING else self._lose_probe(lost)

    def _mind_the_gap(self, happening: Behind) -> Actions:
        return [Wait(Timer.BEHIND, self._limits.behind_s)]

    def _caught_up(self, happening: CaughtUp) -> Actions:
        return [Stop(Timer.BEHIND)]

    # The poll.

    def _ask_again(self, happening: PollAnswered) -> Actions:
        self._poll_losses = self._holes = 0
        self._renewed = False
        return [AskPoll()] if happening.held else [Wait(Timer.POLL, self._limits.poll_interval_s)]

    def _recover(self, happening: PollAnswered) -> Actions:
        self._enter(State.POLLING, None)
        # Nothing came through, so it was no proxy's doing that the stream was silent.
        self._stream_losses = 0
        self._silent = False
        # The way is free again, so the stream need not wait out what it had to while it was not.
        return [*self._ask_again(happening), *_LEAVE_STREAM, self._probe(0.0)]

    def _lose_poll(self, happening: PollLost) -> Actions:
        self._enter(State.OFFLINE, happening.cause)
        self._poll_losses += 1
        wait = Wait(Timer.POLL, self._backoff(self._poll_losses, happening.after_s))
        return [ClosePoll(), *self._repair(happening.cause), wait]

    # Both.

    def _due(self, happening: Due) -> Actions:
        match happening.timer:
            case Timer.STREAM:
                return [OpenStream()]
            case Timer.POLL:
                return [AskPoll()]
            case Timer.BEHIND:
                # Looked up in the table, since what a lost stream means depends on the state.
                return self.on(StreamLost(Cause.HOLE), self.since_s)

    def _refused(self, happening: Refused) -> Actions:
        if self._renewed or not happening.renewable:
            return self._dismiss(Dismissed(happening.reason))
        self._renewed = True
        polls = self.state in (State.POLLING, State.OFFLINE)
        after_s = min(happening.after_s, self._limits.told_cap_s)
        if self.state is State.LIVE:
            self._enter(State.CONNECTING, happening.reason)
        ask: Actions = [*_LEAVE_POLL, AskPoll()] if polls else []
        return [RenewJwt(), *_LEAVE_STREAM, *ask, Wait(Timer.STREAM, after_s)]

    def _expire(self, happening: Expiring) -> Actions:
        # The stream goes on; whatever is opened after it needs the next JWT.
        return [RenewJwt()]

    def _dismiss(self, happening: Dismissed) -> Actions:
        self._enter(State.SIGNED_OUT, happening.reason)
        return [*_LEAVE_STREAM, *_LEAVE_POLL, End(happening.reason)]

    def _enter(self, state: State, cause: str | None) -> None:
        self.state, self.cause = state, cause

    def _repair(self, cause: Cause) -> Actions:
        self._holes += cause is Cause.HOLE
        # A second hole in a row at the same cursor: what is missing cannot be had by asking for it again.
        if cause is Cause.MALFORMED or self._holes > 1:
            self._holes = 0
            return [Forget()]
        return []

    def _stream_again(self, after_s: float) -> Wait:
        return Wait(Timer.STREAM, self._backoff(self._stream_losses, max(after_s, self._retry_s)))

    def _probe(self, after_s: float) -> Wait:
        limits = self._limits
        spread_s = min(limits.probe_cap_s, limits.probe_s * 2.0 ** min(self._stream_losses, 16))
        return Wait(Timer.STREAM, min(after_s, limits.told_cap_s) + self._random() * spread_s)

    def _backoff(self, losses: int, after_s: float) -> float:
        limits = self._limits
        spread_s = min(limits.backoff_cap_s, limits.backoff_s * 2.0 ** min(losses - 1, 16))
        return min(after_s, limits.told_cap_s) + self._random() * spread_s


M = Machine
COLUMNS = (State.CONNECTING, State.LIVE, State.POLLING, State.OFFLINE)
TABLE: dict[type[Happening], tuple[Rule, ...]] = {
    Began: (M._begin, M._stay, M._stay, M._stay),
    Retry: (M._obey_retry, M._obey_retry, M._obey_retry, M._obey_retry),
    StreamLive: (M._go_live, M._stay, M._try_live, M._go_live),
    StreamProved: (M._stay, M._trust, M._prove_live, M._prove_live),
    StreamLost: (M._lose_stream, M._lose_stream, M._lose_probe, M._lose_probe),
    StreamLeft: (M._leave_stream, M._leave_stream, M._leave_stream, M._leave_stream),
    Behind: (M._mind_the_gap, M._mind_the_gap, M._mind_the_gap, M._mind_the_gap),
    CaughtUp: (M._caught_up, M._caught_up, M._caught_up, M._caught_up),
    PollAnswered: (M._stay, M._stay, M._ask_again, M._recover),
    PollLost: (M._stay, M._stay, M._lose_poll, M._lose_poll),
    Refused: (M._refused, M._refused, M._refused, M._refused),
    Expiring: (M._expire, M._expire, M._expire, M._expire),
    Dismissed: (M._dismiss, M._dismiss, M._dismiss, M._dismiss),
    Due: (M._due, M._due, M._due, M._due),
}
