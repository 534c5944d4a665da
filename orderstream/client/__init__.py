"""Follows a user's orders from another program: `async for event in Feed(url, token)`."""

from orderstream.client.credential import Token
from orderstream.client.errors import FeedEnded, SignedOut
from orderstream.client.events import (
    Check,
    Connection,
    ConnectionChanged,
    Event,
    Execution,
    ExecutionReported,
    Order,
    OrderChanged,
    OrderRemoved,
    SnapshotTaken,
    State,
    Transport,
)
from orderstream.client.feed import Feed
from orderstream.client.limits import Limits
from orderstream.client.reasons import why

__all__ = [
    "Check",
    "Connection",
    "ConnectionChanged",
    "Event",
    "Execution",
    "ExecutionReported",
    "Feed",
    "FeedEnded",
    "Limits",
    "Order",
    "OrderChanged",
    "OrderRemoved",
    "SignedOut",
    "SnapshotTaken",
    "State",
    "Token",
    "Transport",
    "why",
]
