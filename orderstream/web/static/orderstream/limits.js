/**
 * Every wait and bound of a feed, in one place; the defaults are those of the Python client.
 *
 * Durations in seconds; what is drawn at random is drawn from 0 up to the figure here.
 */
export const LIMITS = Object.freeze({
    // 2.5 heartbeats of 15 s: one lost to jitter and one to a retransmission are no silence yet.
    silence_s: 37.5,
    // From the request to the first byte, which the server sends at once: later means that a proxy keeps it.
    first_byte_s: 6,
    // How long a heartbeat may be ahead of the events that it counts.
    behind_s: 3,
    // Streams lost one after the other before long-poll is taken.
    stream_failures: 3,
    backoff_s: 1,
    backoff_cap_s: 30,
    // SSE tried again beside a poll that works: seldom, since nothing is missing meanwhile.
    probe_s: 10,
    probe_cap_s: 120,
    poll_wait_s: 25,
    // A poll that could not be held is asked at this interval.
    poll_interval_s: 5,
    // The longest that a server's `retry:`, `after_ms` or `Retry-After` is obeyed.
    told_cap_s: 300,
    // Between two acknowledgements, and up to as much again by chance; 0: none.
    ack_every_s: 10,
    // A new JWT is asked for so long before the old one expires.
    jwt_margin_s: 60,
    // How long the page's function may take to get a JWT.
    token_s: 20,
    // An answer to a poll that came sooner and said nothing was not held.
    held_s: 1,
    // A snapshot of some ten thousand orders, which nobody has open; more is not ours.
    poll_answer_bytes: 16_777_216,
    // After waking, a stream that was silent for longer than a heartbeat (15 s + 10 %) takes is not trusted.
    suspect_s: 18,
    // A timer that is so late was not throttled: the machine slept.
    drift_s: 5,
    // How long the leading tab may take to answer another one before the other one leads.
    handover_s: 3,
    // A page that draws no frames, because nobody sees it, is told at this interval.
    hidden_batch_s: 0.25,
    // Told at once when so many events wait for a frame: a hidden page's timers may be a minute apart.
    batch_events: 1000,
});
