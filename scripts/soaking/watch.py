"""Looks at what services and their database take, now and then, in a thread of its own."""

import os
import random
import re
import threading
import time
import urllib.request
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import psycopg2

from orderstream.settings import Settings
from scripts.benchmark import proc
from scripts.fleet.tally import Ages, Tally, merged
from scripts.soaking.flat import Quantity
from scripts.soaking.stage import Service, Stage

_MB = 1 << 20
_ANSWER_S = 10.0
_SWEPT_WITHIN_S = 10.0
# As they are asked for.
_TABLES = ("outbox", "events", "checkpoints")
_ASK = """
select (select count(*) from pg_stat_activity where application_name like 'orderstream%'),
       (select count(*) from orderstream.outbox),
       (select count(*) from orderstream.events),
       (select count(*) from orderstream.checkpoints),
       pg_total_relation_size('orderstream.outbox_rows'),
       pg_total_relation_size('orderstream.event_rows'),
       pg_total_relation_size('orderstream.checkpoints')
"""
_TASKS = re.compile(rb"^orderstream_tasks (\S+)$", re.MULTILINE)


class Look(dict[str, float]):
    """What was seen `at_s` seconds after the beginning, by its name; `p50_s` and `p99_s` are of the events since the
    look before."""

    def __init__(self, at_s: float, seen: dict[str, float], ages: Ages) -> None:
        super().__init__(seen)
        self.at_s = at_s
        self.p50_s, self.p99_s = ages.quantile(0.5), ages.quantile(0.99)


def quantities(services: int, changes_per_s: float) -> list[Quantity]:
    """What is looked at, and what of it is no growth: rows that wait for a sweep of retention, streams that are away, a
    page or two of memory, sessions of pools that had not been needed before."""
    rows = changes_per_s * _SWEPT_WITHIN_S
    of_services = [
        Quantity(f"service {number}: {name}", unit, spare)
        for number in range(1, services + 1)
        for name, unit, spare in (("memory", "MB", 5.0), ("tasks", "", 10.0), ("descriptors", "", 50.0))
    ]
    return [
        *of_services,
        Quantity("connections to Postgres", "", services * (Settings().pool_size - 1.0)),
        *[Quantity(f"{table}: rows", "", rows) for table in _TABLES],
        *[Quantity(f"{table}: size", "MB", 4.0) for table in _TABLES],
    ]


class Watch:
    """From `start` to `stop`, about every `every_s`. `trouble` is what ended it before."""

    def __init__(self, stage: Stage, tallies: Sequence[Tally], every_s: float) -> None:
        self.looks: list[Look] = []
        self.trouble: str | None = None
        self._stage, self._tallies, self._every_s = stage, tallies, every_s
        self._ages = Ages()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        try:
            with closing(psycopg2.connect(self._stage.dsn)) as session, session.cursor() as cursor:
                session.autocommit = True
                # At no fixed distance: what has a beat of its own would be seen always in the same place of it.
                while not self._stopping.wait(random.uniform(0.5, 1.5) * self._every_s):
                    self._look(time.monotonic() - began, cursor)
        except (psycopg2.Error, OSError, IndexError) as error:
            self.trouble = f"{type(error).__name__}: {error}".strip().partition("\n")[0]

    def _look(self, at_s: float, cursor: Any) -> None:
        seen: dict[str, float] = {}
        for service in self._stage.services:
            seen |= {f"service {service.number}: {name}": value for name, value in _of(service).items()}
        cursor.execute(_ASK)
        connections, *counted = (float(value) for value in cursor.fetchone())
        seen["connections to Postgres"] = connections
        seen |= {f"{table}: rows": rows for table, rows in zip(_TABLES, counted, strict=False)}
        sizes = counted[len(_TABLES) :]
        seen |= {f"{table}: size": size / _MB for table, size in zip(_TABLES, sizes, strict=True)}
        before, self._ages = self._ages, merged(self._tallies)
        self.looks.append(Look(at_s, seen, self._ages.since(before)))


def _of(service: Service) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{service.admin_port}/metrics", timeout=_ANSWER_S) as answer:
        tasks = float(_TASKS.findall(answer.read())[0])
    return {
        "memory": proc.rss_bytes([service.pid]) / _MB,
        "tasks": tasks,
        "descriptors": float(len(os.listdir(f"/proc/{service.pid}/fd"))),
    }
