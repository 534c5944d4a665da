"""What a FIX message says of an order, in our words: its names, its terms and what happened.

Read by tags, not by the version at its beginning: gateways keep FIX 4.2's ExecTransType under a later version, and 4.1
has ExecType already. Numbers stay text, so that they are exact.
"""

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from orderstream.core.fix import words
from orderstream.core.fix.wire import Message
from orderstream.core.reasons import REASONS
from orderstream.errors import OrderstreamError

NEW, ASK, REPORT, REFUSAL = "new orders", "requests", "reports", "cancel rejects"
_TYPES = {"D": NEW, "F": ASK, "G": ASK, "8": REPORT, "9": REFUSAL}

_NUMBER = re.compile(r"[+-]?([0-9]{1,60}\.?[0-9]{0,60}|\.[0-9]{1,60})")
_SECOND = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})-([0-9]{2}):([0-9]{2}):([0-9]{2})")

# Roles of a party (452) that name whose order it is: client id, customer account, order origination firm.
_CLIENT_ROLES = ("3", "24", "13")
USER_MOST_CHARACTERS = 255
# What some write where they have no OrderID.
_NO_ORDER_ID = frozenset({"", "0", "NONE", "none", "N/A"})
_UNKNOWN_ORDER = "1"

# `103=6` and such -> our code.
_REASON_CODES = {field: code for code, reason in REASONS.items() for field in reason.fix}


class NotRead(OrderstreamError):
    """The message is to be set aside; the line says why."""


class PassedOver(OrderstreamError):
    """The message says nothing of any order; the line is the kind that it is counted as."""


class Terms(msgspec.Struct, frozen=True, omit_defaults=True):
    """The terms of an order that a message names; None is what it does not."""

    symbol: str | None = None
    asset_class: str | None = None
    order_type: str | None = None
    time_in_force: str | None = None
    quantity: str | None = None
    cash_amount: str | None = None
    price: str | None = None
    stop_price: str | None = None


class Said(msgspec.Struct, frozen=True):
    """One message about one order. `client` and `broker` are the ends of the session it went over, whichever way; times
    are RFC 3339. `kind` is NEW, ASK, REPORT or REFUSAL."""

    line: int
    kind: str
    client: str
    broker: str
    account: str
    user: str
    client_order_id: str
    original_client_order_id: str
    order_id: str
    side: str
    terms: Terms
    at: str | None
    # TransactTime, which no hop changes, where there is one (`is_timed`); else when it was sent first, or empty.
    first_sent: str
    is_timed: bool
    sequence: str
    exec_id: str = ""
    refers_to: str = ""
    exec_type: str | None = None
    status: str | None = None
    filled_quantity: str | None = None
    average_price: str | None = None
    remaining_quantity: str | None = None
    last_quantity: str | None = None
    last_price: str | None = None
    reason_code: str | None = None
    reason: str | None = None

    @property
    def day(self) -> str:
        return self.first_sent[:10]


class Users(msgspec.Struct, frozen=True):
    """Whose an order is: `fixed`, or else the first of `tags` that its first message has, or else its client."""

    fixed: str = ""
    tags: tuple[str, ...] = ("1",)


def read(message: Message, users: Users) -> Said:
    """Raises NotRead or PassedOver."""
    values = message.values
    msg_type = values.get("35", "")
    kind = _TYPES.get(msg_type)
    if kind is None:
        if msg_type in words.PASSED_OVER:
            raise PassedOver(words.PASSED_OVER[msg_type])
        raise NotRead(words.NOT_READ.get(msg_type, f"MsgType (35) {msg_type!r} is not one about orders"))
    if values.get("442") == "2":
        raise NotRead("it is about one leg (MultiLegReportingType 2), not about the order")
    from_client = kind in (NEW, ASK)
    sender, target = values.get("115") or values.get("49", ""), values.get("128") or values.get("56", "")
    client, broker = (sender, target) if from_client else (target, sender)
    transacted, sent = at_of(values.get("60")), at_of(values.get("52"))
    order_id = values.get("37", "")
    names: dict[str, Any] = {
        "line": message.line,
        "kind": kind,
        "client": client,
        "broker": broker,
        "account": values.get("1", ""),
        "user": _user(message, users, client),
        "client_order_id": values.get("11", ""),
        "original_client_order_id": values.get("41", ""),
        "order_id": "" if order_id in _NO_ORDER_ID else order_id,
        "side": _word(words.SIDES, values.get("54", "")),
        "at": transacted or sent,
        "first_sent": transacted or at_of(values.get("122")) or sent or "",
        "is_timed": transacted is not None,
        "sequence": values.get("34", ""),
    }
    if not (names["client_order_id"] or names["original_client_order_id"] or names["order_id"]):
        raise NotRead("it names no order: neither ClOrdID (11), OrigClOrdID (41) nor OrderID (37)")
    if kind == REPORT:
        return _report(names, values)
    if kind == REFUSAL:
        return _refusal(names, values)
    return Said(**names, terms=_terms(values) if kind == NEW else Terms())


