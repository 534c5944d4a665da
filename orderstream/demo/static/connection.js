/** The line that always says how the page hears of its orders, and since when it does not. */
import { h, say } from "./dom.js";
import { clock } from "./format.js";

// A stream that is back within this time was never a matter for words.
const PATIENCE_MS = 700;

export class ConnectionLine {
    #word = h("strong", { role: "status" });
    #more = h("span.more");
    #button = h("button.small", { type: "button", onclick: () => this.#act?.() }, "Reconnect now");
    #act = null;
    #connection = null;
    #old = null;
    #old_ms = 0;
    #timer = null;
    #isCut = false;
    #stale;
    element = h("div.connection", { "data-state": "connecting" }, h("span.dot", { "aria-hidden": "true" }), this.#word, this.#more, this.#button);

    /** `stale` is told since when the orders may be old, as text; empty while they are not. Until `over`. */
    constructor(stale, over) {
        this.#stale = stale;
        const counting = setInterval(() => this.#timer === null && this.#connection && this.#tell(), 500);
        addEventListener("online", () => this.#cut(false), { signal: over });
        addEventListener("offline", () => this.#cut(true), { signal: over });
        over.addEventListener("abort", () => {
            clearInterval(counting);
            clearTimeout(this.#timer);
        });
    }

    /** Something came. A browser without a network may be one that needs none to reach its service. */
    heard() {
        if (this.#isCut) this.#cut(false);
    }

    // What the network is known to have lost, a stream learns only when its next byte does not come.
    #cut(isCut) {
        if (isCut && this.#connection && this.#isCurrent) this.#lose(null);
        this.#isCut = isCut;
        if (this.#connection) this.#tell();
    }

    /** `act` is what the button does in this state. */
    show(connection, act) {
        const isCurrent = connection.state === "live" || connection.state === "polling";
        if (this.#connection && this.#isCurrent && !isCurrent) this.#lose(connection.cause);
        this.#connection = connection;
        this.#act = act;
        clearTimeout(this.#timer);
        const isBrief = connection.state === "connecting" && this.#old !== null;
        this.#timer = setTimeout(() => this.#tell(), isBrief ? this.#old_ms + PATIENCE_MS - performance.now() : 0);
    }

    // Until now we heard, and from now on the page may be old; since when nothing was to be heard, nobody knows.
    #lose(cause) {
        this.#old = cause === "silent" ? "May be old" : `As of ${clock(new Date())}, may be old`;
        this.#old_ms = performance.now();
    }

    get #isCurrent() {
        return this.#connection.state === "live" || this.#connection.state === "polling";
    }

    #tell() {
        this.#timer = null;
        const { state, cause } = this.#connection;
        const isCut = state !== "signed-out" && (this.#isCut || (!navigator.onLine && !this.#isCurrent));
        const shown = isCut ? "offline" : state;
        this.element.dataset.state = shown;
        const [word, more, action] = SAID[shown](this.#connection, cause, isCut);
        this.#stale(this.#isCurrent && !isCut ? "" : (this.#old ?? ""));
        say(this.#word, word);
        say(this.#more, more);
        this.#button.hidden = action === null;
        if (action !== null) say(this.#button, action);
    }
}

const left_s = ({ retry_at: at }) => (at === null ? 0 : Math.ceil((at - Date.now()) / 1000));

const SAID = {
    live: () => ["Live", "Orders change here as they happen.", null],
    polling: ({ every_s }) => ["Polling mode", every_s === null ? "Asks all the time." : `Asks every ${every_s} s.`, "Try live"],
    connecting: (connection) => {
        const in_s = left_s(connection);
        return in_s < 1 ? ["Connecting …", "", null] : ["Reconnecting", `in ${in_s} s`, "Reconnect now"];
    },
    offline: (connection, cause, isCut) => {
        if (isCut) return ["Offline", "This device has no network.", null];
        const in_s = left_s(connection);
        return ["Offline", in_s < 1 ? "Trying again …" : `Tries again in ${in_s} s.`, "Try now"];
    },
    "signed-out": (_, cause) => {
        if (cause === "too-many-connections") return ["Paused", "Too many windows are open.", "Use this one"];
        return ["Signed out", cause === "session-revoked" ? "on another device" : "", "Sign in"];
    },
};
