/**
 * The orders as we know them, and the cursor that says how much that is; both transports and other tabs write here.
 *
 * An event is applied when its seq is the next one, skipped when it is not above the cursor (the other transport
 * brought it, or a replay did), and a hole otherwise: then nothing is applied and somebody must fetch again. An
 * order event that a snapshot already contained moves the cursor but is not told, which its `version` shows: the
 * cursor of a snapshot is read before its orders are.
 */
import { check, cursor, execution, isBehind, object, order, precedes, text } from "./wire.js";

/** An event is missing between our cursor and what came. */
export class Hole extends Error {}

// A snapshot older than what we were told brings back only the last few executions: this is plenty.
const EXECUTIONS_REMEMBERED = 1000;

export class Book {
    #executions = new Set();

    constructor() {
        /** order id -> order; the same Map for ever. */
        this.orders = new Map();
        this.cursor = null;
        this.malformed = 0;
        /** Told everything that moved the cursor, so that other tabs can do the same. */
        this.onMoved = () => {};
    }

    /** The next connection starts from a snapshot; the orders stay until it is here. */
    forget() {
        this.cursor = null;
    }

    /** What is to be told; null where it says nothing new: the other transport was faster, or this server lags. */
    snapshot(orders, at, reset = null) {
        const known = this.cursor;
        if (reset === null && known !== null && known.epoch === at.epoch && known.seq >= at.seq) return null;
        this.orders.clear();
        for (const one of orders) this.orders.set(one.id, one);
        this.cursor = at;
        this.onMoved({ snapshot: { orders, cursor: at.text, reset } });
        return { kind: "snapshot", reset };
    }

    /** What is to be told of a numbered event, or null. Throws Hole and Malformed; the book is then as it was. */
    apply(name, id, payload) {
        const at = cursor(id);
        if (this.cursor === null) throw new Hole();
        if (!isBehind(this.cursor, at)) return null;
        if (!precedes(this.cursor, at)) throw new Hole();
        const told = this.#event(name, payload);
        this.cursor = at;
        this.onMoved({ event: { name, id, payload } });
        return told;
    }

    #event(name, payload) {
        if (name === "order") return this.#order(object(payload, name));
        if (name === "execution") return this.#execution(object(payload, name));
        if (name === "order-removed") return this.#removal(object(payload, name));
        // Of a later protocol: not ours to understand, but it has its number.
        return null;
    }

    #order({ order: row, exec_type = null, previous_status = null, written_at = null, check: odd }) {
        const next = order(row);
        const previous = this.orders.get(next.id) ?? null;
        // 0 is an order without a version: nothing can be said of it, so it is taken.
        if (previous !== null && next.version > 0 && next.version <= previous.version) return null;
        this.orders.set(next.id, next);
        const change = { order: next, previous, exec_type, previous_status, written_at, check: check(odd) };
        return { kind: "order", change };
    }

    #execution({ execution: row, check: odd }) {
        const report = execution(row);
        if (this.#executions.has(report.id)) return null;
        this.#executions.add(report.id);
        if (this.#executions.size > EXECUTIONS_REMEMBERED)
            this.#executions.delete(this.#executions.values().next().value);
        return { kind: "execution", execution: { ...report, check: check(odd) } };
    }

    #removal({ order_id }) {
        const id = text(order_id, "order_id");
        const previous = this.orders.get(id) ?? null;
        this.orders.delete(id);
        return { kind: "removed", id, previous };
    }
}
