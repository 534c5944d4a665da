/** What the vocabulary of orders is called on this page; what it does not know is shown as it is. */
import { REASONS } from "/orderstream.js";

const STATUSES = {
    pending_new: "Sending",
    submitted: "Working",
    partially_filled: "Partly filled",
    filled: "Filled",
    done_for_day: "Done today",
    pending_cancel: "Cancelling",
    cancelled: "Cancelled",
    pending_replace: "Changing",
    stopped: "Stopped",
    suspended: "Suspended",
    calculated: "Calculated",
    rejected: "Rejected",
    expired: "Expired",
};
export const ENDED = new Set(["filled", "cancelled", "rejected", "expired"]);
export const CANCELLABLE = new Set(["submitted", "partially_filled"]);

// What "2 seconds ago" is about.
const LATEST = {
    pending_new: "sent",
    submitted: "accepted",
    partially_filled: "traded",
    filled: "filled",
    pending_cancel: "asked",
    cancelled: "cancelled",
    pending_replace: "asked",
    rejected: "rejected",
    expired: "expired",
};
const CLASSES = { stock: "Stock", etf: "ETF", mutual_fund: "Mutual fund", crypto: "Crypto" };
const SIDES = { buy: "Buy", sell: "Sell" };
const TYPES = { market: "Market", limit: "Limit", stop: "Stop", stop_limit: "Stop limit" };
const TIMES = { day: "Today", gtc: "Until cancelled", ioc: "At once, or not at all", fok: "Whole and at once, or not at all" };
const PLATFORMS = { mobile: "Phone or tablet", web: "Computer", fix: "FIX", other: "Another program" };

const HAPPENED = {
    pending_new: "Sent",
    new: "Accepted by the exchange",
    trade: "Traded",
    trade_cancel: "A trade was undone",
    trade_correct: "A trade was corrected",
    pending_cancel: "Asked to cancel",
    cancelled: "Cancelled",
    pending_replace: "Asked to change",
    replaced: "Changed",
    rejected: "Rejected",
    expired: "Expired",
    restated: "Updated",
    done_for_day: "Done today",
};

const known = (words) => (word) => words[word] ?? plain(word);
export const status = known(STATUSES);
export const latest = (word) => LATEST[word] ?? "updated";
export const assetClass = known(CLASSES);
export const side = known(SIDES);
export const orderType = known(TYPES);
export const timeInForce = known(TIMES);
export const platform = known(PLATFORMS);
export const happened = known(HAPPENED);
export const statuses = Object.keys(STATUSES);
export const assetClasses = Object.keys(CLASSES);

/** `[headline, detail]` of why an order ended without being filled; null where there is nothing to say. */
export function reason({ status: word, reason_code: code, reason: detail }) {
    if (!ENDED.has(word) || (!code && !detail)) return null;
    const headline = REASONS[code] ?? (code ? `${plain(code)}.` : "No reason was given.");
    return [headline, detail && detail !== headline ? detail : null];
}

function plain(word) {
    const text = String(word ?? "unknown").replaceAll("_", " ");
    return text[0].toUpperCase() + text.slice(1);
}
