"""FIX codes in our words: of FIX 4.0 to 5.0 SP2, whose codes never change their meaning, only grow in number.

A code that is not here is passed on as `fix_<code>`: vocabularies are open, and what a broker says is told.
"""

# Of OrdStatus (39) and ExecType (150) alike.
_STATES = {
    "3": "done_for_day",
    "4": "cancelled",
    "6": "pending_cancel",
    "7": "stopped",
    "8": "rejected",
    "9": "suspended",
    "A": "pending_new",
    "B": "calculated",
    "C": "expired",
    "E": "pending_replace",
}

# OrdStatus. Replaced (5), until FIX 4.2, is no state of its own: what it is follows from the quantities.
STATUSES = _STATES | {"0": "submitted", "1": "partially_filled", "2": "filled", "D": "accepted_for_bidding"}
REPLACED_STATUS = "5"

# An order in one of these has ended, and its name may be another's on a later day.
ENDED = frozenset({"filled", "cancelled", "rejected", "expired", "calculated"})

# ExecType. Partial fill (1) and fill (2), until FIX 4.2, are what is a trade since.
EXEC_TYPES = _STATES | {
    "0": "new",
    "1": "trade",
    "2": "trade",
    "5": "replaced",
    "D": "restated",
    "F": "trade",
    "G": "trade_correct",
    "H": "trade_cancel",
    "J": "trade_in_clearing_hold",
    "K": "trade_released_to_clearing",
    "L": "triggered",
    "M": "locked",
    "N": "released",
}
ORDER_STATUS = "I"

# ExecTransType (20), until FIX 4.2: whether the report is new, takes one back, puts one right or only answers.
TRANS_CANCEL, TRANS_CORRECT, TRANS_STATUS = "1", "2", "3"

# ExecType of ours -> kind of the execution that the report stands for.
KINDS = {"trade": "trade", "trade_cancel": "bust", "trade_correct": "correction"}

# Side (54). A short sale is a sale.
SIDES = {
    "1": "buy",
    "2": "sell",
    "3": "buy",
    "4": "sell",
    "5": "sell",
    "6": "sell",
    "7": "undisclosed",
    "8": "cross",
    "9": "cross_short",
}

# OrdType (40).
ORDER_TYPES = {
    "1": "market",
    "2": "limit",
    "3": "stop",
    "4": "stop_limit",
    "5": "market_on_close",
    "7": "limit_or_better",
    "B": "limit_on_close",
    "D": "previously_quoted",
    "E": "previously_indicated",
    "J": "market_if_touched",
    "K": "market_with_leftover_as_limit",
    "P": "pegged",
}

# TimeInForce (59); absent, it is day.
TIMES_IN_FORCE = {
    "0": "day",
    "1": "gtc",
    "2": "at_the_opening",
    "3": "ioc",
    "4": "fok",
    "5": "gtx",
    "6": "gtd",
    "7": "at_the_close",
}

# SecurityType (167) and Product (460).
ASSET_CLASSES = {
    "CS": "stock",
    "PS": "stock",
    "ETF": "etf",
    "MF": "mutual_fund",
    "CRYPTO": "crypto",
    "FUT": "future",
    "OPT": "option",
    "FOR": "fx",
    "FXSPOT": "fx",
    "CORP": "bond",
    "TBOND": "bond",
}

# MsgType (35) of what goes on between two engines, or only asks: nothing happens to an order by it.
PASSED_OVER = {
    "0": "session",
    "1": "session",
    "2": "session",
    "3": "session",
    "4": "session",
    "5": "session",
    "A": "session",
    "H": "status requests",
    "af": "status requests",
}

# What is about orders, and not read.
NOT_READ = {
    "j": "a business reject (j) says nothing of an order's state",
    "Q": "a don't-know-trade (Q) changes no order until its counterparty answers",
    "E": "lists of orders (E) are not read",
    "s": "cross orders (s) are not read",
    "t": "cross orders (t) are not read",
    "u": "cross orders (u) are not read",
    "q": "mass cancels (q) are not read; the reports they lead to are",
    "r": "mass cancels (r) are not read; the reports they lead to are",
    "AB": "multileg orders (AB) are not read",
    "AC": "multileg orders (AC) are not read",
}
