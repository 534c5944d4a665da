/**
 * What a connection says, turned into what the feed tells and what the connection machine must know.
 *
 * Pure. Both readers are generators of `{told}` and `{happening}`, so that what came before a hole or a malformed
 * event is still told; they throw Hole and Malformed.
 */
import { Hole } from "./book.js";
import {
    Behind,
    CaughtUp,
    Dismissed,
    Expiring,
    PollAnswered,
    Refused,
    StreamLeft,
    StreamLive,
    StreamProved,
} from "./happenings.js";
import { Malformed, cursor, decode, isBehind, object, orders, text } from "./wire.js";

// Ten times what a poll's answer may hold; nobody has as many orders open.
const SNAPSHOT_ORDERS = 100_000;
const NUMBERED = new Set(["order", "execution", "order-removed"]);

/** One stream's reader: a snapshot that the connection did not finish is gone with it. */
export class StreamReader {
    #book;
    #renewable;
    #cameLive;
    #parts = [];
    #reset = null;
    #head = null;
    #replayed = false;
    #replaying = true;
    #live = false;

    /** `cameLive` is called with the cursor of each event that was applied and was no part of a replay. */
    constructor(book, renewable, cameLive = () => {}) {
        this.#book = book;
        this.#renewable = renewable;
        this.#cameLive = cameLive;
    }

    *read({ name, id, payload }) {
        if (name === "snapshot") this.#collect(decode(payload));
        else if (name === "snapshot-end") yield* this.#finish(decode(payload));
        else if (name === "reset") this.#begin(decode(payload));
        else if (name === "live") yield* this.#goLive(decode(payload));
        else if (name === "heartbeat") yield* this.#beat(decode(payload));
        else if (name === "auth-expiring") yield { happening: Expiring() };
        else if (name === "goaway") yield { happening: this.#leave(decode(payload)) };
        else if (id !== null || NUMBERED.has(name)) yield* this.#numbered(name, id, payload);
    }

    #begin({ reason }) {
        this.#reset = typeof reason === "string" ? reason : "unspecified";
        this.#parts = [];
        this.#replaying = true;
    }

    #collect(part) {
        this.#parts.push(...orders(part.orders));
        if (this.#parts.length > SNAPSHOT_ORDERS)
            throw new Malformed(`a snapshot of more than ${SNAPSHOT_ORDERS} orders`);
    }

    *#finish(end) {
        if (end.orders !== this.#parts.length) {
            throw new Malformed(`a snapshot of ${end.orders} orders came with ${this.#parts.length}`);
        }
        const told = this.#book.snapshot(this.#parts, cursor(end.cursor), this.#reset);
        this.#parts = [];
        this.#reset = null;
        if (told !== null) yield { told };
        yield* this.#progress();
    }

    *#numbered(name, id, payload) {
        const known = this.#book.cursor;
        const told = this.#book.apply(name, id, NUMBERED.has(name) ? decode(payload) : null);
        if (!this.#replaying && this.#book.cursor !== known) this.#cameLive(this.#book.cursor);
        if (told !== null) yield { told };
        yield* this.#progress();
    }

    *#goLive(payload) {
        this.#replayed = true;
        this.#replaying = false;
        yield* this.#compare(payload);
    }

    *#beat(payload) {
        yield* this.#compare(payload);
        if (this.#live) yield { happening: StreamProved() };
    }

    *#compare(payload) {
        const head = cursor(payload.head);
        if (this.#book.cursor === null) {
            // A snapshot is on its way; its end will tell whether it reaches so far.
            this.#head = head;
        } else if (isBehind(this.#book.cursor, head)) {
            if (this.#head === null) yield { happening: Behind() };
            this.#head = head;
        }
        yield* this.#progress();
    }

    *#progress() {
        const known = this.#book.cursor;
        if (known === null || (this.#head !== null && isBehind(known, this.#head))) return;
        if (this.#head !== null) {
            this.#head = null;
            yield { happening: CaughtUp() };
        }
        if (this.#replayed && !this.#live) {
            this.#live = true;
            yield { happening: StreamLive() };
        }
    }

    #leave({ reason = "unspecified", reconnect = true, after_ms = 0 }) {
        const after_s = typeof after_ms === "number" ? Math.max(0, after_ms / 1000) : 0;
        if (!reconnect) return Dismissed(text(reason, "reason"));
        if (reason === "auth-expired") return Refused(this.#renewable, reason, after_s);
        return StreamLeft(text(reason, "reason"), after_s);
    }
}

/** The reader of polls that follow each other without a loss: what is new since a whole answer came live. */
export class PollReader {
    #book;
    #cameLive;
    #replaying = true;

    /** `cameLive` is called with the cursor of the newest of those, once it was applied. */
    constructor(book, cameLive = () => {}) {
        this.#book = book;
        this.#cameLive = cameLive;
    }

    /** A poll was answered that nothing is new. */
    caughtUp() {
        this.#replaying = false;
    }

    /** Of the body of a poll's 200; `held` tells whether the server waited before it answered. Ends with PollAnswered. */
    *read({ body, held }) {
        const answer = decode(body);
        const at = cursor(answer.cursor);
        const more = answer.more === true;
        let said = more;
        for (const told of this.#answered(answer, at)) {
            said = true;
            yield { told };
        }
        if (!more && (this.#book.cursor === null || isBehind(this.#book.cursor, at))) throw new Hole();
        this.#replaying = more;
        yield { happening: PollAnswered(said || held) };
    }

    *#answered(answer, at) {
        const [book, events = []] = [this.#book, answer.events];
        if (answer.orders !== undefined) {
            const told = book.snapshot(orders(answer.orders), at, answer.reset ?? null);
            if (told !== null) yield told;
        }
        if (!Array.isArray(events)) throw new Malformed("events that are no list");
        for (const polled of events) {
            const { event, id, data: payload } = object(polled, "an event");
            const known = book.cursor;
            const told = book.apply(event, id, payload);
            if (polled === events.at(-1) && !this.#replaying && book.cursor !== known) this.#cameLive(book.cursor);
            if (told !== null) yield told;
        }
    }
}
