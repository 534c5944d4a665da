/**
 * JSON whose numbers have more digits than a double holds.
 *
 * A number stays a number, so that a page can compare and draw it. Where printing it would not give back the digits
 * that were sent, they stand in `exact` beside it: `{"price": 0.12345678901234567}` is read as `{price:
 * 0.12345678901234568, exact: {price: "0.12345678901234567"}}`. A reviver's `context.source` would tell the same,
 * but not in every browser of the last years.
 */

// Below 16 digits a double gives back every decimal: most texts need no second look.
const SUSPECT = /\d[\d.]{15}/;
const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const MARK = "\u0000exact";

/** Throws SyntaxError. */
export function parseJson(text) {
    if (!SUSPECT.test(text)) return JSON.parse(text);
    const marked = text.replace(TOKEN, (token) => (isHeld(token) ? token : `{"\\u0000exact":"${token}"}`));
    return JSON.parse(marked, revive);
}

/** The digits of `row[field]` as they were sent, without an exponent; null where there is no number. */
export function decimal(row, field) {
    const value = row[field];
    if (typeof value !== "number") return null;
    return row.exact?.[field] ?? plain(String(value));
}

function isHeld(token) {
    if (token.startsWith('"')) return true;
    const digits = token.replace(/[eE].*|\D/g, "").replace(/^0+/, "");
    return digits.length < 16 || String(Number(token)) === token;
}

// `this` is the object that the value is in.
function revive(key, value) {
    const text = value?.[MARK];
    if (typeof text !== "string") return value;
    if (!Array.isArray(this)) (this.exact ??= {})[key] = text;
    return Number(text);
}

function plain(text) {
    const [, sign, whole, fraction = "", exponent] = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(text) ?? [];
    if (exponent === undefined) return text;
    const point = whole.length + Number(exponent);
    const digits = whole + fraction;
    if (point <= 0) return `${sign}0.${"0".repeat(-point)}${digits}`;
    return sign + digits.padEnd(point, "0");
}
