"""Every wait and bound of a feed, in one place; the defaults fit the protocol's promises."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Durations in seconds, sizes in bytes; what is drawn at random is drawn from 0 up to the figure here."""

    # 2.5 heartbeats of 15 s: one lost to jitter and one to a retransmission are no silence yet.
    silence_s: float = 37.5
    # From the request to the first byte, which the server sends at once: later means that a proxy keeps it.
    first_byte_s: float = 6.0
    # How long a heartbeat may be ahead of the events that it counts.
    behind_s: float = 3.0
    # Streams lost one after the other before long-poll is taken.
    stream_failures: int = 3
    backoff_s: float = 1.0
    backoff_cap_s: float = 30.0
    # SSE tried again beside a poll that works: seldom, since nothing is missing meanwhile.
    probe_s: float = 10.0
    probe_cap_s: float = 120.0
    poll_wait_s: float = 25.0
    # A poll that could not be held is asked at this interval.
    poll_interval_s: float = 5.0
    # The longest that a server's `retry:`, `after_ms` or `Retry-After` is obeyed.
    told_cap_s: float = 300.0
    # Between two acknowledgements, and up to as much again by chance; 0: none.
    ack_every_s: float = 10.0
    # A new JWT is asked for so long before the old one expires.
    jwt_margin_s: float = 60.0
    # An answer to a poll that came sooner and said nothing was not held.
    held_s: float = 1.0
    # Frames that whoever reads the feed has not taken yet; beyond it the socket is left alone.
    queue_length: int = 256
    # A snapshot of some ten thousand orders, which nobody has open; more is not ours.
    poll_answer_bytes: int = 16_777_216
