"""What is to be reached, on two cores with everything on: every row stands in the report, measured or not."""

from scripts.benchmark.results import Goal

_FANOUT = (
    "**Random users.** Each event is a `write()` of its own, which alone takes what the bare loop's row says. What is "
    "left to 2.5 × Nchan, or to 0.7 × the bare loop, is a few µs, for all else that an event needs and the others do "
    "not do: it is read from Postgres, judged, numbered and kept for those who come back. The profile under b shows "
    "the parts."
)
_P50 = (
    "**Age at the client.** A number must survive a crash before it is shown, so after the order's own commit there "
    "are two round trips to Postgres and a second flush, and on an idle machine each wakes a process that sleeps: "
    "[0014](decisions/0014-an-order-that-changes-alone.md) has the times of each. The others show what "
    "they were notified of."
)
_TLS = (
    "**Behind TLS.** nginx and two processes of ours, of which one is told of events by the other, share a core here."
)
_WRITES = (
    "**Order writes.** On a fast disk an update without triggers is some 25 µs of its backend's CPU. Triggers that "
    "are called and do nothing make that 45, which is 0.55 × already; one that inserts a constant into a table with "
    "the outbox's indexes 66; ours 84: [0013](decisions/0013-cheaper-order-path.md) and "
    "[0015](decisions/0015-text-when-read.md) have the parts. With 32 writers each takes more than twice that, as an "
    "update without triggers does: their sessions share the processor's caches. What every commit of NOTIFY waits for, "
    "its lock, costs little where a flush does."
)
_BULK = (
    "**Bulk update.** A row of the outbox with its three indexes is more to write than the order itself: "
    "[0015](decisions/0015-text-when-read.md). What others wait for longest is the disk, which gets all of it "
    "at once: their own update's commit is behind the same flush, and what that takes at most is in the table under d "
    "([0011](decisions/0011-fair-shares.md))."
)
_STORM = (
    "**Reconnect storm.** A reconnect is a request of aiohttp's, with a credential, limits, a session and a log line: "
    "0.4 to 0.5 ms of one core, and Nchan does none of it."
)
_GROWTH = (
    "**Growth of the CPU per event.** Of 15,000 streams drawn at random, fewer are in the processor's caches than of "
    "1,000, in the kernel too: the bare loop, which keeps nothing of them, grows as well (the last row of g)."
)
_RESTART = (
    "**Started anew.** Nobody is known: each JWT is verified again, and each user's past is read, for many users "
    "in one query."
)

MEMORY = Goal("a", "memory per idle stream", "≤", 2.5, "KB")
MEMORY_TO_NCHAN = Goal("a", "memory per idle stream, to Nchan's", "≤", 0.25, "×")

# Of random users, and of one user's devices.
FANOUT = {
    what: (
        Goal("b", f"events per core and second, {said}, to Nchan's, its bridge not counted", "≥", 2.5, "×", hard),
        Goal("b", f"events per core and second, {said}, to aiohttp-sse's, as in its README", "≥", 4.0, "×", hard),
        Goal("b", f"events per core and second, {said}, to a bare write() loop's", "≥", 0.7, "×", hard),
    )
    for what, said, hard in (("random", "random users", _FANOUT), ("devices", "one user's devices", ""))
}

P50 = Goal("c", "written to client, 100 a second, p50", "≤", 2.0, "ms", _P50)
P99 = Goal("c", "written to client, 100 a second, p99", "≤", 10.0, "ms")
P50_TO_FLOOR = Goal(
    "c", "written to client, 100 a second, p50, to a bare LISTEN round trip plus a commit", "≤", 3.0, "×", _P50
)
TLS_P50 = Goal("c", "written to client behind nginx with TLS, p50", "≤", 2.0, "ms", _TLS)
TLS_P99 = Goal("c", "written to client behind nginx with TLS, p99", "≤", 10.0, "ms", _TLS)

WRITES_TO_NOTIFY = Goal("d", "order writes, 32 writers, to NOTIFY for each row", "≥", 1.8, "×", _WRITES)
SLOW_WRITES_TO_NOTIFY = Goal("d", "order writes, 32 writers, slow disk, to NOTIFY for each row", "≥", 5.0, "×")
WRITES_TO_NONE = Goal("d", "order writes, 32 writers, to no trigger at all", "≥", 0.55, "×", _WRITES)
BULK_TO_NONE = Goal("d", "time of a bulk update of 100,000 orders, to no trigger", "≤", 2.5, "×", _BULK)
BULK_OTHERS = Goal("d", "other users' latency during the bulk update, the longest", "≤", 100.0, "ms", _BULK)

STORM_S = Goal("e", "reconnect storm, 10,000 resumed on one core", "≤", 5.0, "s", _STORM)
STORM_QUERIES = Goal("e", "reconnect storm, queries", "≤", 60.0, "queries")
STORM_MISSED = Goal("e", "reconnect storm, events missed", "≤", 0.0, "events")
RESTART_S = Goal("e", "reconnect storm, service started anew, 10,000 resumed", "≤", 5.0, "s", _RESTART)
RESTART_QUERIES = Goal("e", "reconnect storm, service started anew, queries", "≤", 60.0, "queries", _RESTART)

GROWTH = {
    "memory": Goal("g", "growth: memory per stream at 15,000, to that at 1,000", "≤", 1.15, "×"),
    "heartbeats": Goal("g", "growth: CPU per stream (its heartbeats) at 15,000, to that at 1,000", "≤", 1.15, "×"),
    "event": Goal("g", "growth: CPU per event at 15,000, to that at 1,000", "≤", 1.15, "×", _GROWTH),
}

HEARTBEATS = Goal("a", "heartbeats, CPU per stream and second", "≤", 3.0, "µs")

# In the order of the table that they come from.
GOALS = (
    MEMORY,
    MEMORY_TO_NCHAN,
    *FANOUT["random"],
    *FANOUT["devices"],
    P50,
    P99,
    P50_TO_FLOOR,
    TLS_P50,
    TLS_P99,
    WRITES_TO_NOTIFY,
    SLOW_WRITES_TO_NOTIFY,
    WRITES_TO_NONE,
    BULK_TO_NONE,
    BULK_OTHERS,
    STORM_S,
    STORM_QUERIES,
    STORM_MISSED,
    RESTART_S,
    RESTART_QUERIES,
    *GROWTH.values(),
    HEARTBEATS,
)
