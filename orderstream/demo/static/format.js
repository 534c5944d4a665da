/** Numbers and times as people read them; exact digits where a double would not hold them. */
import { decimal } from "/orderstream.js";

const QUANTITY = new Intl.NumberFormat("en-US", { maximumFractionDigits: 12 });
const PRICE = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD", maximumFractionDigits: 8 });
// What a list has room for; the order itself tells all digits.
const SHORT = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD", maximumFractionDigits: 2 });
const SMALL = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD", maximumFractionDigits: 5 });
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const EXACT = new Intl.DateTimeFormat("en-GB", {
    ...{ hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 },
});
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const AGO = new Intl.RelativeTimeFormat("en", { numeric: "always" });
const UNITS = [["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];

/** `row[field]` as a quantity; a dash where there is none. */
export const quantity = (row, field) => shown(QUANTITY, row, field);
export const price = (row, field) => shown(PRICE, row, field);
export const shortPrice = (row, field) => shown(Math.abs(row[field]) < 2 ? SMALL : SHORT, row, field);
export const dollars = (value) => PRICE.format(value);

function shown(format, row, field) {
    const digits = decimal(row, field);
    return digits === null ? "–" : format.format(digits);
}

/** "2 seconds ago"; a server's clock that is ahead of ours makes it "now". */
export function ago(at, now_ms = Date.now()) {
    const age_s = (now_ms - Date.parse(at)) / 1000;
    if (!(age_s >= 1)) return "now";
    const [unit, length_s] = UNITS.find(([, length]) => age_s >= length);
    return AGO.format(-Math.floor(age_s / length_s), unit);
}

export const clock = (at) => CLOCK.format(new Date(at));
/** With milliseconds. */
export const exactTime = (at) => EXACT.format(new Date(at));
export const day = (at) => DAY.format(new Date(at));
