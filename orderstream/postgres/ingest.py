"""Where `ingest-fix` reads and writes: the orders' tables and its own ledger, a batch in one transaction.

psycopg2 and no event loop: one session that does one thing after another, while the log is read in between.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec
import psycopg2
from psycopg2.extensions import connection, cursor

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

    def write(self, one: Round) -> None:
        """In a transaction. Raises Refused too."""
        with self._translated(), self._session, self._session.cursor() as at:
            _execute(at, "ingest_new", one.new)
            _execute(at, "ingest_executions", one.executions)
            _execute(at, "ingest_changed", one.changed)
            self._rows_written += len(one.keys)
            if self._rows_written > 2 * self._rows_planned_for:
                self._rows_planned_for = self._rows_written
                at.execute("discard plans")
            _execute(at, "ingest_keys", list(one.keys.values()))

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
        with self._translated(), self._session, self._session.cursor() as at:
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
    """A session that nobody else ingests beside. Raises what `dsn.connect` does, and Interrupted."""
    session = dsns.connect(database_url, timeout_s)
    try:
        tables = Tables(session, database_url)
        with tables._translated(), session, session.cursor() as at:
            at.execute(PREPARE)
            at.execute("set application_name = 'orderstream ingest-fix'")
            # What is looked for was written lately, and is in memory: by an index, rather than by reading all.
            at.execute("set random_page_cost = 1.1")
            at.execute("select pg_try_advisory_lock(%s, %s)", _LOCK)
            if at.fetchone() != (True,):
                raise Interrupted(f"another ingest-fix is at work on {dsns.target(database_url)}: wait for its end")
            at.execute("select to_regclass('orderstream_ingest.keys') is not null")
            if at.fetchone() != (True,):
                at.execute(query("ingest_ledger"))
            for statement in _STATEMENTS:
                at.execute(f"prepare {statement} (json) as {query(statement)}")
        yield tables
    finally:
        session.close()


def _execute(at: cursor, statement: str, rows: Sequence[OrderRow | ExecutionRow | Key]) -> None:
    if rows:
        at.execute(f"execute {statement} (%s)", (msgspec.json.encode(rows).decode(),))
