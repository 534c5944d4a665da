"""Where `ingest-fix` reads and writes: the orders' tables and its own ledger, a batch in one transaction.

psycopg2 and no event loop: one session that does one thing after another, while the log is read in between.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec
import psycopg2
import psycopg2.errors
from psycopg2.extensions import connection

from orderstream.core.fix import words
from orderstream.core.fix.book import ExecutionRow, Key, OrderRow, Round, Standing
from orderstream.errors import OperatorError
from orderstream.postgres import dsn as dsns
from orderstream.postgres.connections import PREPARE, Row
from orderstream.postgres.queries import query

# Beside the lock of migrations, which is number 100.
_LOCK = (0x6F726473, 101)
# Plans that were made while the tables were small, the triggers' and the foreign key's too, would read them whole when
# they are large: so all are made anew whenever as much again was written.
_FIRST_PLANS_ROWS = 1000
_LATER = "set synchronous_commit = off"
_STATEMENTS = ("ingest_new", "ingest_executions", "ingest_changed", "ingest_keys")


class Refused(OperatorError):
    """The tables do not take a row as it is; the line is the database's."""


class Interrupted(OperatorError):
    """The database went away, or does not allow it; what was committed until then stays."""


class Tables:
    """One session's use of them. All methods raise Interrupted."""

    def __init__(self, session: connection, database_url: str) -> None:
        self._session = session
        self._database_url = database_url
        self._rows_written = 0
        self._rows_planned_for = _FIRST_PLANS_ROWS

    def known(self, keys: Sequence[str]) -> tuple[dict[str, Key], dict[str, Standing]]:
        """What the ledger has of these keys, and how the orders stand that they lead to, by their ids."""
        # One literal: as a list, each key would be an expression to parse.
        rows = self._rows("ingest_known", {"keys": f"{{{','.join(keys)}}}"})
        found = {key: Key(key, order_id, account) for key, order_id, account, *_ in rows}
        standing = {
            order_id: Standing(side, status in words.ENDED, day)
            for _, order_id, _, side, status, day in rows
            if status is not None
        }
        return found, standing

    def write(self, one: Round, *, is_last: bool) -> None:
        """In a transaction, which is on the disk with the one that `is_last`. Raises Refused too.

        Nobody is told of what a crash could take away: the sequencer's own commit is behind it in the same log.
        """
        rows: dict[str, Sequence[OrderRow | ExecutionRow | Key]]
        rows = {"ingest_new": one.new, "ingest_executions": one.executions, "ingest_changed": one.changed}
        rows["ingest_keys"] = [*one.keys.values()]
        written = {statement: _json(of) for statement, of in rows.items() if of}
        self._rows_written += len(one.keys)
        with self._translated(), self._session.cursor() as at:
            if self._rows_written > 2 * self._rows_planned_for:
                self._rows_planned_for = self._rows_written
                at.execute("discard plans")
            if is_last:
                at.execute("reset synchronous_commit")
            # Statements that are sent as one query are one transaction and one round trip.
            at.execute("; ".join(f"execute {statement} (%s)" for statement in written), [*written.values()])
            if is_last:
                at.execute(_LATER)

    def position(self) -> int:
        """How far events are numbered."""
        return int(self._rows("ingest_position", {})[0][0])

    def numbered(self, order_id: str, after: int) -> tuple[bool, bool, int]:
        """Whether somebody numbers events, whether the order's latest change has a number past `after`, and how far
        they are numbered."""
        is_led, is_numbered, position = self._rows("ingest_numbered", {"order_id": order_id, "after": after})[0]
        return bool(is_led), bool(is_numbered), int(position)

    def verdicts(self, after: int) -> list[tuple[str, str, int]]:
        """(verdict, rule, how many) of the events past `after` about orders that were ingested."""
        return [(verdict, rule, count) for verdict, rule, count in self._rows("ingest_verdicts", {"after": after})]

    def _rows(self, name: str, parameters: Mapping[str, object]) -> list[Row]:
        with self._translated(), self._session.cursor() as at:
            at.execute(query(name), parameters)
            return list(at.fetchall())

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (psycopg2.DataError, psycopg2.IntegrityError) as error:
            raise Refused(f"the database refuses it: {dsns.reason(error, self._database_url)}") from error
        except psycopg2.Error as error:
            where = dsns.target(self._database_url)
            raise Interrupted(f"the database {where} failed: {dsns.reason(error, self._database_url)}") from error


@contextmanager
def open_tables(database_url: str, *, timeout_s: float) -> Iterator[Tables]:
    """A session that nobody else ingests beside; both it and its turn are waited for. Raises what `dsn.connect` does,
    and Interrupted."""
    session = dsns.connect(database_url, timeout_s)
    try:
        session.autocommit = True
        tables = Tables(session, database_url)
        with tables._translated(), session.cursor() as at:
            at.execute(PREPARE)
            at.execute("set application_name = 'orderstream ingest-fix'")
            # What is looked for was written lately, and is in memory: by an index, rather than by reading all.
            at.execute("set random_page_cost = 1.1")
            at.execute(_LATER)
            at.execute("select set_config('lock_timeout', %s, false)", (f"{max(1, int(timeout_s * 1000))}ms",))
            try:
                # The session of one that was killed may take a moment to end.
                at.execute("select pg_advisory_lock(%s, %s)", _LOCK)
            except psycopg2.errors.LockNotAvailable:
                where = dsns.target(database_url)
                raise Interrupted(f"another ingest-fix is at work on {where}: wait for its end") from None
            at.execute("reset lock_timeout")
            at.execute("select to_regclass('orderstream_ingest.keys') is not null")
            if at.fetchone() != (True,):
                at.execute(query("ingest_ledger"))
            for statement in _STATEMENTS:
                at.execute(f"prepare {statement} (json) as {query(statement)}")
        yield tables
    finally:
        session.close()


def _json(rows: Sequence[OrderRow | ExecutionRow | Key]) -> str:
    return msgspec.json.encode(rows).decode()
