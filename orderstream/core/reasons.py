"""Why an order was refused, cancelled or ended, in words for people: one table of `reason_code`, by the code.

An order service may write any code, and its own words in `reason`, which count before these. Both are streamed as they
are; who shows an order looks the sentence up where there is a known code and no words (`why`).

Base: FIX 5.0 SP2 OrdRejReason (103), CxlRejReason (102) and ExecRestatementReason (378), whose codes are beside each;
the last ones are what a market without FIX needs. The client for pages has the same table (web/static/orderstream/
reasons.js), held against this one by a test.
"""

from typing import NamedTuple


class Reason(NamedTuple):
    """`fix`: tag=value of what it stands for, if anything."""

    text: str
    fix: tuple[str, ...] = ()


REASONS: dict[str, Reason] = {
    # Why an order, or a request about one, was refused.
    "unknown_symbol": Reason("Nothing of that name is traded here.", ("103=1",)),
    "exchange_closed": Reason("The exchange is closed.", ("103=2",)),
    "exceeds_limit": Reason("It is larger than what is allowed.", ("103=3",)),
    "too_late": Reason("It came too late.", ("103=4",)),
    "unknown_order": Reason("There is no such order.", ("103=5", "102=1")),
    "duplicate_order": Reason("It had come before.", ("103=6",)),
    "duplicate_of_a_verbal_order": Reason("It had been placed by word of mouth before.", ("103=7",)),
    "stale_order": Reason("It was too old when it came.", ("103=8",)),
    "trade_along_required": Reason("It may only be traded along with another.", ("103=9",)),
    "invalid_investor_id": Reason("The investor is not known.", ("103=10",)),
    "unsupported_characteristic": Reason("Something that it asks for cannot be done.", ("103=11",)),
    "surveillance": Reason("It was held back by surveillance.", ("103=12",)),
    "incorrect_quantity": Reason("The quantity cannot be traded.", ("103=13",)),
    "incorrect_allocated_quantity": Reason("The quantities it is shared out in do not add up.", ("103=14",)),
    "unknown_account": Reason("The account is not known.", ("103=15",)),
    "price_exceeds_band": Reason("The price is too far from the market's.", ("103=16", "102=8")),
    "invalid_price_increment": Reason("The price lies between the steps that are traded.", ("103=18", "102=18")),
    "too_late_to_cancel": Reason("It was too late to cancel or change it.", ("102=0",)),
    "already_pending": Reason("Another request about it was under way.", ("102=3",)),
    "mass_cancel_failed": Reason("The orders could not all be cancelled.", ("102=4",)),
    "not_the_last_request": Reason("It had been changed meanwhile.", ("102=5",)),
    "duplicate_request": Reason("The request had come before.", ("102=6",)),
    "price_exceeds_current": Reason("The price is beyond the current one.", ("102=7",)),
    # Why an order was cancelled, ended or changed by others.
    "corporate_action": Reason("The company did something that changes its shares.", ("378=0",)),
    "renewed": Reason("It goes on for another day.", ("378=1",)),
    "verbal_change": Reason("It was agreed by word of mouth.", ("378=2",)),
    "repriced": Reason("Its price was moved.", ("378=3",)),
    "broker_option": Reason("The broker or the exchange decided so.", ("103=0", "102=2", "378=4")),
    "partial_decline": Reason("A part of it was declined.", ("378=5",)),
    "trading_halt": Reason("Trading was halted.", ("378=6",)),
    "system_failure": Reason("A system failed.", ("378=7",)),
    "market_option": Reason("The market decided so.", ("378=8",)),
    "cancelled_not_best": Reason("It was no longer the best price.", ("378=9",)),
    "warehouse_recap": Reason("It was carried over.", ("378=10",)),
    "peg_refresh": Reason("Its price follows another, which moved.", ("378=11",)),
    "other": Reason("For another reason.", ("103=99", "102=99", "378=99")),
    # What has no code in FIX.
    "unsupported_side": Reason("It has to be a buy or a sell."),
    "unsupported_order_type": Reason("This cannot be traded with that type of order."),
    "unsupported_time_in_force": Reason("This cannot be traded for that length of time."),
    "bad_quantity": Reason("The quantity cannot be traded."),
    "bad_price": Reason("The price cannot be traded."),
    "price_out_of_range": Reason("The price was too far from the market's."),
    "insufficient_buying_power": Reason("There was not enough money for it."),
    "market_closed": Reason("The market was closed."),
    "cancelled_by_user": Reason("You asked for it to be cancelled."),
    "day_ended": Reason("The trading day was over."),
    "gtc_ended": Reason("It had waited for as long as it may."),
    "not_filled_at_once": Reason("Nobody traded at your price at that moment."),
    "not_filled_whole": Reason("The whole quantity could not be had at once."),
}


def why(reason_code: str | None, reason: str | None) -> str | None:
    """What to show: the order service's own words, else the sentence of a known code, else nothing."""
    known = REASONS.get(reason_code or "")
    return reason or (known.text if known else None)
