"""Names that stay: the same message gives the same ones in every run, so a repeat finds what it made.

An order has several names, since logs do: its ClOrdIDs within their session, its OrderID, and what a report about it
says wherever on its way it was written down. All are UUIDs (RFC 4122, version 5) of what they are made of.
"""

from hashlib import sha1

import msgspec

from orderstream.core.fix.reports import ASK, NEW, REFUSAL, REPORT, Said

_NAMESPACE = bytes.fromhex("6f7264737472656d8f1e4a2fb3c95d07")
_VARIANTS = "89ab"


def uuid_of(*parts: str) -> str:
    """UUID version 5 of the parts in this order."""
    text = "\x1f".join(parts)
    found = sha1(_NAMESPACE + text.encode(), usedforsecurity=False).hexdigest()
    variant = _VARIANTS[int(found[16], 16) & 3]
    return f"{found[:8]}-{found[8:12]}-5{found[13:16]}-{variant}{found[17:20]}-{found[20:32]}"


class Names(msgspec.Struct, frozen=True):
    """What one message may know its order by, the surest first, and the message's own id.

    `own` and `plain` are of its ClOrdID, with the account and without; `old` and `old_plain` of the one it replaces or
    asks about; `at_broker` of the OrderID. `seen` is the report as every hop of its way shows it. None where the
    message lacks the field.
    """

    message: str
    own: str | None
    plain: str | None
    old: str | None
    old_plain: str | None
    at_broker: str | None
    seen: str | None

    def all(self) -> list[str]:
        found = (self.message, self.own, self.plain, self.old, self.old_plain, self.at_broker, self.seen)
        return [name for name in found if name is not None]


def names_of(said: Said, source: str) -> Names:
    """`source` keeps apart the logs of those who use the same names."""
    session = (source, said.client, said.broker)
    seen = _seen(said, session) if said.kind == REPORT else None
    has_account = said.account != ""

    def named(client_order_id: str, account: str) -> str | None:
        return uuid_of("name", *session, account, client_order_id) if client_order_id else None

    return Names(
        message=_message(said, session, seen),
        own=named(said.client_order_id, said.account) if has_account else None,
        plain=named(said.client_order_id, ""),
        old=named(said.original_client_order_id, said.account) if has_account else None,
        old_plain=named(said.original_client_order_id, ""),
        at_broker=uuid_of("order id", *session, said.order_id, said.side) if said.order_id else None,
        seen=seen,
    )


def _seen(said: Said, session: tuple[str, ...]) -> str:
    """The comp ids change from hop to hop, and so may times of sending, symbols and currencies; these do not."""
    source = session[0]
    if not said.exec_id or said.exec_id == "0":
        # Without ExecID (17) nothing but its place in the session tells two reports apart.
        witness = (*session[1:], said.sequence, said.first_sent)
    elif said.is_timed:
        witness = (said.first_sent,)
    elif said.filled_quantity and float(said.filled_quantity):
        witness = (said.day, _plain(said.average_price))
    else:
        witness = (*session[1:], said.day)
    return uuid_of(
        "report", source, said.order_id, said.client_order_id, said.side, said.exec_id, *witness,
        _plain(said.filled_quantity), _plain(said.terms.quantity),
    )  # fmt: skip


def _message(said: Said, session: tuple[str, ...], seen: str | None) -> str:
    ids = (said.client_order_id, said.original_client_order_id)
    if said.kind == REPORT:
        assert seen is not None
        last = _plain(said.last_quantity)
        return uuid_of("said", seen, said.exec_type or "", said.status or "", last, said.refers_to)
    if said.kind == REFUSAL:
        # Its time is not always said, and one request is refused once.
        return uuid_of("refusal", *session, *ids, said.order_id, said.status or "", said.reason_code or "", said.day)
    assert said.kind in (NEW, ASK)
    return uuid_of(said.kind, *session, *ids, said.first_sent)


def _plain(number: str | None) -> str:
    """The same for 100 and 100.00."""
    if number is None:
        return ""
    return number.rstrip("0").rstrip(".") if "." in number else number
