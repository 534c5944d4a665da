"""The two halves of a step: what `take` or `share` gave, and what `number` is to write of it."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count, starmap

from orderstream.core.checker import Change
from orderstream.core.events import SequencedEvent
from orderstream.postgres.connections import Row
from orderstream.postgres.queries import query

PREPARE_STEPS = (
    f"prepare take (bigint, boolean) as {query('take')};"
    f"prepare share (bigint, bigint) as {query('share')};"
    f"prepare number (bigint, text, pg_snapshot, bigint, bigint[], bigint[], text[]) as {query('number')}"
)
NUMBER = (
    "execute number (%(checkpoint)s, %(epoch)s, %(snapshot)s, %(left_after)s, %(ids)s::bigint[], %(seqs)s::bigint[],"
    " %(checks)s::text[])"
)


def share_of(max_events: int) -> int:
    """What large transactions get of a step at least, and what else waits for longer than others. A quarter: so small
    ones pass, and a step with nothing else is short."""
    return -(-max_events // 4)


class Taken:
    """What is to be numbered, column by column: a batch has up to a thousand, and what is done to each of them in
    Python is done in C to all of a column. Of rows without a single event, `crowded` says whether there is anything to
    record all the same."""

    ids: Sequence[int]
    seqs: Sequence[int]
    _user_ids: Sequence[str]
    _names: Sequence[str]
    _bodies: Sequence[str]
    _written_at: Sequence[float]
    # Of each whether nothing is left of its user.
    _are_whole: Sequence[bool]

    def __init__(self, rows: Sequence[Row]) -> None:
        """As `take` and `share` give them."""
        step = rows[0]
        self._checkpoint, self._position, self._epoch, self._snapshot, self.crowded, self._left_after = step[:6]
        columns = list(zip(*rows[1:], strict=True))[6:] or [()] * (len(step) - 6)
        self.ids, xids, self._user_ids, order_ids, self._names, self._bodies = columns[:6]
        self._written_at, self._are_whole, heads = columns[6:]
        self._changes = list(map(Change, xids, self._user_ids, order_ids, self._names, self._bodies))
        self.seqs = _next(self._user_ids, heads)

    def changes(self, *, whole: bool) -> tuple[Sequence[int], Sequence[Change]]:
        """Places, and what changed there: those of users of whom nothing is left, or the rest."""
        if whole and all(self._are_whole):
            return range(len(self._changes)), self._changes
        places = [place for place, is_whole in enumerate(self._are_whole) if is_whole == whole]
        return places, [self._changes[place] for place in places]

    def parameters(self, checked: Mapping[int, str]) -> dict[str, object]:
        """Of NUMBER; `checked` is place -> JSON."""
        return {
            "checkpoint": self._checkpoint,
            "epoch": self._epoch,
            "snapshot": self._snapshot,
            "left_after": self._left_after,
            "ids": _array(self.ids),
            "seqs": _array(self.seqs),
            # A shorter array is as if it went on with nulls.
            "checks": [checked.get(place) for place in range(max(checked, default=-1) + 1)],
        }

    def numbered(self, checked: Mapping[int, str]) -> list[SequencedEvent]:
        """What `number` wrote of it, in the order of the outbox."""
        bodies = self._bodies
        if checked:
            bodies = [_body(body, checked.get(place)) for place, body in enumerate(bodies)]
        epochs = [self._epoch] * len(self.ids)
        columns = self._user_ids, epochs, self.seqs, self._names, bodies, self._written_at
        return list(starmap(SequencedEvent, zip(count(self._position + 1), *columns, strict=False)))


def _next(user_ids: Sequence[str], heads: Sequence[int | None]) -> list[int]:
    """The number of each; `heads` are their users' newest, None of whoever has none yet."""
    newest: dict[str, int] = {}
    seqs = []
    for user_id, head in zip(user_ids, heads, strict=True):
        seq = newest[user_id] = newest.get(user_id, head or 0) + 1
        seqs.append(seq)
    return seqs


def _body(body: str, check: str | None) -> str:
    """As `number` writes it."""
    return body if check is None else f'{body[:-1]},"check":{check}}}'


def _array(numbers: Iterable[int]) -> str:
    """As one text: of a list, the driver would quote one by one."""
    return f"{{{str(list(numbers))[1:-1]}}}"
