"""Whether an order could be written now, where there is one that may be tried with: the canary's."""

from orderstream.doctor.findings import Finding, ok, wrong
from orderstream.errors import DatabaseUnavailable
from orderstream.postgres.canary import CHANGE, refusals
from orderstream.postgres.connections import open_session
from orderstream.settings import Settings

CANARY = "canary"

# Somebody who holds its row for so long is what is wrong; and nobody shall wait for us for longer.
_LOCK_MS = 2000


async def check_canary(settings: Settings) -> list[Finding]:
    """Writes it as the service does, in a transaction that is rolled back: nobody is told."""
    session = await open_session(settings.database_url, name="doctor", timeout_s=settings.query_timeout_s)
    try:
        with refusals(settings.canary_user):
            await session.fetch(
                f"begin; set local lock_timeout = {_LOCK_MS};"
                f" set local idle_in_transaction_session_timeout = {_LOCK_MS}"
            )
            await session.fetch(CHANGE, {"canary": settings.canary_user, "mark": "doctor"})
        await session.fetch("rollback")
    except DatabaseUnavailable as error:
        return [
            wrong(
                CANARY,
                f"its order cannot be written, and so perhaps no order: {error}",
                "a full disk, a rule of the table or a right: what the line names (docs/operations.md, The canary)",
            )
        ]
    finally:
        await session.close()
    return [ok(CANARY, f"the order of {settings.canary_user} could be written")]
