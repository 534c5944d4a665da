"""Whether every change of an order reaches the outbox: the triggers, and what keeps them from firing."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from orderstream.doctor.asking import Asker
from orderstream.doctor.findings import Finding, ok, wrong

TRIGGERS = "triggers"

# Table -> our triggers on it, as migrations/orderstream makes them.
EXPECTED = {
    "public.orders": (
        "orderstream_inserted",
        "orderstream_updated",
        "orderstream_deleted",
        "orderstream_truncated",
    ),
    "public.executions": ("orderstream_inserted", "orderstream_updated", "orderstream_truncated"),
}

# Clients were told nothing of what was written meanwhile.
_THEN = "then `orderstream new-epoch`, so that clients learn what they were not told"


class Trigger(NamedTuple):
    """`enabled` is pg_trigger's: O in ordinary sessions, R in replica ones, A in all, D in none."""

    table: str
    name: str
    enabled: str


async def check_triggers(asker: Asker) -> list[Finding]:
    """Also what a session, or a subscription, does that no trigger can help."""
    triggers = [Trigger(*row) for row in await asker.ask("triggers")]
    found = [*judge_triggers(triggers)]
    found += [_replica(*row) for row in await asker.ask("replica_settings")]
    found += [_subscribed(*row) for row in await asker.ask("subscriptions")]
    count = sum(map(len, EXPECTED.values()))
    return found or [ok(TRIGGERS, f"all {count} are on {' and '.join(EXPECTED)}, and fire")]


def judge_triggers(triggers: Sequence[Trigger]) -> Iterable[Finding]:
    """What is wrong with them; nothing where all is well."""
    for table, names in EXPECTED.items():
        enabled = {trigger.name: trigger.enabled for trigger in triggers if trigger.table == table}
        if missing := [name for name in names if name not in enabled]:
            yield _missing(table, missing, triggers)
        for state, how in (("D", "disabled"), ("R", "enabled for replicas only")):
            if out := [name for name in names if enabled.get(name) == state]:
                acts = ", ".join(f"enable trigger {name}" for name in out)
                yield wrong(
                    TRIGGERS,
                    f"{', '.join(out)} on {table}: {how}, so changes are told to nobody",
                    f"alter table {table} {acts}; {_THEN}",
                )


def _missing(table: str, names: Sequence[str], triggers: Sequence[Trigger]) -> Finding:
    strayed = sorted({trigger.table for trigger in triggers if trigger.table not in EXPECTED})
    where = f", but there are some on {', '.join(strayed)}: was {table} renamed?" if strayed else ""
    return wrong(
        TRIGGERS,
        f"{table} lacks {', '.join(names)}{where}",
        f"run their `create trigger` of migrations/orderstream/0002_triggers.sql as the owner; {_THEN}",
    )


def _replica(whose: str) -> Finding:
    return wrong(
        TRIGGERS,
        f"session_replication_role is replica in the sessions of {whose}: our triggers do not fire there",
        f"alter {whose} reset session_replication_role; {_THEN}",
    )


def _subscribed(table: str, subscription: str) -> Finding:
    return wrong(
        TRIGGERS,
        f"{table} is written by the subscription {subscription}: logical replication fires no statement triggers",
        "run orderstream on the database that publishes",
    )
