"""Follows a user's orders from another program: `async for event in Feed(url, token)`."""

from orderstream.client.credential import Token
from orderstream.client.errors import FeedEnded, SignedOut
from orderstream.client.events import (
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

__all__ = [
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
]