def _report(names: dict[str, Any], values: dict[str, str]) -> Said:
    code, trans = values.get("150", ""), values.get("20", "")
    if trans == words.TRANS_STATUS or code == words.ORDER_STATUS:
        raise PassedOver("answers to status requests")
    filled, remaining = _number(values, "14"), _number(values, "151")
    last = _number(values, "32")
    traded = last is not None and float(last) != 0
    if trans == words.TRANS_CANCEL:
        exec_type: str | None = "trade_cancel"
    elif trans == words.TRANS_CORRECT:
        exec_type = "trade_correct"
    elif code:
        exec_type = _word(words.EXEC_TYPES, code)
    else:
        exec_type = "trade" if traded else None
    terms = _terms(values)
    status = _status(values, terms.quantity, filled)
    return Said(
        **names,
        terms=terms,
        exec_id=values.get("17", ""),
        refers_to=values.get("19", ""),
        exec_type=exec_type,
        status=status,
        filled_quantity=filled,
        average_price=None if filled is not None and not float(filled) else _number(values, "6"),
        remaining_quantity=remaining,
        last_quantity=last,
        last_price=_number(values, "31"),
        reason_code=_report_reason(values, exec_type),
        reason=values.get("58") or None,
    )


def _refusal(names: dict[str, Any], values: dict[str, str]) -> Said:
    # Of an order that is unknown the status says "rejected", which is no news of the order that we know.
    is_unknown = values.get("102") == _UNKNOWN_ORDER or values.get("37", "?") in _NO_ORDER_ID
    return Said(
        **names,
        terms=Terms(),
        status=None if is_unknown else _status(values, None, None),
        reason_code=_reason_code(values, "102"),
        reason=values.get("58") or None,
    )


def _report_reason(values: dict[str, str], exec_type: str | None) -> str | None:
    if exec_type == "rejected":
        return _reason_code(values, "103")
    # Some gateways send ExecRestatementReason with any report; it is about these.
    return _reason_code(values, "378") if exec_type in ("restated", "cancelled") else None


def _reason_code(values: dict[str, str], tag: str) -> str | None:
    code = values.get(tag)
    return _REASON_CODES.get(f"{tag}={code}", f"fix_{code}") if code else None


def _status(values: dict[str, str], quantity: str | None, filled: str | None) -> str:
    code = values.get("39", "")
    if code == words.REPLACED_STATUS:
        if filled is None or float(filled) == 0:
            return "submitted"
        return "filled" if quantity is not None and float(filled) >= float(quantity) else "partially_filled"
    if not code:
        raise NotRead("it has no OrdStatus (39)")
    return _word(words.STATUSES, code)


def _terms(values: dict[str, str]) -> Terms:
    order_type = _word(words.ORDER_TYPES, values["40"]) if "40" in values else None
    price = _number(values, "44")
    if price is not None and order_type in ("market", "stop") and float(price) == 0:
        price = None
    symbol = values.get("55", "")
    if symbol in ("", "[N/A]"):
        symbol = values.get("48", "")
    return Terms(
        symbol=symbol or None,
        asset_class=_asset_class(values),
        order_type=order_type,
        time_in_force=_word(words.TIMES_IN_FORCE, values["59"]) if "59" in values else None,
        quantity=_number(values, "38"),
        cash_amount=_number(values, "152"),
        price=price,
        stop_price=_number(values, "99"),
    )


def _asset_class(values: dict[str, str]) -> str | None:
    if "167" in values:
        return words.ASSET_CLASSES.get(values["167"], values["167"].lower())
    cfi = values.get("461", "")
    # ISO 10962: collective investment vehicles, of which exchange traded funds.
    if cfi.startswith("CE"):
        return "etf"
    return "mutual_fund" if cfi.startswith("CI") else None


def _user(message: Message, users: Users, client: str) -> str:
    values = message.values
    said = users.fixed or next((values[tag] for tag in users.tags if values.get(tag)), "")
    # ClientID, until FIX 4.2; then a party.
    said = said or values.get("109") or (_party(message.pairs) if "448" in values else "") or client
    if not said:
        raise NotRead("it says nothing of whose order it is; --user NAME would")
    if len(said) > USER_MOST_CHARACTERS:
        raise NotRead(f"the user it names has more than {USER_MOST_CHARACTERS} characters")
    return said


def _party(pairs: list[list[str]]) -> str:
    """PartyID of the party whose role is a client's."""
    party = ""
    found: dict[str, str] = {}
    for tag, value in pairs:
        if tag == "448":
            party = value
        elif tag == "452":
            found.setdefault(value, party)
    return next((found[role] for role in _CLIENT_ROLES if role in found), "")


def _word(table: dict[str, str], code: str) -> str:
    return table.get(code) or (f"fix_{code}" if code else "")


def _number(values: dict[str, str], tag: str) -> str | None:
    text = values.get(tag)
    if text is None or text == "":
        return None
    if _NUMBER.fullmatch(text) is None:
        raise NotRead(f"its field {tag} is no number: {text[:40]!r}")
    return text


def at_of(text: str | None) -> str | None:
    """RFC 3339 of a UTCTimestamp, to microseconds; None where it is none."""
    if text is None or (second := _second(text[:17])) is None:
        return None
    fraction = text[17:].removesuffix("Z")
    if fraction and (fraction[0] != "." or not fraction[1:].isdigit()):
        return None
    return f"{second}.{fraction[1:7]:0<6}Z"


@lru_cache(maxsize=64)
def _second(text: str) -> str | None:
    """The times of a log are mostly of the same seconds."""
    match = _SECOND.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups())
    try:
        # A leap second is the one before it.
        at = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        return None
    return f"{at:%Y-%m-%dT%H:%M:%S}"


def whole(said: Said) -> str | None:
    """OrderQty, or where a report leaves it out CumQty and LeavesQty, which are it while the order lives."""
    if said.terms.quantity is not None or said.remaining_quantity is None or said.status in words.ENDED:
        return said.terms.quantity
    return f"{Decimal(said.filled_quantity or 0) + Decimal(said.remaining_quantity):f}"
