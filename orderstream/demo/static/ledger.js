/**
 * Every order that the page knows, newest first: those of the feed, and older ones out of the list's pages.
 *
 * A list is shown down to where its pages were read (the boundary) and no further, so that between two orders on the
 * screen none is missing.
 */
import * as backend from "./backend.js";
import { ENDED } from "./words.js";

const FIRST_ROWS = 50;
const PAGE_ROWS = 100;

export class Ledger extends EventTarget {
    #known = new Map();
    #sorted = [];
    #pages = new Map();
    #fed = false;

    get(id) {
        return this.#known.get(id) ?? null;
    }

    get isEmpty() {
        return this.#known.size === 0;
    }

    /** Whether anything is known at all, be it that there is no order. */
    get isReady() {
        return this.#fed;
    }

    /** Takes in what the feed says. */
    follow(feed, { snapshot, changes, removed }) {
        if (snapshot) {
            this.#fed = true;
            // An open order that a snapshot does not have is gone; ended ones may just be older than it reaches.
            for (const [id, order] of this.#known) if (!ENDED.has(order.status) && !feed.orders.has(id)) this.#drop(id);
            for (const order of feed.orders.values()) this.#take(order, true);
        }
        for (const { order } of changes) this.#take(order);
        for (const id of removed) this.#drop(id);
        this.#changed();
    }

    /** The orders of a list, as far as they may be shown. `query` is what the server chooses by; `matches` the rest. */
    listed(query, matches) {
        const { boundary, isDone } = this.#page(query);
        const found = this.#sorted.filter(matches);
        if (isDone) return found;
        if (boundary === null) return found.slice(0, FIRST_ROWS);
        return found.filter((order) => compare(order, boundary) <= 0);
    }

    /** `reading`, `done`, `failed` or `more`. */
    state(query) {
        const page = this.#page(query);
        if (page.isReading) return "reading";
        if (page.isDone) return "done";
        return page.hasFailed ? "failed" : "more";
    }

    /** Reads the next page of a list. */
    async readOn(query) {
        const page = this.#page(query);
        if (page.isReading || page.isDone) return;
        page.isReading = true;
        try {
            const answer = await backend.orders({ ...query, limit: PAGE_ROWS, ...(page.next ? { page: page.next } : {}) });
            for (const order of answer.orders) this.#take(order);
            page.boundary = answer.orders.at(-1) ?? page.boundary;
            page.next = answer.next;
            page.isDone = answer.next === null;
            page.hasFailed = false;
        } catch {
            page.hasFailed = true;
        }
        page.isReading = false;
        this.#changed();
    }

    #page(query) {
        const name = JSON.stringify(query);
        if (!this.#pages.has(name)) {
            const fresh = { next: null, boundary: null, isDone: false, isReading: false, hasFailed: false };
            this.#pages.set(name, fresh);
        }
        return this.#pages.get(name);
    }

    // `certain`: a snapshot's word counts even where the version went back, as after a restore of the database.
    #take(order, certain = false) {
        const known = this.#known.get(order.id);
        if (known && !certain && known.version >= order.version) return;
        this.#known.set(order.id, order);
        if (!known) this.#sorted.splice(this.#place(order), 0, order);
        else this.#sorted[this.#sorted.indexOf(known, this.#place(known))] = order;
    }

    #drop(id) {
        const known = this.#known.get(id);
        if (!known) return;
        this.#known.delete(id);
        this.#sorted.splice(this.#sorted.indexOf(known, this.#place(known)), 1);
    }

    #place(order) {
        let [low, high] = [0, this.#sorted.length];
        while (low < high) {
            const middle = (low + high) >> 1;
            if (compare(this.#sorted[middle], order) < 0) low = middle + 1;
            else high = middle;
        }
        return low;
    }

    #changed() {
        this.dispatchEvent(new Event("change"));
    }
}

// Newest first, as the service lists them.
function compare(one, other) {
    const [a, b] = [one.created_at ?? "", other.created_at ?? ""];
    if (a !== b) return a > b ? -1 : 1;
    return one.id === other.id ? 0 : one.id > other.id ? -1 : 1;
}
