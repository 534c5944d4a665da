"""The one who numbers: elected by an advisory lock, it writes on the session that holds the lock, so that a leader who
is gone cannot write. It sleeps on a doorbell and polls only while an order transaction that did not ring is open.

A step is two statements: `take` reads what is new, `number` writes exactly that, and how far it came under take's
snapshot. Between the two it is judged, while nothing is locked or open; a leader that dies there has done nothing.
Where more waits than a step takes, `share` reads a part of it instead, so that nobody waits for another user's
transaction of 100,000 rows (docs/decisions/0011-fair-shares.md).

    LEADER   | pg_try_advisory_lock: one session in the cluster holds it, and only that one takes steps
    DOORBELL | held exclusively by the sleeper, shared by order transactions that found nobody asleep

Lying down: take DOORBELL exclusively (no order transaction that did not ring is open), take one more step (what those
committed is visible now), then wait for a notification. So no commit is slept through, and a busy system
never executes NOTIFY in an order's transaction. The wait is bounded all the same, and what that finds is counted.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec
import structlog

from orderstream.core.events import SequencedEvent, turns
from orderstream.errors import DatabaseUnavailable
from orderstream.ports import Meter
from orderstream.postgres.connections import PREPARE, Row, Session
from orderstream.postgres.judging import PREPARE_PASTS, Judge
from orderstream.postgres.pooling import open_lasting
from orderstream.postgres.queries import query
from orderstream.postgres.steps import NUMBER, PREPARE_STEPS, Taken, share_of

_log = structlog.get_logger()

# Two-key advisory locks; the first key is "orfr" in ASCII. The doorbell's pair stands in orderstream.awake() and in
# queries/take.sql too.
LEADER = "1869768306, 0"
DOORBELL = "1869768306, 1"

# How long after a commit its notification may take to count as having rung.
_RING_GRACE_S = 0.1
_RETRY_S = 0.25
# How long a leader that is stopped takes at most over its last words.
_LEAVE_S = 1.0
# As much of `batch_max_events` is a step larger than the one before, after one that the database had no time for.
_RISE = 1 / 20
# After an error that trying again will hardly mend.
_FAILED_RETRY_S = 2.0


class SequencerSettings(msgspec.Struct, frozen=True):
    """From the settings of the same names."""

    batch_max_events: int = 1000
    safety_net_s: float = 5.0
    doorbell_poll_min_s: float = 0.001
    doorbell_poll_max_s: float = 0.02
    election_s: float = 2.0
    idle_session_timeout_s: float = 10.0
    query_timeout_s: float = 10.0


class Sequencer:
    """Runs in every process, leads in one. `handover` gets each batch right after its commit, and an empty one when it
    begins to lead: what comes may not follow what it handed over before. `turned` is called when it is `settled`, and
    when it leads no more: what it numbered last may not have been handed over, others' never is."""

    def __init__(
        self,
        database_url: str,
        settings: SequencerSettings,
        handover: Callable[[Sequence[SequencedEvent]], None],
        meter: Meter,
        turned: Callable[[], None] = lambda: None,
    ) -> None:
        self._database_url = database_url
        self._settings = settings
        self._handover = handover
        self._turned = turned
        self._meter = meter
        self._most_events = settings.batch_max_events
        self.leading = False
        self.settled = False
        """Whether it has led for so long that whoever led before knows it. Where only that one's connection has gone,
        silently, it finds out when it asks and is not answered; until then its follower waits to be handed events."""
        self._settling: asyncio.TimerHandle | None = None
        # Whether a query is under way, and whether to end after it: a session whose query was cut short is closed, and
        # could not tell the candidates that we leave.
        self._asking = self._leaving = False
        self.trouble: str | None = None
        """Why this process could not number the last time that it was to; None where it could, or another leads."""

    async def run(self) -> None:
        """Stands for election for ever; a lost session is answered by a new one. Cancelling steps down."""
        self._leaving = False
        work = asyncio.ensure_future(self._work())
        try:
            await asyncio.shield(work)
        finally:
            self._leaving = True
            try:
                if self._asking:
                    await asyncio.wait([work], timeout=_LEAVE_S)
            finally:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            try:
                await self._stand()
            except DatabaseUnavailable as error:
                self.trouble = str(error)
                self._meter.database_error("sequencer")
                _log.warning("sequencer-disconnected", reason=str(error))
                await asyncio.sleep(_RETRY_S)
            except Exception as error:  # noqa: BLE001 - the top of a background task: streams go on, and so do we
                self.trouble = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
                _log.error("sequencer-failed", exc_info=error)
                await asyncio.sleep(_FAILED_RETRY_S)

    def _settle(self) -> None:
        self.settled = True
        self._turned()

    def _step_down(self) -> None:
        if self._settling is not None:
            self._settling.cancel()
        if self.leading:
            self.leading = self.settled = False
            self._turned()
            self._meter.stepped_down()
            _log.info("leadership-ended")

    async def _stand(self) -> None:
        session = await open_lasting(self._database_url, name="sequencer", timeout_s=self._settings.query_timeout_s)
        try:
            await session.fetch(f"{PREPARE}; listen orderstream_leader")
            while not await self._elected(session):
                self.trouble = None
                await session.notified(self._settings.election_s * random.uniform(0.8, 1.2))
            await self._lead(session)
        finally:
            await self._resign(session)

    async def _resign(self, session: Session) -> None:
        """Frees the locks at once, and tells the candidates, where the session still lives."""
        try:
            if self.leading:
                async with asyncio.timeout(_LEAVE_S):
                    await session.fetch("select pg_advisory_unlock_all(); notify orderstream_leader")
        except (DatabaseUnavailable, TimeoutError):
            pass
        finally:
            self._step_down()
            await session.close()

    async def _lead(self, session: Session) -> None:
        await session.fetch(
            "unlisten *; listen orderstream_doorbell;"
            "set enable_seqscan = off; set plan_cache_mode = force_generic_plan;"
            # Numbers that were shown must survive a crash, whatever the platform's default is for its own commits.
            "set synchronous_commit = on"
        )
        if not await session.fetch(query("epoch_in_force")):
            raise DatabaseUnavailable("there is no epoch: a restore may be under way")
        if renewed := await session.fetch(query("renew_epoch")):
            _log.warning("epoch-renewed", epoch=renewed[0][0])
        await session.fetch(query("clear_window"))
        await session.fetch(f"{PREPARE_STEPS};{PREPARE_PASTS}")
        judge = Judge(self._meter)
        [(rings,)] = await session.fetch("select orderstream.doorbell_enabled()")
        self.leading = True
        self._handover([])
        self._meter.took_over()
        _log.info("leadership-taken", doorbell=rings)
        longest_silence_s = self._settings.safety_net_s + self._settings.query_timeout_s
        self._settling = asyncio.get_running_loop().call_later(longest_silence_s, self._settle)
        while True:
            numbered = await self._step(session, judge)
            self.trouble = None
            if not numbered:
                if rings:
                    await self._sleep(session, judge)
                else:
                    await asyncio.sleep(self._settings.doorbell_poll_max_s)

    async def _ask(self, session: Session, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        """The rows of a query."""
        self._asking = True
        try:
            rows = await session.fetch(sql, parameters)
        finally:
            self._asking = False
        if self._leaving:
            raise asyncio.CancelledError
        return rows

    async def _step(self, session: Session, judge: Judge, *, rises: bool = False) -> int:
        """Numbers what is new, and hands it over; says how many. Who `rises` lets go of DOORBELL at its beginning.

        A step that failed is tried again at half its size: it may have been too much for its time, and would be again.
        """
        most, self._most_events = self._most_events, max(1, self._most_events // 2)
        numbered = await self._number(session, judge, most, rises=rises)
        most_ever = self._settings.batch_max_events
        self._most_events = min(most_ever, most + max(1, int(most_ever * _RISE)))
        return numbered

    async def _number(self, session: Session, judge: Judge, most: int, *, rises: bool) -> int:
        rows = await self._ask(session, f"execute take ({most}, {rises})")
        if not rows:
            raise DatabaseUnavailable("there is no checkpoint: a restore may be under way")
        taken = Taken(rows)
        if taken.crowded:
            rows = await self._ask(session, f"execute share ({most - share_of(most)}, {share_of(most)})")
            taken = Taken(rows)
        # Thousands of tuples that live at once would call the garbage collector, time and again.
        del rows
        if not taken.ids and not taken.crowded:
            return 0
        checked = await self._judged(session, judge, taken)
        # Nothing where a new epoch began meanwhile: then there is nothing to tell of what was taken.
        if not await self._ask(session, NUMBER, taken.parameters(checked)):
            return 0
        await self._tell(taken.numbered(checked))
        return len(taken.ids)

    async def _judged(self, session: Session, judge: Judge, taken: Taken) -> dict[int, str]:
        """Place -> the JSON of its check, where there is one."""
        checked: dict[int, str] = {}
        for whole in (True, False):
            places, changes = taken.changes(whole=whole)
            if changes:
                checks = await judge.judge(partial(self._ask, session), changes, whole=whole)
                checked |= {places[place]: msgspec.json.encode(check).decode() for place, check in checks.items()}
        return checked

    async def _tell(self, batch: Sequence[SequencedEvent]) -> None:
        self._meter.sequenced(batch)
        for turn in turns(batch):
            # What is not handed over since we are cancelled here, the follower reads.
            self._handover(turn)
            await asyncio.sleep(0)

    async def _sleep(self, session: Session, judge: Judge) -> None:
        """Returns when there may be work."""
        pause_s = self._settings.doorbell_poll_min_s
        while not await self._try_lock(session, DOORBELL):
            # Somebody's transaction is open that will not ring: its commit is found by looking.
            await asyncio.sleep(pause_s)
            if await self._step(session, judge):
                return
            pause_s = min(2 * pause_s, self._settings.doorbell_poll_max_s)
        self._meter.slept()
        found = await self._step(session, judge)
        while not found:
            if await session.notified(self._settings.safety_net_s):
                self._meter.rung()
                break
            found = await self._step(session, judge)
            if found and not await session.notified(_RING_GRACE_S):
                self._meter.caught_by_safety_net()
                _log.error("doorbell-missed", events=found)
        await self._step(session, judge, rises=True)

    async def _elected(self, session: Session) -> bool:
        """Whether this session leads from now on. A leader that is stopped loses it, and with it the lock and the pen,
        so that another can take over: also one that is stopped before it asks anything else."""
        idle_ms = int(self._settings.idle_session_timeout_s * 1000)
        limit = f"set_config('idle_session_timeout', '{idle_ms}', false)"
        [(limited,)] = await self._ask(session, f"select case when pg_try_advisory_lock({LEADER}) then {limit} end")
        return limited is not None

    async def _try_lock(self, session: Session, lock: str) -> bool:
        [(granted,)] = await self._ask(session, f"select pg_try_advisory_lock({lock})")
        return bool(granted)
