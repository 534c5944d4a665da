"""Streams each user's order status changes and executions from Postgres to their screens."""

__version__ = "0.1.0"
