"""Reads every event, in order of position, and hands it to this process's hub: once, and without a hole or a word.

After a lost connection: LISTEN first, then read, then trust notifications. A listener can be deaf without an error
(a pooler between, a connection that died silently), so it notifies itself every few seconds, and reads then too.

    EARS | held shared by whoever wants to be told of events; the leader notifies nobody where nobody does

While this process leads, its sequencer hands over what it numbered, and its follower gives EARS back: to be told as
well costs Postgres and us a notification, before anybody has got the event. What is not handed over is read at once.
It holds EARS until whoever led before must know of it: that one gave EARS back, too, and waits to be handed events.
"""

import asyncio
import re
from collections.abc import Callable, Sequence

import structlog

from orderstream.core.events import SequencedEvent, turns
from orderstream.errors import DatabaseUnavailable
from orderstream.ports import Meter, Publisher
from orderstream.postgres.connections import PREPARE, Session
from orderstream.postgres.pooling import LastingSession, open_lasting
from orderstream.postgres.queries import query

_log = structlog.get_logger()

# A two-key advisory lock, as those of the sequencer. It stands in queries/number.sql too.
EARS = "1869768306, 2"

_PROBE = "probe"
_POSITION = re.compile("[0-9]{1,19}")
_RETRY_S = 0.25
# How long a handover may come after its notification, or a turn of it after the one before.
_HANDOVER_S = 0.01
# At most so many of them are waited for.
_HANDOVER_TURNS = 100
_PAGE_EVENTS = 1000

# When it was written, its user, and its number: one statement's events were all written at once.
_Mark = tuple[float, str, int]


