/**
 * The JSON of the protocol, looked at before it is used.
 *
 * Fields that are not named here are left alone, and so are events: what a later server adds must not break an
 * installed client. A field that cannot be what it says is null; only without its id and status an order is none.
 */
import { parseJson } from "./numbers.js";

/** Something that the protocol promised differently; the message says what. */
export class Malformed extends Error {}

const CURSOR = /^([0-9a-f]{8})\.(0|[1-9][0-9]{0,18})$/;
const NUMBERS = [
    ...["quantity", "cash_amount", "price", "stop_price", "filled_quantity", "remaining_quantity"],
    "average_price",
];
const TEXTS = [
    ...["client_order_id", "original_client_order_id", "symbol", "asset_class", "side", "order_type"],
    ...["time_in_force", "platform", "reason_code", "reason", "created_at", "updated_at"],
];
const EXECUTION_TEXTS = ["order_id", "symbol", "side", "kind", "refers_to", "executed_at"];

/** An object out of JSON. */
export function decode(text) {
    try {
        return object(parseJson(text), "the payload");
    } catch (error) {
        throw new Malformed(error.message);
    }
}

/**
 * A place in the numbered events of one user: `{text, epoch, seq}`. Sent back as it came; read only to notice a hole.
 * `seq` is a bigint, since it may be larger than a double counts.
 */
export function cursor(text) {
    const match = typeof text === "string" ? CURSOR.exec(text) : null;
    if (match === null) throw new Malformed("not a cursor");
    return { text, epoch: match[1], seq: BigInt(match[2]) };
}

/** Whether `head` knows of events after `known`; another epoch always does. */
export function isBehind(known, head) {
    return known.epoch !== head.epoch || known.seq < head.seq;
}

/** Whether `next` is the very next event. */
export function precedes(known, next) {
    return known.epoch === next.epoch && known.seq + 1n === next.seq;
}

export function order(row) {
    const { id, status, version } = object(row, "an order");
    if (typeof id !== "string" || typeof status !== "string") throw new Malformed("an order without id or status");
    return { ...cleaned(row, NUMBERS, TEXTS), version: Number.isInteger(version) ? version : 0 };
}

export function execution(row) {
    if (typeof object(row, "an execution").id !== "string") throw new Malformed("an execution without id");
    return cleaned(row, ["quantity", "price"], EXECUTION_TEXTS);
}

export function orders(rows) {
    if (!Array.isArray(rows)) throw new Malformed("orders that are no list");
    return rows.map(order);
}

/** Why a change is odd; null where nothing is said, or something else than we know. */
export function check(value) {
    return ["verdict", "rule", "text"].every((name) => typeof value?.[name] === "string") ? value : null;
}

/** `value`, which must be a string. */
export function text(value, what) {
    if (typeof value !== "string") throw new Malformed(`no ${what}`);
    return value;
}

function cleaned(row, numbers, texts) {
    const clean = { ...row };
    for (const field of numbers) if (typeof row[field] !== "number") clean[field] = null;
    for (const field of texts) if (typeof row[field] !== "string") clean[field] = null;
    return clean;
}

/** `value`, which must be an object. */
export function object(value, what) {
    if (typeof value !== "object" || value === null || Array.isArray(value))
        throw new Malformed(`${what} is no object`);
    return value;
}
