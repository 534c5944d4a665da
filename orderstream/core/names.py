"""What an order was called before: each accepted replace or cancel request gives it another client_order_id, which says
which one it had (FIX ClOrdID, OrigClOrdID; matrices D.1 and D.2).

Only a report about a request names both, and the next fill names one; so the past of a name is in an order's events.
"""

from collections.abc import Mapping

# A name may be given again; a circle of them ends here.
_MAX_NAMES = 100


def lineage(name: str | None, originals: Mapping[str, str]) -> list[str]:
    """The names up to this one, the first one first, as far as is known: `originals` is name -> the one before."""
    names: list[str] = []
    while name is not None and name not in names and len(names) < _MAX_NAMES:
        names.append(name)
        name = originals.get(name)
    return names[::-1]
