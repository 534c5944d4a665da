"""Whether this process is fit to serve, judged by a look at the database's side of the feed."""

from collections.abc import Mapping

import msgspec


class Vitals(msgspec.Struct, frozen=True):
    """One look. Ages are seconds, on the database's own clock."""

    notification_queue_ratio: float
    outbox_waiting_rows: int
    outbox_oldest_s: float
    """Of the rows that wait to be numbered; 0 where none does."""
    unread_s: float
    """How long ago the oldest event was numbered that this process has not read; 0 where it has read all."""
    oldest_event_s: float
    has_leader: bool
    migrations: int
    """How many of the feed's own the database has."""
    numbered: int
    """The position of the newest number that was given."""


def ailments(
    vitals: Vitals | None, before: Vitals | None, *, migrations: int, late_s: float
) -> Mapping[str, str | None]:
    """Name of a check -> None where all is well, else one line of reason. `vitals` is None where the last look failed,
    `before` is the look before it; `migrations` is what this version needs, and more are fine: the next version's come
    before its processes."""
    if vitals is None:
        return {"database": "the database did not answer the last look"}
    missing = migrations - vitals.migrations
    return {
        "database": None,
        "schema": f"the database lacks {missing} migrations: run `orderstream migrate`" if missing > 0 else None,
        "sequencer": _sequencer(vitals, before, late_s),
        "follower": f"events are read {vitals.unread_s:.1f} s late" if vitals.unread_s > late_s else None,
    }


def _sequencer(vitals: Vitals, before: Vitals | None, late_s: float) -> str | None:
    if not vitals.has_leader:
        return "no process numbers events"
    # Where numbers are given, a large change is being worked off: nobody is served better elsewhere.
    at_work = before is not None and vitals.numbered > before.numbered
    if vitals.outbox_oldest_s > late_s and not at_work:
        return f"changes wait to be numbered for {vitals.outbox_oldest_s:.1f} s"
    return None
