"""A new epoch by the operator's hand, after a restore: every cursor given out before gets a reset."""

from contextlib import closing

import psycopg2

from orderstream.errors import SchemaError
from orderstream.postgres import dsn as dsns


def renew(dsn: str, *, timeout_s: float = 10.0) -> str:
    """The epoch now in force, 8 hex digits. Raises DatabaseUnreachable; SchemaError if it cannot be made."""
    with closing(dsns.connect(dsn, timeout_s)) as session:
        try:
            session.set_session(isolation_level="READ COMMITTED")
            with session, session.cursor() as cursor:
                cursor.execute("select orderstream.new_epoch()")
                ((epoch,),) = cursor.fetchall()
                return str(epoch)
        except (psycopg2.errors.UndefinedFunction, psycopg2.errors.InvalidSchemaName):
            raise SchemaError("the database is not migrated: run `orderstream migrate`") from None
        except psycopg2.Error as error:
            raise SchemaError(f"no new epoch on {dsns.target(dsn)}: {dsns.reason(error, dsn)}") from error
