"""What is wrong by a reading, and which step of an event's way is to blame.

The limits are those of config/rules.yml, without its patience: whoever looks at the page sees whether it lasts. What
readiness checks is told in its words.
"""

from collections.abc import Iterator, Sequence

from orderstream.metrics.reading import PROMISED_S, Fault, Percentiles, Reading

_CHECKED = {
    "database": ("Postgres", "OrderstreamDatabaseSilent"),
    "schema": ("Postgres", None),
    "revocations": ("Revocations", None),
    "jwks": ("Log-in keys", None),
}
# A share of fewer events within the minute says nothing.
_FEW = 6
_PROMISED = f"{PROMISED_S * 1000:.0f} ms"


def faults(reading: Reading) -> Sequence[Fault]:
    """What somebody is woken for first; then the step first that events come to first, since the later ones suffer
    from it."""
    on_the_way = [*_checked(reading), *_path(reading), *_clients(reading)]
    found = [*on_the_way, *_canary(reading, on_the_way)]
    return sorted(found, key=lambda fault: fault.severity == "ticket")


def _checked(reading: Reading) -> Iterator[Fault]:
    wrong = {name: reason for name, reason in reading.checks.items() if reason is not None}
    for name, (step, alert) in _CHECKED.items():
        if name in wrong:
            yield Fault("page", step, wrong[name], alert)
    if "sequencer" in wrong:
        missing = reading.leader == "nobody"
        alert = "OrderstreamSequencerMissing" if missing else "OrderstreamOutboxWaits"
        yield Fault("page", "Sequencer", wrong["sequencer"], alert)
    if "follower" in wrong:
        alert = "OrderstreamFollowerBehind" if reading.following else "OrderstreamFollowerDisconnected"
        yield Fault("page", "Follower", wrong["follower"], alert)
    if "draining" in wrong:
        yield Fault("ticket", "This process", wrong["draining"], None)


def _path(reading: Reading) -> Iterator[Fault]:
    numbered, read, sent, loop = (_minute(reading, key) for key in ("numbered", "read", "sent", "loop"))
    busy = loop is not None and loop.p99_s > 0.1
    if _late(read, 0.9):
        # A sequencer without time is late itself, and so is the reading of what another numbered in time.
        step = "This process" if busy else "Sequencer" if _late(numbered, 0.9) else _reader(reading)
        yield Fault("page", step, f"one event in ten comes here later than {_PROMISED}", "OrderstreamFollowedLate")
    elif _late(sent, 1 - 0.144):
        yield Fault("ticket", "Sockets", f"one event in seven is sent later than {_PROMISED}", "OrderstreamSentLate")
    if busy:
        yield Fault("ticket", "This process", "it has more to do than it has time for", "OrderstreamLoopLate")
    for part, errors in reading.database_errors.items():
        if errors > 3:
            says = f"{errors:.0f} answers to the {part} were lost within the minute"
            yield Fault("ticket", "Postgres", says, "OrderstreamDatabaseErrors")


def _reader(reading: Reading) -> str:
    # What another process numbers late is not counted here.
    return "Follower" if reading.leader == "here" else "Sequencer or follower"


def _clients(reading: Reading) -> Iterator[Fault]:
    if reading.turned_away > 0.05 * reading.asked:
        says = f"{reading.turned_away:.0f} of {reading.asked:.0f} that came within the minute were turned away"
        yield Fault("page", "Admission", says, "OrderstreamTurnedAway")
    streams = reading.open.get("sse", 0.0)
    if streams > 50 and reading.slow > 0.1 * streams:
        says = f"{reading.slow:.0f} of {streams:.0f} streams do not take what is sent"
        yield Fault("ticket", "Clients", says, "OrderstreamStreamsSlow")


def _canary(reading: Reading, others: Sequence[Fault]) -> Iterator[Fault]:
    """It says that something is wrong; what else is wrong says where."""
    late = {transport: count for transport, count in reading.canary_late.items() if count}
    if late:
        says = f"within the minute {sum(late.values()):.0f} of the canary's changes did not come back in time"
        if len(late) < len(reading.canary_late):
            step = "Transport " + ", ".join(late)
        elif any(fault.severity == "page" for fault in others):
            step = "Whole path"
        else:
            step, says = "Triggers", f"{says}, and no later step is late: is a trigger off?"
        yield Fault("page", step, says, "OrderstreamCanaryLate")
    elif reading.canary_late and reading.span_s > 55 and _minute(reading, "canary") is None:
        yield Fault("page", "Canary", "for a minute none of its changes came back", "OrderstreamCanarySilent")


def _minute(reading: Reading, key: str) -> Percentiles | None:
    latency = reading.latencies.get(key)
    return None if latency is None else latency.minute


def _late(of: Percentiles | None, least: float) -> bool:
    return of is not None and of.count >= _FEW and of.in_time < least
