"""Puts the parts of one process together, runs them, and takes them down: the one place that names concrete parts."""

import asyncio
import gc
import math
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import structlog

from orderstream import logs
from orderstream.canary import Canary
from orderstream.core.claims import Identity
from orderstream.core.vitals import Vitals, ailments
from orderstream.errors import DatabaseUnavailable, DatabaseUnreachable, SettingsError
from orderstream.hub import Hub, HubLimits
from orderstream.metrics import PrometheusMeter
from orderstream.metrics.gauges import Gauges, Readings
from orderstream.metrics.status import Watch
from orderstream.ports import Meter
from orderstream.postgres import migrations
from orderstream.postgres.canary import CanaryOrder
from orderstream.postgres.follower import Follower
from orderstream.postgres.migration_files import OURS, packaged
from orderstream.postgres.pool import Pool
from orderstream.postgres.retention import Retention, RetentionSettings
from orderstream.postgres.revocations import RevocationListener
from orderstream.postgres.sequencer import Sequencer, SequencerSettings
from orderstream.postgres.sessions import PostgresSessions, SessionSettings
from orderstream.postgres.store import PostgresStore, StoreSettings
from orderstream.postgres.tickets import PostgresTickets
from orderstream.postgres.vitals import VitalsWatch
from orderstream.sessions import Sessions
from orderstream.settings import Settings, host_port, own_address
from orderstream.web.admin import make_admin_app
from orderstream.web.app import PublicApp, make_app
from orderstream.web.connection import ConnectionSettings
from orderstream.web.identity import Authenticator, AuthenticatorSettings
from orderstream.web.jwks import Jwks, JwksSettings
from orderstream.web.jwt import JwtSettings, Verifier
from orderstream.web.keys import fixed_keys
from orderstream.web.limits import Limits, LimitSettings
from orderstream.web.seats import WHEEL, PollSettings, StreamSettings
from orderstream.web.server import Server
from orderstream.web.ticket_desk import TicketDesk

if TYPE_CHECKING:
    from orderstream.tracing import Tracing

_log = structlog.get_logger()

_SWEEP_S = 10.0
# Of Python's garbage collector: how many objects more before it looks at the youngest, and how many such looks before
# it looks at those that are older. Nearly all that we hold lives for hours and is freed by its last reference: with
# Python's 700, 10, 10 it looked at all of it while 8,000 clients connected, for 80 ms; so it is 5 ms at most.
_COLLECT_EVERY = (5_000, 3, 300)

Extend = Callable[[PublicApp], None]
S = TypeVar("S", bound=msgspec.Struct)


def part_of(settings: Settings, kind: type[S]) -> S:
    """The settings of one part: those of the fields of `settings` that `kind` has too."""
    shared = set(kind.__struct_fields__) & set(settings.__struct_fields__)
    return kind(**{name: getattr(settings, name) for name in shared})


