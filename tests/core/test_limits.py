"""The arithmetic of the limits, at its edges."""

from ipaddress import ip_network

import pytest

from orderstream.core.limits import Seats, TokenBucket, client_address


def test_bucket_lets_a_second_s_worth_through_at_once() -> None:
    """And not one more."""
    bucket = TokenBucket(3, max_wait_s=60)
    assert [bucket.take(0.0) > 0 for _ in range(4)] == [False, False, False, True]


def test_bucket_fills_with_time() -> None:
    """One for each part of a second, never more than a second's worth."""
    bucket = TokenBucket(2, max_wait_s=60)
    taken = [bucket.take(0.0), bucket.take(0.0), bucket.take(0.5), bucket.take(100), bucket.take(100)]
    assert taken == [0, 0, 0, 0, 0]
    assert bucket.take(100) > 0


def test_those_refused_are_given_times_of_their_own() -> None:
    """They come back one by one at the rate that is let through."""
    bucket = TokenBucket(2, max_wait_s=60)
    bucket.take(0.0), bucket.take(0.0)
    waits = [bucket.take(0.0) for _ in range(4)]
    assert waits == [1.0, 1.5, 2.0, 2.5]


def test_wait_of_those_refused_is_bounded_and_shrinks_with_time() -> None:
    """A flood is not remembered for longer than it takes to let it through."""
    bucket = TokenBucket(1, max_wait_s=10)
    assert max(bucket.take(0.0) for _ in range(1000)) == 10
    bucket.take(100.0)
    assert bucket.take(100.0) < 3


def test_slow_bucket_lets_one_through() -> None:
    """Less than one a second is still one."""
    bucket = TokenBucket(0.1, max_wait_s=60)
    assert (bucket.take(0.0), bucket.take(9.0) > 0, bucket.take(10.0)) == (0, True, 0)


def test_seats_count_by_key_and_in_all() -> None:
    """Full for one key, and full for all, at exactly as many."""
    seats: Seats[str] = Seats(most=3, most_per_key=2)
    seats.take("u1", "a")
    assert (seats.is_full("u1"), seats.full) == (False, False)
    seats.take("u1", "b")
    seats.take("u2", "c")
    assert (seats.is_full("u1"), seats.is_full("u2"), seats.full) == (True, False, True)


def test_longest_gives_way_first() -> None:
    """In the order in which they came."""
    seats: Seats[str] = Seats(most=9, most_per_key=9)
    for name in "abc":
        seats.take("u1", name)
    seats.give_back("u1", "a")
    assert (seats.pop_longest("u1"), seats.count) == ("b", 1)


def test_seat_given_back_twice_counts_once() -> None:
    """Who was sent away gives it back too."""
    seats: Seats[str] = Seats(most=2, most_per_key=2)
    seats.take("u1", "a")
    seats.give_back("u1", "a")
    seats.give_back("u1", "a")
    assert (seats.count, seats.is_full("u1")) == (0, False)


PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "counted"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "198.51.100.7, nonsense", "10.0.0.1"),
        ("10.0.0.1", "nonsense, 10.0.0.2", "10.0.0.2"),
        ("fd00::1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "198.51.100.7", "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.1", "::ffff:198.51.100.7", "198.51.100.7"),
        ("fe80::1%eth0", "", "fe80::/64"),
        ("", "198.51.100.7", ""),
    ],
)
def test_limit_5_address_is_the_peer_s_unless_a_proxy_is_trusted(peer: str, forwarded_for: str, counted: str) -> None:
    """What a client itself wrote into X-Forwarded-For counts for nothing."""
    assert client_address(peer, forwarded_for, PROXIES) == counted
