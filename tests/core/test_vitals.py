"""What a look at the database's side says of this process."""

import msgspec
import pytest

from orderstream.core.vitals import Vitals, ailments

WELL = Vitals(
    notification_queue_ratio=0.0,
    outbox_waiting_rows=3,
    outbox_oldest_s=0.1,
    unread_s=0.1,
    oldest_event_s=600.0,
    has_leader=True,
    migrations=4,
    numbered=700,
)


def reasons(**changed: object) -> dict[str, str]:
    """Of the checks that are not well."""
    found = ailments(msgspec.structs.replace(WELL, **changed), WELL, migrations=4, late_s=15.0)
    return {check: reason for check, reason in found.items() if reason is not None}


def test_all_is_well_when_nothing_is_late() -> None:
    """A few rows that wait are what work looks like; migrations of the next version may be there already."""
    assert reasons() == reasons(migrations=5) == {}


@pytest.mark.parametrize(
    ("changed", "check", "reason"),
    [
        ({"has_leader": False}, "sequencer", "no process numbers events"),
        ({"outbox_oldest_s": 15.04}, "sequencer", "changes wait to be numbered for 15.0 s"),
        ({"unread_s": 20.0}, "follower", "events are read 20.0 s late"),
        ({"migrations": 2}, "schema", "the database lacks 2 migrations: run `orderstream migrate`"),
    ],
)
def test_one_line_says_what_is_wrong(changed: dict[str, object], check: str, reason: str) -> None:
    """Of the check that it is about, and no other."""
    assert reasons(**changed) == {check: reason}


def test_change_that_is_worked_off_is_no_reason_to_leave() -> None:
    """Its clients would not be served better elsewhere, as nobody numbers faster."""
    assert reasons(outbox_oldest_s=60.0, numbered=701) == {}


def test_nothing_is_claimed_when_the_last_look_failed() -> None:
    """Silence is no health."""
    assert ailments(None, None, migrations=4, late_s=15.0) == {"database": "the database did not answer the last look"}