class Service:
    """One process of orderstream: `start`, then wait for `failed` or a signal, then `stop`.

    `extend` may add resources of its own to the public application, as the demo does. `tracing` is closed by whoever
    made it, after the stop. Where `shares_port`, other processes listen on `listen` too.
    """

    def __init__(
        self,
        settings: Settings,
        extend: Extend | None = None,
        tracing: "Tracing | None" = None,
        *,
        shares_port: bool = False,
    ) -> None:
        self.settings = settings
        self._shares_port = shares_port
        self.meter = PrometheusMeter(clock=self.database_time)
        self._tracing = tracing
        # What the steps of an event are told to: beside it, only where they are traced.
        self._counts: Meter = self.meter if tracing is None else tracing.beside(self.meter)
        self.draining = False
        # Done only if a part ended that should run for ever.
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: list[asyncio.Task[None]] = []
        url = settings.database_url
        self._pool = Pool(url, size=settings.pool_size, timeout_s=settings.query_timeout_s)
        self.sessions = Sessions(linger_s=settings.poll_linger_s, max_polling=settings.max_polling_devices)
        self.revocations = RevocationListener(url, self.sessions, self.meter, timeout_s=settings.query_timeout_s)
        # Nothing is shown to anybody while it is not known who was logged out.
        permitted = self.revocations.connected
        self._store = PostgresStore(self._pool, part_of(settings, StoreSettings), permitted=permitted)
        self.hub = Hub(self._store, self._counts, part_of(settings, HubLimits))
        self.follower = Follower(
            url,
            self.hub,
            self._counts,
            probe_s=settings.safety_net_s,
            timeout_s=settings.query_timeout_s,
            leading=lambda: self.sequencer.leading,
            settled=lambda: self.sequencer.settled,
            permitted=permitted,
        )
        self.sequencer = Sequencer(
            url, part_of(settings, SequencerSettings), self.follower.take, self._counts, self.follower.look
        )
        self._retention = Retention(
            self._pool, part_of(settings, RetentionSettings), lambda: self.sequencer.leading, self.meter
        )
        self._session_store = PostgresSessions(
            self._pool, self.sessions, part_of(settings, SessionSettings), self.meter
        )
        self.vitals = VitalsWatch(
            self._pool, self.meter, lambda: self.follower.position, every_s=settings.vitals_every_s
        )
        self._migrations = sum(migration.set_name == OURS for migration in packaged())
        self.meter.registry.register(Gauges(self._readings()))
        self._jwks = Jwks(part_of(settings, JwksSettings)) if settings.jwks_url else None
        self.authenticator = self._make_authenticator()
        self._public = self._make_public()
        if extend is not None:
            extend(self._public)
        admin = make_admin_app(self.meter.registry, self.checks, Watch(self.meter.registry, self.checks).look)
        connections = part_of(settings, ConnectionSettings)
        self._public_server = Server(self._public, drain_timeout_s=settings.drain_timeout_s, settings=connections)
        self._admin_server = Server(admin, drain_timeout_s=1.0)

    def database_time(self) -> float:
        """Now on the database's clock, in seconds since 1970, as far as it was measured."""
        return time.time() + self.vitals.clock_offset_s

    async def start(self) -> None:
        """Listens once the events are followed and the revocations known. Raises OperatorError."""
        settings = self.settings
        await asyncio.to_thread(migrations.check_current, settings.database_url, timeout_s=settings.startup_timeout_s)
        self._run("follower", self.follower.run())
        self._run("revocations", self.revocations.run())
        self._run("sessions", self._session_store.run())
        self._run("sequencer", self.sequencer.run())
        self._run("retention", self._retention.run())
        self._run("vitals", self.vitals.run())
        self._run("wheel", self._public[WHEEL].run())
        self._run("hub-sweep", self._sweep_hub())
        if self._jwks is not None:
            self._run("jwks", self._jwks.run())
        try:
            async with asyncio.timeout(settings.startup_timeout_s):
                await self.follower.connected.wait()
                await self.revocations.connected.wait()
                await self.vitals.look()
        except (TimeoutError, DatabaseUnavailable):
            why = self.follower.trouble or self.revocations.trouble or "it was too slow"
            raise DatabaseUnreachable(f"the database did not let events be followed in time: {why}") from None
        await self._admin_server.start(*host_port(settings.admin_listen), key="admin_listen")
        await self._public_server.start(*host_port(settings.listen), key="listen", shared=self._shares_port)
        if settings.canary_user:
            self._run("canary", self._sing())
        _log.info("serving", listen=settings.listen, admin_listen=settings.admin_listen)

    async def stop(self) -> None:
        """Takes no more connections, sends everybody elsewhere, spread, and ends; safe to call after a failed start."""
        settings = self.settings
        self.draining = True
        await self._public_server.refuse()
        told = 0
        for subscriber in self.hub.drain():
            after_ms = int(random.uniform(0, settings.drain_spread_s) * 1000)
            subscriber.outlet.goaway("drain", reconnect=True, after_ms=after_ms)
            told += 1
        _log.info("draining", deliveries=told)
        await self._public_server.stop()
        await self._admin_server.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session_store.leave()
        if self._jwks is not None:
            await self._jwks.close()
        await self.hub.close()
        await self._pool.close()
        _log.info("stopped")

    def checks(self) -> Mapping[str, str | None]:
        """What `/health/ready` asks for."""
        vitals, late_s = self.vitals, self.settings.ready_late_s
        found = dict(ailments(vitals.last, vitals.before, migrations=self._migrations, late_s=late_s))
        if found.get("sequencer") and self.sequencer.trouble:
            found["sequencer"] = f"{found['sequencer']}; here it failed: {self.sequencer.trouble}"
        return {
            **found,
            **({"follower": f"it cannot listen for events: {self.follower.trouble}"} if self.follower.trouble else {}),
            "revocations": self.revocations.trouble and f"revocations are not heard of: {self.revocations.trouble}",
            **({"jwks": self._jwks.missing} if self._jwks is not None else {}),
            "draining": "this process is being stopped" if self.draining else None,
        }

    def _make_authenticator(self) -> Authenticator:
        settings = self.settings
        verifier = Verifier(
            fixed_keys(settings.jwt_secret, settings.jwt_public_key), self._jwks, part_of(settings, JwtSettings)
        )
        desk = TicketDesk(PostgresTickets(self._pool, most=settings.max_tickets_per_user))
        return Authenticator(verifier, desk, part_of(settings, AuthenticatorSettings))

    def _make_public(self) -> PublicApp:
        settings, origins = self.settings, frozenset(self.settings.cors_origins)
        return make_app(
            hub=self.hub,
            order_reader=self._store,
            meter=self._counts,
            authenticator=self.authenticator,
            open_sessions=self.sessions,
            session_store=self._session_store,
            stream_settings=part_of(settings, StreamSettings),
            poll_settings=part_of(settings, PollSettings),
            limits=Limits(part_of(settings, LimitSettings)),
            body_max_bytes=settings.body_max_bytes,
            cors_origins=origins,
            tracer=self._tracing,
        )

    def _readings(self) -> Readings:
        """What `/metrics` reads of the parts when it is asked."""
        hub, pool, vitals = self.hub, self._pool, self.vitals

        def looked(read: Callable[[Vitals], float]) -> Callable[[], float | None]:
            return lambda: None if vitals.last is None else read(vitals.last)

        return {
            "hub_channels": ("Users whose recent events are in memory.", lambda: hub.channel_count),
            "hub_log_bytes": ("What these events take.", lambda: hub.log_bytes),
            "tasks": ("Tasks of the event loop.", lambda: len(asyncio.all_tasks())),
            "pool_queries": ("Queries that run, or wait for one of pool_size sessions.", lambda: pool.queries),
            "follower_connected": ("1 while this process hears of events.", self.follower.connected.is_set),
            "follower_behind_seconds": ("Age of the oldest event not read here.", looked(lambda at: at.unread_s)),
            "sequencer_elected": ("1 while some process numbers events.", looked(lambda at: at.has_leader)),
            "outbox_waiting_rows": ("Changes that wait for their number.", looked(lambda at: at.outbox_waiting_rows)),
            "outbox_oldest_seconds": ("Age of the oldest of them.", looked(lambda at: at.outbox_oldest_s)),
            "events_oldest_seconds": ("Age of the oldest event kept.", looked(lambda at: at.oldest_event_s)),
            "notification_queue_ratio": (
                "How full Postgres's notification queue is.",
                looked(lambda at: at.notification_queue_ratio),
            ),
            "clock_offset_seconds": (
                "What the database's clock is ahead of this host's.",
                lambda: vitals.clock_offset_s,
            ),
        }

    async def _sing(self) -> None:
        settings = self.settings
        user_id = settings.canary_user
        canary = Canary(
            CanaryOrder(self._pool, user_id).change,
            self.meter,
            every_s=settings.canary_every_s,
            late_s=settings.canary_late_s,
        )
        token = self.authenticator.issue(Identity(user_id, "canary", math.inf))
        address = own_address(settings.listen)
        if self._shares_port:
            # Or the canary would come to another process, which does not know its credential.
            address = f"127.0.0.1:{await self._public_server.listen_for_itself()}"
        await canary.run(f"http://{address}", token)

    async def _sweep_hub(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            self.hub.sweep()

    def _run(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        _log.error("part-ended", part=task.get_name(), exc_info=error)
        if not self.failed.done():
            self.failed.set_result(None)


def settle_collector() -> None:
    """Once everything is loaded: modules and parts stay for ever, and what comes then mostly stays for long."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_EVERY)


async def serve(
    settings: Settings, extend: Extend | None = None, *, orphaned: Callable[[], Coroutine[Any, Any, None]] | None = None
) -> int:
    """Runs until SIGTERM or SIGINT, drains, and gives the exit status; a second signal exits at once.

    `orphaned` is for one of several processes: it returns when their supervisor is gone, and this one drains."""
    settings.require("database_url")
    settings.require_jwt_key()
    repeats = logs.configure(log_format=settings.log_format, log_level=settings.log_level)
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop_or_exit, told, repeats)
    async with repeats.told():
        tracing = _tracing(settings)
        service = Service(settings, extend, tracing, shares_port=orphaned is not None)
        try:
            await service.start()
            settle_collector()
            await _first(told.wait(), service.failed, *([orphaned()] if orphaned else []))
        finally:
            await service.stop()
            if tracing is not None:
                await tracing.close()
    return 1 if service.failed.done() and not service.failed.cancelled() else 0


def _tracing(settings: Settings) -> "Tracing | None":
    """Raises SettingsError where it is wanted and cannot be had."""
    if not settings.traced_events:
        return None
    try:
        from orderstream.tracing import Tracing
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("opentelemetry"):
            raise
        raise SettingsError("traced_events needs OpenTelemetry: pip install 'orderstream[otel]'") from None
    return Tracing(settings.traced_events)


async def _first(*awaited: Awaitable[object]) -> None:
    """Waits for one of them, and lets go of the others."""
    futures = [asyncio.ensure_future(one) for one in awaited]
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
    for future in futures:
        future.cancel()


def _stop_or_exit(told: asyncio.Event, repeats: logs.Repeats) -> None:
    if told.is_set():
        repeats.flush()
        os._exit(130)
    told.set()
