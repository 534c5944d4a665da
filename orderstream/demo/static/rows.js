/**
 * A list of any length of which only the rows near the screen exist. Rows are placed by a transform, so that one that
 * comes or goes moves the others without laying the page out anew; who has scrolled keeps what they look at.
 */
import { h } from "./dom.js";

const SPARE_ROWS = 6;

export class Rows {
    #make;
    #height_px = 1;
    #items = [];
    #rows = new Map();
    #isDue = false;
    #current = null;
    element = h("ul.rows", { "aria-label": "Orders" });

    /** `make(item)` gives `{element, show(item)}`; `onEnd` is called when the last row is near, until `over`. */
    constructor(make, onEnd, over) {
        this.#make = make;
        this.onEnd = onEnd;
        addEventListener("scroll", () => this.#soon(), { passive: true, signal: over });
        addEventListener("resize", () => this.#soon(), { signal: over });
        this.element.addEventListener("keydown", (event) => this.#move(event));
    }

    /** Marks the row of the item that is open beside the list; null where none is. */
    set current(id) {
        this.#current = id;
        for (const [of, { element }] of this.#rows) mark(element, of === id);
    }

    /** Moves the focus to the row of that item, wherever it is; scrolls nothing. */
    focus(id) {
        const at = this.#items.findIndex((item) => item.id === id);
        if (at < 0) return;
        const row = this.#rows.get(id)?.element ?? this.#put(id, at, null);
        row.querySelector("a").focus({ preventScroll: true });
    }

    /** Shows these items, each with an `id` and replaced when it changes. */
    show(items) {
        const top_px = this.#top_px;
        const first = Math.max(0, Math.floor(-top_px / this.#height_px));
        const anchor = top_px < 0 ? this.#items[first] : null;
        this.#items = items;
        const now = anchor ? items.findIndex(({ id }) => id === anchor.id) : -1;
        const moved = now < 0 ? 0 : now - first;
        // Rows that came above must not push away what is being read.
        this.element.classList.toggle("still", moved !== 0);
        this.#draw();
        if (moved !== 0) scrollBy({ top: moved * this.#height_px, behavior: "instant" });
    }

    get #top_px() {
        return this.element.getBoundingClientRect().top;
    }

    #soon() {
        if (this.#isDue || !this.element.isConnected) return;
        this.#isDue = true;
        requestAnimationFrame(() => {
            this.#isDue = false;
            this.element.classList.add("still");
            this.#draw();
        });
    }

    #draw() {
        this.#height_px = parseFloat(getComputedStyle(this.element).getPropertyValue("--row-rem")) * rem_px();
        this.element.style.height = `${this.#items.length * this.#height_px}px`;
        const from = Math.floor(-this.#top_px / this.#height_px) - SPARE_ROWS;
        const to = Math.ceil((innerHeight - this.#top_px) / this.#height_px) + SPARE_ROWS;
        const shown = new Map();
        for (let at = Math.max(0, from); at < Math.min(to, this.#items.length); at += 1) shown.set(this.#items[at].id, at);
        for (const [id, row] of this.#rows) {
            if (shown.has(id) || row.element.contains(document.activeElement)) continue;
            row.element.remove();
            this.#rows.delete(id);
        }
        let before = null;
        for (const [id, at] of shown) before = this.#put(id, at, before);
        if (to >= this.#items.length) this.onEnd();
    }

    #put(id, at, before) {
        const item = this.#items[at];
        let row = this.#rows.get(id);
        if (row === undefined) {
            row = { ...this.#make(item), item: null };
            this.#rows.set(id, row);
            mark(row.element, id === this.#current);
        }
        if (row.item !== item) row.show(item);
        row.item = item;
        row.element.style.transform = `translateY(${at * this.#height_px}px)`;
        row.element.setAttribute("aria-posinset", at + 1);
        row.element.setAttribute("aria-setsize", this.#items.length);
        // The order in the document is the one that a keyboard and a screen reader go by.
        const next = before === null ? this.element.firstChild : before.nextSibling;
        if (row.element !== next && !(row.element === before)) this.element.insertBefore(row.element, next);
        return row.element;
    }

    #move(event) {
        const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
        const row = step && event.target.closest("li")?.[step];
        if (!row) return;
        event.preventDefault();
        row.querySelector("a").focus();
    }
}

function mark(row, isCurrent) {
    if (isCurrent) row.firstChild.setAttribute("aria-current", "true");
    else row.firstChild.removeAttribute("aria-current");
}

function rem_px() {
    return parseFloat(getComputedStyle(document.documentElement).fontSize);
}
