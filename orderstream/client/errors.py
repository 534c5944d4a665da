"""How a feed ends: the two errors that reach its reader. All others are repaired by reconnecting."""

from orderstream.errors import OrderstreamError


class FeedEnded(OrderstreamError):
    """The server said not to come back. `reason` is its word: `too-many-connections`, `overload` …"""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the server ended this feed for good: {reason}")
        self.reason = reason


class SignedOut(FeedEnded):
    """The JWT is refused, has expired with none to follow it, or its session was revoked: sign in again."""
