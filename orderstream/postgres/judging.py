"""The leader's checks: each change is held against what came before it, before it has its number.

Whatever comes of it, the event is numbered: what cannot be read is counted, and a checker that fails begins anew.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from orderstream.core.checker import Change, Checker, Key
from orderstream.core.checks import Check
from orderstream.errors import DatabaseUnavailable
from orderstream.ports import Meter
from orderstream.postgres.connections import Row
from orderstream.postgres.queries import query

_log = structlog.get_logger()

# Of one order's past; one with more has a past that is not known.
_PAST_EVENTS = 200

PREPARE_PASTS = f"prepare pasts (text[], text[], bigint) as {query('pasts')}"
PASTS = f"execute pasts (%(user_ids)s::text[], %(order_ids)s::text[], {_PAST_EVENTS})"

Ask = Callable[[str, Mapping[str, object]], Awaitable[list[Row]]]


class Judge:
    """For one leadership: another leader may have numbered what came between two of ours."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._checker = Checker()

    async def judge(self, ask: Ask, batch: Sequence[Change], *, whole: bool) -> Mapping[int, Check]:
        """Place in the batch -> what is odd. Raises DatabaseUnavailable."""
        try:
            await self._recall(ask, self._checker.strangers(batch))
            checks, unread = self._checker.judge(batch, whole=whole)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - a bug here must not keep an event from its number
            _log.error("checks-failed", exc_info=error)
            self._checker, checks, unread = Checker(), {}, len(batch)
        if unread:
            self._meter.unchecked(unread)
        if checks:
            self._report(batch, checks)
        return checks

    async def _recall(self, ask: Ask, strangers: Sequence[Key]) -> None:
        if not strangers:
            return
        users, orders = zip(*strangers, strict=True)
        rows = await ask(PASTS, {"user_ids": list(users), "order_ids": list(orders)})
        pasts: dict[Key, list[tuple[str, str]]] = {key: [] for key in strangers}
        for user_id, order_id, name, body in rows:
            pasts[user_id, order_id].append((name, body))
        for key, past in pasts.items():
            self._checker.recall(key, past)

    def _report(self, batch: Sequence[Change], checks: Mapping[int, Check]) -> None:
        """To the metric all of them; to the log one of each rule and batch, which bounds a burst once more."""
        counts = Counter((check.verdict, check.rule) for check in checks.values())
        places = {check.rule: place for place, check in checks.items()}
        for (verdict, rule), count in counts.items():
            self._meter.checked(verdict, rule, count)
            change = batch[places[rule]]
            _log.warning("change-odd", reason=rule, verdict=verdict, order_id=change.order_id, changes=count)
