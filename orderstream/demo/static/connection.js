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
    #current_at = null;
    #timer = null;
    #isCut = false;
    #stale;
    element = h("div.connection", { "data-state": "connecting" }, h("span.dot", { "aria-hidden": "true" }), this.#word, this.#more, this.#button);

    /** `stale` is told since when the orders may be old, as text; empty while they are not. */
    constructor(stale) {
        this.#stale = stale;
        setInterval(() => this.#connection && this.#tell(), 500);
        addEventListener("online", () => this.#cut(false));
        addEventListener("offline", () => this.#cut(true));
    }

    /** Something came. A browser without a network may be one that needs none to reach its service. */
    heard() {
        if (this.#isCut) this.#cut(false);
    }

    // What the network is known to have lost, a stream learns only when its next byte does not come.
    #cut(isCut) {
        if (isCut && this.#connection && this.#isCurrent) this.#current_at = new Date();
        this.#isCut = isCut;
        if (this.#connection) this.#tell();
    }

    /** `act` is what the button does in this state. */
    show(connection, act) {
        const isCurrent = connection.state === "live" || connection.state === "polling";
        // Until now we heard; from now on the page may be old.
        if (this.#connection && this.#isCurrent && !isCurrent) this.#current_at = new Date();
        this.#connection = connection;
        this.#act = act;
        clearTimeout(this.#timer);
        const isBrief = connection.state === "connecting" && this.#current_at !== null;
        this.#timer = setTimeout(() => this.#tell(), isBrief ? PATIENCE_MS : 0);
    }

    get #isCurrent() {
        return this.#connection.state === "live" || this.#connection.state === "polling";
    }

    #tell() {
        const { state, cause } = this.#connection;
        const isCut = state !== "signed-out" && (this.#isCut || (!navigator.onLine && !this.#isCurrent));
        const shown = isCut ? "offline" : state;
        this.element.dataset.state = shown;
        const [word, more, action] = SAID[shown](this.#connection, cause, isCut);
        this.#stale((this.#isCurrent && !isCut) || this.#current_at === null ? "" : `As of ${clock(this.#current_at)}, may be old`);
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
