/** A short word for each execution, on the screen and read out; what comes close together is one notice. */
import { h } from "./dom.js";
import { price, quantity } from "./format.js";

const GATHER_MS = 250;
// A notice is left alone for so long; what happens meanwhile is gathered into the next.
const STAY_MS = 3000;
const LAST_MS = 7000;
const NAMED = 3;

export class Notices {
    #place;
    #waiting = [];
    #timer = null;
    #gone = null;
    #shown_ms = -STAY_MS;

    constructor(place) {
        this.#place = place;
    }

    executions(executions) {
        this.#waiting.push(...executions);
        if (this.#waiting.length === 0) return;
        const after_ms = Math.max(GATHER_MS, this.#shown_ms + STAY_MS - performance.now());
        this.#timer ??= setTimeout(() => this.#tell(), after_ms);
    }

    /** Anything else that is worth a word. */
    say(text) {
        clearTimeout(this.#gone);
        this.#shown_ms = performance.now();
        this.#place.replaceChildren(h("p.notice", text));
        this.#gone = setTimeout(() => this.#place.replaceChildren(), LAST_MS);
    }

    /** Nothing is said any more of what was: somebody else may be looking. */
    clear() {
        clearTimeout(this.#timer);
        clearTimeout(this.#gone);
        this.#timer = null;
        this.#waiting = [];
        this.#place.replaceChildren();
    }

    #tell() {
        const executions = this.#waiting;
        this.#waiting = [];
        this.#timer = null;
        this.say(sentence(executions));
    }
}

export function sentence(executions) {
    if (executions.length === 1) return one(executions[0]);
    const symbols = [...new Set(executions.map(({ symbol }) => symbol))];
    const named = symbols.slice(0, NAMED).join(", ");
    const others = symbols.length - NAMED;
    return `${executions.length} executions: ${named}${others > 0 ? ` and ${others} more` : ""}`;
}

function one(execution) {
    const { kind, side, symbol } = execution;
    if (kind === "bust") return `A trade in ${symbol} was undone`;
    if (kind === "correction") return `A trade in ${symbol} was corrected`;
    return `${side === "sell" ? "Sold" : "Bought"} ${quantity(execution, "quantity")} ${symbol} at ${price(execution, "price")}`;
}
