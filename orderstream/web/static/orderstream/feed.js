/**
 * `orderstream(url, {token})`: a user's orders, whatever the network does, and whichever tab has the connection.
 *
 * What is known (the book) belongs to the tab and outlives connections; how it is heard belongs to `line`, in the
 * one tab that leads, and to `tabs` in the others.
 */
import { Acks } from "./acks.js";
import { Batches } from "./batches.js";
import { Book, Hole } from "./book.js";
import { Credential } from "./credential.js";
import { State } from "./happenings.js";
import { LIMITS } from "./limits.js";
import { Line } from "./line.js";
import { Tabs } from "./tabs.js";
import { cursor } from "./wire.js";

// Tabs with another understanding of each other's messages must not hear them.
const TABS_VERSION = 1;
const NOT_CONNECTED = {
    state: State.OFFLINE,
    transport: null,
    since_at: null,
    cause: null,
    retry_at: null,
    every_s: null,
};

export class Feed {
    #url;
    #credential;
    #limits;
    #around;
    #share;
    #book = new Book();
    #acks;
    #batches;
    #listeners = new Map();
    #connection;
    #line = null;
    #tabs = null;
    #unwatch;
    #closed = false;

    /** `around` as in `surroundings`. */
    constructor(url, options, around) {
        this.#url = url.replace(/\/+$/, "");
        this.#around = around;
        this.#limits = { ...LIMITS, ...options.limits };
        this.#credential = new Credential(options.token, this.#limits, around);
        this.#acks = new Acks(this.#limits, around);
        this.#share = options.share;
        this.#book.cursor = options.cursor == null ? null : cursor(options.cursor);
        this.#book.onMoved = (moved) => this.#tabs?.tell(moved);
        this.#batches = new Batches((batch) => this.#emit("change", batch), this.#limits, around.onFrame);
        this.#connection = { ...NOT_CONNECTED, state: State.CONNECTING, since_at: this.#now() };
        this.#unwatch = around.watch((certain) => this.#wake(certain), this.#limits.drift_s);
        // Not at once: whoever called has listeners to add.
        queueMicrotask(() => this.#begin());
    }

    /** order id -> order, as far as we know; the same Map for ever. */
    get orders() {
        return this.#book.orders;
    }

    /** To continue from, on another page; null before the first snapshot. */
    get cursor() {
        return this.#book.cursor?.text ?? null;
    }

    get connection() {
        return this.#connection;
    }

    /** Events that could not be understood; each was repaired by a snapshot. */
    get malformed() {
        return this.#book.malformed;
    }

    /** Calls `listener` for `change`, `connection` or `problem`; returns a function that ends it. */
    on(name, listener) {
        const listeners = this.#listeners.get(name) ?? new Set();
        this.#listeners.set(name, listeners.add(listener));
        return () => listeners.delete(listener);
    }

    /** What waits to be tried again is tried now. */
    reconnect() {
        this.#wake(this.#connection.state !== State.LIVE);
    }

    /** Ends it for this tab; another one takes over the connection. */
    close() {
        if (this.#closed) return;
        this.#closed = true;
        this.#unwatch();
        this.#batches.drop();
        this.#line?.close();
        this.#tabs?.leave();
        if (this.#connection.state !== State.SIGNED_OUT)
            this.#connect({ ...NOT_CONNECTED, since_at: this.#now(), cause: "closed" });
    }

    async #begin() {
        const name = await this.#sharedName();
        if (this.#closed) return;
        if (name === null) return this.#lead();
        this.#tabs = new Tabs(
            name,
            { limits: this.#limits, around: this.#around },
            {
                lead: () => this.#lead(),
                yieldLead: () => this.#yieldLead(),
                take: (message) => this.#take(message),
                state: () => this.#state(),
                isStruggling: () => ![State.LIVE, State.SIGNED_OUT].includes(this.#connection.state),
                wake: () => this.#line?.wake(false),
            },
        );
        this.#tabs.join();
    }

    // Only tabs of which it is known that they follow the same user. Where a JWT cannot be had now, nobody knows.
    async #sharedName() {
        if (this.#share === false || this.#around.locks === null) return null;
        const user = this.#share ?? (await this.#credential.user().catch(() => null));
        return user === null ? null : `orderstream ${TABS_VERSION} ${this.#url} ${user}`;
    }

    #lead() {
        const [url, credential, book, acks, limits, around] = [
            this.#url,
            this.#credential,
            this.#book,
            this.#acks,
            this.#limits,
            this.#around,
        ];
        this.#line = new Line(
            { url, credential, book, acks, limits, around },
            {
                told: (told) => this.#batches.add(told),
                connection: (connection) => this.#connect(connection),
                problem: (problem) => this.#report(problem),
            },
        );
        this.#line.start();
    }

    #yieldLead() {
        this.#line?.close();
        this.#line = null;
    }

    // What the leading tab says.
    #take(message) {
        if (this.#closed || this.#connection.state === State.SIGNED_OUT) return;
        if (message.snapshot) this.#adopt(message.snapshot);
        if (message.event) this.#apply(message.event);
        if (message.problem) this.#report(message.problem);
        if (message.connection) this.#connect(message.connection);
    }

    #adopt({ orders, cursor: text, reset }) {
        const told = this.#book.snapshot(orders, cursor(text), reset);
        if (told !== null) this.#batches.add(told);
    }

    #apply({ name, id, payload }) {
        try {
            const told = this.#book.apply(name, id, payload);
            if (told !== null) this.#batches.add(told);
        } catch (error) {
            if (!(error instanceof Hole)) throw error;
            this.#tabs.ask();
        }
    }

    // What a tab that asks is told; null where this one leads to nothing any more.
    #state() {
        if (this.#connection.state === State.SIGNED_OUT) return null;
        const known = this.#book.cursor;
        const snapshot = known && { orders: [...this.#book.orders.values()], cursor: known.text, reset: null };
        return { snapshot, connection: this.#connection };
    }

    #wake(certain) {
        if (this.#line !== null) this.#line.wake(certain);
        else this.#tabs?.ask(true);
    }

    #connect(connection) {
        if (JSON.stringify(connection) === JSON.stringify(this.#connection)) return;
        this.#connection = connection;
        this.#tabs?.tell({ connection });
        if (connection.state === State.SIGNED_OUT) {
            this.#batches.flush();
            if (this.#line === null) this.#tabs?.leave();
        }
        this.#emit("connection", connection);
    }

    #now() {
        return new Date(this.#around.clock() * 1000);
    }

    #report(problem) {
        const { kind, detail, count = 0 } = problem;
        this.#book.malformed = Math.max(this.#book.malformed, count);
        this.#tabs?.tell({ problem: { kind, detail, count } });
        this.#emit("problem", problem);
    }

    #emit(name, value) {
        for (const listener of this.#listeners.get(name) ?? []) {
            try {
                listener(value);
            } catch (error) {
                // A mistake of the page's must not end its feed.
                this.#around.report(error);
            }
        }
    }
}
