"""The checks of the database, each made where those that it rests on were not in vain."""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter

from orderstream.doctor import cluster as clusters
from orderstream.doctor import numbering, pooling, rights, triggers
from orderstream.doctor.asking import Asker
from orderstream.doctor.canary import CANARY, check_canary
from orderstream.doctor.findings import Finding, ok, wrong
from orderstream.errors import DatabaseUnavailable, DatabaseUnreachable, SchemaError, SettingsError
from orderstream.postgres import dsn, migrations
from orderstream.postgres.connections import open_session
from orderstream.settings import Settings

DATABASE, SCHEMA = "database", "schema"

# Those that come after it, in order.
CHECKS = (
    rights.ROLE,
    rights.RIGHTS,
    triggers.TRIGGERS,
    pooling.SESSIONS,
    numbering.LEADER,
    clusters.REPLICATION,
    clusters.QUEUE,
    clusters.CLOCK,
)
# These read our tables.
OF_THE_SCHEMA = (clusters.EPOCH, numbering.DOORBELL, numbering.OUTBOX, CANARY)

Found = tuple[list[Finding], list[str]]


async def check_database(settings: Settings) -> Found:
    """The findings, and the names of the checks that could not be made."""
    rest = [*CHECKS, *OF_THE_SCHEMA]
    try:
        schema = await _schema(settings)
        asked_at = perf_counter()
        session = await open_session(settings.database_url, name="doctor", timeout_s=settings.query_timeout_s)
    except SettingsError:
        # There is no URL, or none that can be read: `host` says so.
        return [], [DATABASE, SCHEMA, *rest]
    except (DatabaseUnreachable, DatabaseUnavailable) as error:
        advice = "see that it runs, that this host may reach it, and that database_url names the role and password"
        return [wrong(DATABASE, str(error), advice)], [SCHEMA, *rest]
    reached_ms = (perf_counter() - asked_at) * 1000
    try:
        examination = _Examination(Asker(session), settings)
        await examination.make(reached_ms, schema)
        return examination.findings, examination.not_checked
    finally:
        await session.close()


async def _schema(settings: Settings) -> Finding:
    """Raises DatabaseUnreachable, SettingsError."""
    try:
        await asyncio.to_thread(migrations.check_current, settings.database_url, timeout_s=settings.startup_timeout_s)
    except SchemaError as error:
        return wrong(
            SCHEMA, str(error), "`orderstream migrate --status`, as the owner, lists what is there and what not"
        )
    return ok(SCHEMA, "it is at this version")


class _Examination:
    """Of one database, through one session and, for what takes two, some more."""

    def __init__(self, asker: Asker, settings: Settings) -> None:
        self._asker = asker
        self._settings = settings
        self.findings: list[Finding] = []
        self.not_checked: list[str] = []

    async def make(self, reached_ms: float, schema: Finding) -> None:
        cluster = await clusters.look_at(self._asker)
        where = dsn.target(self._settings.database_url)
        self.findings += [
            ok(DATABASE, f"Postgres {cluster.version} at {where} lets us in within {reached_ms:.0f} ms"),
            clusters.check_replication(cluster),
            schema,
        ]
        await self._try(rights.ROLE, self._rights)
        await self._try(triggers.TRIGGERS, lambda: triggers.check_triggers(self._asker))
        if cluster.standby:
            # Which neither listens nor notifies.
            self.not_checked.append(pooling.SESSIONS)
        else:
            await self._try(pooling.SESSIONS, self._sessions)
        leader = await numbering.leader_of(self._asker, self._settings)
        self.findings.append(numbering.check_leader(leader))
        if schema.to_do or cluster.standby:
            self.not_checked += OF_THE_SCHEMA
        else:
            await self._of_the_schema(leader)
        self.findings.append(clusters.check_queue(cluster.queue_usage))
        await self._try(clusters.CLOCK, self._clock)

    async def _try(self, check: str, make: Callable[[], Awaitable[list[Finding]]]) -> None:
        try:
            self.findings += await make()
        except DatabaseUnavailable as error:
            self.findings.append(
                wrong(check, f"it cannot be looked at: {error}", "put right what is wrong above first")
            )

    async def _rights(self) -> list[Finding]:
        [role] = [rights.Role(*row) for row in await self._asker.ask("role")]
        rows = [(rights.Right(*row[:4]), row[4]) for row in await self._asker.ask("rights")]
        held, known = [right for right, is_held in rows if is_held], [right for right, _ in rows]
        return [*rights.check_role(role), *rights.check_rights(role, held, known)]

    async def _sessions(self) -> list[Finding]:
        return [
            await pooling.check_sessions(self._settings.database_url),
            *await numbering.deafened(self._asker, pooling.SESSIONS),
        ]

    async def _clock(self) -> list[Finding]:
        return [clusters.check_clock(await clusters.measure_offset(self._asker))]

    async def _of_the_schema(self, leader: numbering.Lock | None) -> None:
        asker, settings = self._asker, self._settings

        async def epoch() -> list[Finding]:
            return [await clusters.check_epoch(asker, led=leader is not None)]

        await self._try(clusters.EPOCH, epoch)
        await self._try(numbering.DOORBELL, lambda: numbering.check_doorbell(asker, settings, leader))
        await self._try(numbering.OUTBOX, lambda: numbering.check_outbox(asker, settings, leader))
        if settings.canary_user:
            await self._try(CANARY, lambda: check_canary(settings))
        else:
            self.not_checked.append(CANARY)