class Follower:
    """One per process; the sequencer of the same process may hand its batches over directly."""

    def __init__(
        self,
        database_url: str,
        publisher: Publisher,
        meter: Meter,
        *,
        probe_s: float,
        timeout_s: float,
        leading: Callable[[], bool] = lambda: False,
        settled: Callable[[], bool] = lambda: False,
        permitted: asyncio.Event | None = None,
    ) -> None:
        """`leading` says whether this process's sequencer is the one that numbers, and hands over; `settled` whether
        nobody else can believe that of theirs. Nothing is published while `permitted` is not set."""
        self._leading = leading
        self._settled = settled
        self._permitted = permitted
        self._database_url = database_url
        self._publisher = publisher
        self._meter = meter
        self._probe_s = probe_s
        self._timeout_s = timeout_s
        self._position: int | None = None  # None: nothing was read yet, or what was is not there any more
        # What tells the event there, if that is known, from any other that could have its position.
        self._mark: _Mark | None = None
        # When the epoch that was read last began.
        self._began_at = 0.0
        # That of the event that was published last, which may not have been read.
        self._epoch: str | None = None
        # An epoch that promised what is not there any more: it is over before anything else is read, or shown.
        self._broken: str | None = None
        self._session: LastingSession | None = None
        self._holds_ears = False
        # Something was numbered, or may be from now on, that nobody tells us of.
        self._behind = False
        # How often what is handed over came to be in doubt, and how many of these a read has settled: in between it
        # may stand where something else stood.
        self._doubts = self._doubts_settled = 0
        self.connected = asyncio.Event()
        self._failure = "there was no connection yet"

    async def run(self) -> None:
        """Follows for ever; every failure is answered by a new connection. May be cancelled."""
        while True:
            try:
                await self._follow()
            except DatabaseUnavailable as error:
                if self.connected.is_set() or self._position is None:
                    _log.warning("follower-disconnected", reason=str(error))
                self.connected.clear()
                self._failure = str(error)
                self._meter.database_error("follower")
                await asyncio.sleep(_RETRY_S)

    @property
    def trouble(self) -> str | None:
        """Why no events are heard of; None where they are."""
        return None if self.connected.is_set() else self._failure

    @property
    def position(self) -> int:
        """Of the newest event that was published here; 0 before there is any."""
        return self._position or 0

    def take(self, batch: Sequence[SequencedEvent]) -> None:
        """Events straight from this process's sequencer, none where it begins to lead; what does not follow is read."""
        permitted = self._permitted is None or self._permitted.is_set()
        doubted = self._doubts != self._doubts_settled
        if permitted and not doubted and batch and batch[0].position == self._next_position:
            self._publish(batch)
        else:
            self._doubts += 1
            self.look()

    def look(self) -> None:
        """Has it read what there is, with EARS or without: when there is something that it is not told of, or this
        process's sequencer is settled, or leads no more."""
        self._behind = True
        if self._session is not None:
            self._session.stir()

    @property
    def _next_position(self) -> int | None:
        return None if self._position is None else self._position + 1

    async def _follow(self) -> None:
        self._session = session = await open_lasting(self._database_url, name="follower", timeout_s=self._timeout_s)
        self._holds_ears = False
        try:
            await session.fetch(f"{PREPARE}; listen orderstream_events")
            await self._await_epoch(session)
            await self._catch_up(session)
            self.connected.set()
            _log.info("follower-connected", position=self._position)
            while True:
                payloads = await self._told(session)
                if self._is_news(payloads) and "" not in payloads and self._leading():
                    await self._handed_over(payloads)
                if self._is_news(payloads):
                    await self._catch_up(session)
        finally:
            self._session = None
            await session.close()

    async def _told(self, session: LastingSession) -> list[str]:
        """What was notified; or, as of a new epoch, nothing but that there is something to read."""
        payloads = [] if self._behind else await session.notified(self._probe_s)
        if self._behind:
            return [""]
        return payloads or await self._probed(session)

    async def _catch_up(self, session: LastingSession, first: str = "") -> None:
        """Reads what there is, with EARS held, or given back, before. `first` runs in the same round trip."""
        self._behind, wanted = False, not self._settled()
        if wanted and not self._holds_ears:
            first += f"select pg_advisory_lock_shared({EARS});"
        elif self._holds_ears and not wanted:
            first += f"select pg_advisory_unlock_shared({EARS});"
        more = await self._read(session, first=first)
        self._holds_ears = wanted
        while more:
            more = await self._read(session)

    async def _handed_over(self, payloads: Sequence[str]) -> None:
        """Waits while this process's sequencer brings what it notified of: that overtakes its own answer, which brings
        the same events without a query, in turns. Not for ever: anybody may notify, of what never comes."""
        for _ in range(_HANDOVER_TURNS):
            known = self._position
            await asyncio.sleep(_HANDOVER_S)
            if known == self._position or not self._is_news(payloads):
                return

    async def _await_epoch(self, session: Session) -> None:
        """Until the epoch is of this cluster and timeline: the leader renews it before it numbers anything."""
        while True:
            if any(in_force for _, in_force in await session.fetch(query("epoch_in_force"))):
                return
            await asyncio.sleep(_RETRY_S)

    async def _probed(self, session: LastingSession) -> list[str]:
        """Looks all the same, and makes sure that notifications come through: those that came, our own at least."""
        await self._catch_up(session, f"select pg_notify('orderstream_events', '{_PROBE}');")
        await session.require_mark()
        payloads = await session.notified(self._timeout_s)
        if payloads or self._behind:
            return payloads
        raise DatabaseUnavailable("notifications do not come through")

    def _is_news(self, payloads: Sequence[str]) -> bool:
        """Whether one of them says that there is something to read: a position, or nothing where the epoch is new."""
        known = self._position or 0
        # Anybody may notify: what is no position of ours is looked at, and never trusted to be a number.
        return any(int(payload) > known if _POSITION.fullmatch(payload) else payload != _PROBE for payload in payloads)

    async def _read(self, session: Session, first: str = "") -> bool:
        """Publishes a page of what is new; says whether there may be more. `first` runs in the same round trip."""
        if self._broken is not None:
            if renewed := await session.fetch(query("renounce_epoch"), {"epoch": self._broken}):
                _log.warning("epoch-renewed", epoch=renewed[0][0])
            self._broken = None
        asked_after, mark, doubts = self._position, self._mark, self._doubts
        after = 2**62 if asked_after is None else asked_after
        rows = await session.fetch(first + query("follow"), {"after": after, "max_events": _PAGE_EVENTS})
        if not rows:
            raise DatabaseUnavailable("there is no epoch: a restore may be under way")
        epoch, began_at, head, written_at = rows[0][:4]
        found = None if written_at is None else tuple(rows[0][3:6])
        batch = [SequencedEvent(*row[6:]) for row in rows if row[6] is not None]
        if asked_after is None:
            self._position, self._mark = head, found
        elif head < asked_after or (None not in (found, mark) and found != mark):
            self._set_back(epoch, began_at, head)
            return True
        self._doubts_settled = doubts
        if asked_after is not None:
            for number, turn in enumerate(turns(batch)):
                if number:
                    await asyncio.sleep(0)
                if self._permitted is not None:
                    await self._permitted.wait()
                # The sequencer may have handed over some of them meanwhile.
                self._publish([event for event in turn if event.position > (self._position or 0)])
        self._began_at = began_at
        if len(batch) < _PAGE_EVENTS:
            self._publisher.renew(epoch)
        return len(batch) == _PAGE_EVENTS

    def _set_back(self, epoch: str, began_at: float, head: int) -> None:
        """Restored, or a crash that lost what was promised: the numbers that clients know will be given out again, or
        were, for other events. Nothing is shown until there is a new epoch; there is one if it began after ours."""
        _log.error("events-set-back", position=self._position, head=head)
        self._position = self._mark = None
        self._broken = epoch if began_at <= self._began_at or epoch == self._epoch else None
        self._publisher.forget()

    def _publish(self, batch: Sequence[SequencedEvent]) -> None:
        if not batch:
            return
        if batch[0].position != self._next_position:
            # Retention overtook us: what was missed is read from the table, or reset, by each delivery.
            _log.error("events-missed", expected=self._next_position, found=batch[0].position)
            self._publisher.forget()
        last = batch[-1]
        self._position, self._epoch = last.position, last.epoch
        self._mark = last.written_at, last.user_id, last.seq
        # Before it is sent, or the time of sending would count as the way here.
        self._meter.followed(batch)
        self._publisher.publish(batch)
