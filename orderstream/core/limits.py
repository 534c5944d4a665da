"""Arithmetic of the limits: how fast, how many at once, and whose address a request is counted under.

Times are float seconds of any clock that only goes forward; whoever calls reads it.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Generic, TypeVar

from orderstream.core.groups import Groups

Network = IPv4Network | IPv6Network

# What one subscriber of an IPv6 network is commonly given (RFC 6177): all of it is one client.
_IPV6_PREFIX = 64
# Anybody may write anything into a header, and addresses come back: proxies', and those of clients that they connect.
_LONGEST = 100
_KNOWN = 4096

S = TypeVar("S")


class TokenBucket:
    """Lets `rate_per_s` through, and a second's worth at once.

    Whoever is refused is given a time of their own: those refused before are expected first, so that they come back at
    the rate that is let through, not all together.
    """

    def __init__(self, rate_per_s: float, *, max_wait_s: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = max(1.0, rate_per_s)
        self._max_wait_s = max_wait_s
        self._tokens = self._burst
        self._expected = 0.0
        self._at = 0.0

    def take(self, now: float) -> float:
        """0 if it took one; else after how many seconds to try again."""
        come = max(0.0, now - self._at) * self._rate_per_s
        self._at = now
        self._tokens = min(self._burst, self._tokens + come)
        self._expected = max(0.0, self._expected - come)
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        self._expected = min(self._expected + 1, self._max_wait_s * self._rate_per_s)
        return min(self._max_wait_s, (self._expected + 1 - self._tokens) / self._rate_per_s)


class Seats(Generic[S]):
    """key -> who sits there, the longest first; `most` in all and `most_per_key` of a key."""

    def __init__(self, *, most: int, most_per_key: int) -> None:
        self._most = most
        self._most_per_key = most_per_key
        self._taken: Groups[S] = Groups()
        self.count = 0

    @property
    def full(self) -> bool:
        return self.count >= self._most

    def is_full(self, key: str) -> bool:
        """Whether one more would be too many for this key."""
        return len(self._taken.of(key)) >= self._most_per_key

    def take(self, key: str, who: S) -> None:
        self._taken.add(key, who)
        self.count += 1

    def give_back(self, key: str, who: S) -> None:
        """May be called more than once."""
        if self._taken.has(key, who):
            self.count -= 1
            self._taken.remove(key, who)

    def pop_longest(self, key: str) -> S:
        """Takes the seat of whoever of this key sits longest; there must be one."""
        longest = self._taken.of(key)[0]
        self.give_back(key, longest)
        return longest


def client_address(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """The address to count a request under: the peer's, or what proxies that are trusted say of whom they served.

    Read from the end, where the nearest proxy wrote; the first that is not trusted is the client, since anything
    before it may be the client's own invention. An IPv6 address stands for its /64.
    """
    client = _parsed(peer)
    if client is None:
        return peer
    for hop in reversed(forwarded_for.split(",")):
        if not any(client in network for network in trusted):
            break
        before = _parsed(hop.strip())
        if before is None:
            break
        client = before
    return _counted(client)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    return _read(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=_KNOWN)
def _read(text: str) -> IPv4Address | IPv6Address | None:
    try:
        # A link-local peer carries its zone, and some proxies write the port: 192.0.2.1:5678, [2001:db8::1]:5678.
        bare = text.partition("%")[0]
        if bare.startswith("["):
            bare = bare[1:].partition("]")[0]
        elif bare.count(":") == 1:
            bare = bare.partition(":")[0]
        address = ip_address(bare)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _counted(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((address, _IPV6_PREFIX), strict=False))
