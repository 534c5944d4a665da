"""The connection machine's law, without a network."""

import pytest

from orderstream.client.events import State
from orderstream.client.happenings import (
    Action,
    AskPoll,
    Began,
    Cause,
    ClosePoll,
    Dismissed,
    Due,
    End,
    Forget,
    Happening,
    OpenStream,
    PollAnswered,
    PollLost,
    Refused,
    RenewJwt,
    StreamLive,
    StreamLost,
    StreamProved,
    Timer,
    Wait,
)
from orderstream.client.limits import Limits
from orderstream.client.machine import COLUMNS, TABLE, Machine

LOST = StreamLost(Cause.FAILED)
TO_STATE: dict[State, list[Happening]] = {
    State.CONNECTING: [],
    State.LIVE: [StreamLive()],
    State.POLLING: [LOST, LOST, LOST],
    State.OFFLINE: [StreamLost(Cause.SILENT), PollLost(Cause.FAILED)],
    State.SIGNED_OUT: [Dismissed("session-revoked")],
}


def machine_in(state: State) -> Machine:
    machine = Machine(Limits(), lambda: 0.5)
    for happening in (Began(), *TO_STATE[state]):
        machine.on(happening, 1.0)
    assert machine.state is state
    return machine


def waits(actions: list[Action], timer: Timer) -> list[float]:
    return [action.for_s for action in actions if isinstance(action, Wait) and action.timer is timer]


@pytest.mark.parametrize("happening", Happening.__subclasses__())
def test_the_table_is_total(happening: type[Happening]) -> None:
    """Every happening has a rule in every state that is not the end."""
    assert len(TABLE[happening]) == len(COLUMNS)


@pytest.mark.parametrize("happening", [Began(), StreamLive(), LOST, PollAnswered(), Due(Timer.STREAM)])
def test_nothing_leads_out_of_signed_out(happening: Happening) -> None:
    """Law 1."""
    machine = machine_in(State.SIGNED_OUT)
    assert machine.on(happening, 2.0) == []
    assert machine.state is State.SIGNED_OUT


@pytest.mark.parametrize("state", COLUMNS)
@pytest.mark.parametrize("cause", Cause)
def test_a_lost_stream_is_always_waited_for(state: State, cause: Cause) -> None:
    """Law 2: SSE is on its way back from everywhere."""
    assert len(waits(machine_in(state).on(StreamLost(cause), 2.0), Timer.STREAM)) == 1


@pytest.mark.parametrize("state", [State.POLLING, State.OFFLINE])
def test_going_live_closes_the_poll(state: State) -> None:
    """Law 4."""
    assert ClosePoll() in machine_in(state).on(StreamLive(), 2.0)


@pytest.mark.parametrize("losses", range(1, 80))
def test_a_backoff_stays_bounded_however_often_the_poll_is_lost(losses: int) -> None:
    """Law 5."""
    machine = machine_in(State.OFFLINE)
    for _ in range(losses):
        actions = machine.on(PollLost(Cause.FAILED), 2.0)
    assert waits(actions, Timer.POLL)[0] <= Limits().backoff_cap_s


def test_three_lost_streams_in_a_row_lead_to_polling() -> None:
    """The first two are only tried again."""
    machine = machine_in(State.LIVE)
    states = [(machine.on(LOST, 2.0), machine.state)[1] for _ in range(3)]
    assert states == [State.CONNECTING, State.CONNECTING, State.POLLING]


def test_losses_are_forgiven_when_a_stream_has_proved_itself() -> None:
    """Not by `live` alone: a proxy may let the beginning through."""
    machine = machine_in(State.LIVE)
    for _ in range(2):
        machine.on(LOST, 2.0)
    machine.on(StreamLive(), 3.0)
    machine.on(StreamProved(), 4.0)
    machine.on(LOST, 5.0)
    assert machine.state is State.CONNECTING


def test_a_second_hole_at_the_same_cursor_asks_for_a_snapshot() -> None:
    """What is missing cannot be had by asking for it again."""
    machine = machine_in(State.LIVE)
    assert Forget() not in machine.on(StreamLost(Cause.HOLE), 2.0)
    assert Forget() in machine.on(StreamLost(Cause.HOLE), 3.0)


def test_a_poll_that_was_not_held_is_asked_at_an_interval() -> None:
    """A proxy that answers 304 at once must not be asked in a circle."""
    actions = machine_in(State.POLLING).on(PollAnswered(held=False), 2.0)
    assert waits(actions, Timer.POLL) == [Limits().poll_interval_s]
    assert AskPoll() not in actions


def test_a_jwt_is_renewed_once_until_something_was_answered() -> None:
    """The second refusal in a row is believed."""
    machine = machine_in(State.CONNECTING)
    refused = Refused(renewable=True, reason="unauthorized")
    assert RenewJwt() in machine.on(refused, 2.0)
    assert End("unauthorized") in machine.on(refused, 3.0)


def test_since_moves_with_the_state_only() -> None:
    """What the page shows as `for 4 s` is the state's age."""
    machine = machine_in(State.LIVE)
    machine.on(StreamProved(), 9.0)
    assert machine.since_s == 1.0
    machine.on(LOST, 10.0)
    assert machine.since_s == 10.0


def test_a_due_stream_is_opened() -> None:
    """The wait of law 2 ends in an attempt."""
    assert machine_in(State.POLLING).on(Due(Timer.STREAM), 2.0) == [OpenStream()]
