"""What is to be reached, on two cores with everything on: every row stands in the report, measured or not."""

from scripts.benchmark.results import Goal

MEMORY = Goal("a", "memory per idle stream", "≤", 2.5, "KB")
MEMORY_TO_NCHAN = Goal("a", "memory per idle stream, to Nchan's", "≤", 0.25, "×")

# Of random users, and of one user's devices.
FANOUT = {
    what: (
        Goal("b", f"events per core and second, {said}, to Nchan's, its bridge not counted", "≥", 2.5, "×"),
        Goal("b", f"events per core and second, {said}, to aiohttp-sse's, as in its README", "≥", 4.0, "×"),
        Goal("b", f"events per core and second, {said}, to a bare write() loop's", "≥", 0.7, "×"),
    )
    for what, said in {"random": "random users", "devices": "one user's devices"}.items()
}

P50 = Goal("c", "written to client, 100 a second, p50", "≤", 2.0, "ms")
P99 = Goal("c", "written to client, 100 a second, p99", "≤", 10.0, "ms")
P50_TO_FLOOR = Goal(
    "c", "written to client, 100 a second, p50, to a bare LISTEN round trip plus a commit", "≤", 3.0, "×"
)
TLS_P50 = Goal("c", "written to client behind nginx with TLS, p50", "≤", 2.0, "ms")
TLS_P99 = Goal("c", "written to client behind nginx with TLS, p99", "≤", 10.0, "ms")

WRITES_TO_NOTIFY = Goal("d", "order writes, 32 writers, to NOTIFY for each row", "≥", 1.8, "×")
SLOW_WRITES_TO_NOTIFY = Goal("d", "order writes, 32 writers, slow disk, to NOTIFY for each row", "≥", 5.0, "×")
WRITES_TO_NONE = Goal("d", "order writes, 32 writers, to no trigger at all", "≥", 0.55, "×")
BULK_TO_NONE = Goal("d", "time of a bulk update of 100,000 orders, to no trigger", "≤", 2.5, "×")
BULK_OTHERS = Goal("d", "other users' latency during the bulk update, the longest", "≤", 100.0, "ms")

STORM_S = Goal("e", "reconnect storm, 10,000 resumed on one core", "≤", 5.0, "s")
STORM_QUERIES = Goal("e", "reconnect storm, queries", "≤", 60.0, "queries")
STORM_MISSED = Goal("e", "reconnect storm, events missed", "≤", 0.0, "events")
RESTART_S = Goal("e", "reconnect storm, service started anew, 10,000 resumed", "≤", 5.0, "s")
RESTART_QUERIES = Goal("e", "reconnect storm, service started anew, queries", "≤", 60.0, "queries")

GROWTH = {
    "memory": Goal("g", "growth: memory per stream at 15,000, to that at 1,000", "≤", 1.15, "×"),
    "heartbeats": Goal("g", "growth: CPU per stream (its heartbeats) at 15,000, to that at 1,000", "≤", 1.15, "×"),
    "event": Goal("g", "growth: CPU per event at 15,000, to that at 1,000", "≤", 1.15, "×"),
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
