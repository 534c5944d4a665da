"""The end of a credential: announced once, told once, put off by a fresh one, by the wall's clock."""

from collections.abc import Callable

import pytest

from orderstream.web.expiry import Expiry


class Hours:
    """A wall clock and the one timer on it, moved by the test."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.due: float = float("inf")
        self.call: Callable[[], None] | None = None
        self.said: list[tuple[float, str]] = []

    def call_later(self, delay_s: float, call: Callable[[], None]) -> "Hours":
        self.due, self.call = self.now + delay_s, call
        return self

    def cancel(self) -> None:
        self.call = None

    def pass_until(self, at: float) -> None:
        """Fires what is due on the way."""
        while self.call is not None and self.due <= at:
            self.now, call, self.call = self.due, self.call, None
            call()
        self.now = at

    def expiry(self, announce_s: float = 60, leeway_s: float = 30) -> Expiry:
        return Expiry(
            announce_s=announce_s,
            leeway_s=leeway_s,
            expiring=lambda left_s: self.said.append((self.now, f"expiring in {left_s:g}")),
            expired=lambda: self.said.append((self.now, "expired")),
            now=lambda: self.now,
            call_later=self.call_later,
        )


@pytest.fixture
def hours() -> Hours:
    return Hours()


def test_end_is_announced_and_then_told(hours: Hours) -> None:
    """Each once."""
    hours.expiry().renew(2000)
    hours.pass_until(9999)
    assert hours.said == [(1940, "expiring in 60"), (2000, "expired")]


def test_end_that_is_near_is_announced_at_once(hours: Hours) -> None:
    """With the time that is left."""
    hours.expiry().renew(1020)
    hours.pass_until(9999)
    assert hours.said == [(1000, "expiring in 20"), (1020, "expired")]


def test_end_is_not_announced_when_that_is_switched_off(hours: Hours) -> None:
    """`auth_expiring_s = 0`."""
    hours.expiry(announce_s=0).renew(2000)
    hours.pass_until(9999)
    assert hours.said == [(2000, "expired")]


@pytest.mark.parametrize("renewed_at", [1500, 1950])
def test_fresh_credential_puts_the_end_off(hours: Hours, renewed_at: float) -> None:
    """Before its announcement or after it; the new end is announced again."""
    expiry = hours.expiry()
    expiry.renew(2000)
    hours.pass_until(renewed_at)
    expiry.renew(3000)
    hours.said.clear()
    hours.pass_until(9999)
    assert hours.said == [(2940, "expiring in 60"), (3000, "expired")]


def test_credential_let_in_for_the_clocks_sake_ends_with_the_leeway(hours: Hours) -> None:
    """Rather than at once, which its client would take for a loop."""
    hours.expiry().renew(990)
    hours.pass_until(9999)
    assert hours.said == [(1000, "expiring in 20"), (1020, "expired")]


def test_end_is_the_wall_clocks_when_it_was_set_back(hours: Hours) -> None:
    """The timer fires, finds that time is left, and waits for the rest."""
    hours.expiry(announce_s=0).renew(2000)
    assert hours.call is not None
    hours.now, hours.due = 1700, 1700
    hours.pass_until(9999)
    assert hours.said == [(2000, "expired")]


def test_nothing_is_told_once_it_was_cancelled(hours: Hours) -> None:
    """The stream is gone."""
    expiry = hours.expiry()
    expiry.renew(2000)
    expiry.cancel()
    hours.pass_until(9999)
    assert hours.said == []
