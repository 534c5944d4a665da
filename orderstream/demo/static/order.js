/** One order: how it is, on which terms, why it ended, and what happened to it, to the millisecond. */
import * as backend from "./backend.js";
import { sayAgo } from "./clock.js";
import { h, say } from "./dom.js";
import { day, exactTime, price, quantity, shortPrice } from "./format.js";
import { bar, chip } from "./parts.js";
import * as words from "./words.js";

// Several events of one order that come together are one look.
const GATHER_MS = 120;

export class OrderDetail {
    #ledger;
    #id;
    #executions = [];
    #events = [];
    #timer = null;
    #state = chip();
    #bar = bar();
    #title = h("h1", { tabindex: "-1" }, "Order");
    #amount = h("p.big");
    #when = h("time");
    #reason = h("div.reason");
    #facts = h("dl.facts");
    #timeline = h("ol.timeline");
    #stale = h("span.stale");
    #missing = h("p.missing", { role: "status" });
    #asked = 0;
    #said = h("p.said", { role: "alert" });
    #cancel = h("button", { type: "button", onclick: () => this.#askToCancel() }, "Cancel order");
    element;

    constructor(ledger, id) {
        this.#ledger = ledger;
        this.#id = id;
        this.element = h("section.detail",
            h("p.over", h("a.back", { href: "/", "data-link": "" }, "All orders"), this.#stale),
            h("header", this.#title, this.#state.element),
            this.#amount, this.#bar.element, h("p.since", this.#when), this.#reason, this.#cancel, this.#said,
            h("h2", "What happened"), this.#missing, this.#timeline,
            h("h2", "The order"), this.#facts);
        this.changed = () => this.#show();
        ledger.addEventListener("change", this.changed);
        this.#look();
        this.#show();
    }

    /** Something happened to this order. */
    stir() {
        this.#timer ??= setTimeout(() => {
            this.#timer = null;
            this.#look();
        }, GATHER_MS);
    }

    /** Since when what is shown may be old; empty while it is not. */
    set stale(text) {
        const isOver = text === "" && this.#stale.textContent !== "";
        say(this.#stale, text);
        // What could not be asked for meanwhile.
        if (isOver) this.stir();
    }

    get id() {
        return this.#id;
    }

    close() {
        clearTimeout(this.#timer);
        this.#ledger.removeEventListener("change", this.changed);
    }

    #order = null;

    async #look() {
        const asked = (this.#asked += 1);
        try {
            const [{ order, executions }, { events }] = await Promise.all([backend.order(this.#id), backend.events(this.#id)]);
            // An answer that a later one overtook would take back what that one told.
            if (asked !== this.#asked) return;
            this.#order = order;
            [this.#executions, this.#events] = [executions, events];
            say(this.#missing, "");
        } catch (refused) {
            if (refused.status === 404) {
                say(this.#said, "There is no such order, or it is not yours.");
                if (this.#order === null) this.#title.textContent = "No such order";
            } else say(this.#missing, "That cannot be looked up at the moment.");
        }
        this.#show();
    }

    #show() {
        const fed = this.#ledger.get(this.#id);
        const order = fed && (this.#order === null || fed.version >= this.#order.version) ? fed : this.#order;
        this.element.classList.toggle("unknown", order === null);
        if (order === null) return;
        this.#order = order;
        say(this.#title, `${words.side(order.side)} ${order.symbol}`);
        this.#state.show(order);
        this.#bar.show(order);
        this.#amount.replaceChildren(h("b", quantity(order, "filled_quantity")), ` of ${quantity(order, "quantity")} filled`,
            order.average_price === null ? "" : ` at ${shortPrice(order, "average_price")}`);
        sayAgo(this.#when, order.updated_at, words.latest(order.status));
        this.#showReason(order);
        this.#cancel.hidden = !words.CANCELLABLE.has(order.status);
        this.#facts.replaceChildren(...facts(order));
        this.#timeline.replaceChildren(...this.#entries(order));
    }

    #showReason(order) {
        const why = words.reason(order);
        this.#reason.hidden = why === null;
        if (why !== null) this.#reason.replaceChildren(h("b", why[0]), why[1] && h("p", why[1]) || "");
    }

    #entries(order) {
        const told = [
            ...this.#executions.map((one) => ({ at: one.executed_at, order: 1, content: traded(one) })),
            // A trade is told by its execution.
            ...this.#events
                .filter(({ exec_type: type }) => type !== "trade" || this.#executions.length === 0)
                .map((event) => ({ at: event.written_at, order: 0, content: changed(event) })),
        ];
        const isBegun = this.#events[0]?.previous_status === null;
        if (!isBegun) told.push({ at: order.created_at, order: 0, content: [h("b", "Sent")] });
        told.sort((one, other) => (one.at < other.at ? 1 : one.at > other.at ? -1 : other.order - one.order));
        const isOfToday = told.every(({ at }) => day(at) === day(Date.now()));
        return told.map(({ at, content }) =>
            h("li", h("time", { datetime: at, title: day(at) }, exactTime(at), isOfToday ? "" : h("small", day(at))), h("div", content)));
    }

    async #askToCancel() {
        if (!(await isConfirmed("Cancel what is not filled yet?", "Cancel order", "Keep it"))) return;
        this.#cancel.disabled = true;
        say(this.#said, "");
        try {
            await backend.cancel(this.#id);
        } catch (refused) {
            say(this.#said, refused.message);
        }
        this.#cancel.disabled = false;
    }
}

function isConfirmed(question, yes, no) {
    const dialog = h("dialog", { "aria-labelledby": "question" }, h("form", { method: "dialog" },
        h("h2", { id: "question" }, question),
        h("div.choice", h("button", { value: "" }, no), h("button.danger", { value: "yes" }, yes))));
    document.body.append(dialog);
    dialog.showModal();
    return new Promise((settle) => {
        dialog.addEventListener("close", () => {
            dialog.remove();
            settle(dialog.returnValue === "yes");
        });
    });
}

function traded(execution) {
    const verb = { bust: "Undone", correction: "Corrected" }[execution.kind] ?? (execution.side === "sell" ? "Sold" : "Bought");
    return [h("b", `${verb} ${quantity(execution, "quantity")}`), ` at ${price(execution, "price")}`];
}

function changed({ order, exec_type: type, check }) {
    const why = words.reason(order);
    return [h("b", words.happened(type)), why ? h("p", why[1] ?? why[0]) : "", check ? h("p.odd", check.text) : ""];
}

function facts(order) {
    const named = [
        ["Type", words.orderType(order.order_type)],
        ["Limit price", order.price === null ? null : price(order, "price")],
        ["Stop price", order.stop_price === null ? null : price(order, "stop_price")],
        ["Average price", order.average_price === null ? null : price(order, "average_price")],
        ["Amount of money", order.cash_amount === null ? null : price(order, "cash_amount")],
        ["Quantity", quantity(order, "quantity")],
        ["Remaining", quantity(order, "remaining_quantity")],
        ["Good for", words.timeInForce(order.time_in_force)],
        ["Asset class", words.assetClass(order.asset_class)],
        ["Placed from", words.platform(order.platform)],
        ["Placed", `${day(order.created_at)}, ${exactTime(order.created_at)}`],
        ["Order", order.id],
    ];
    return named.filter(([, value]) => value !== null).map(([name, value]) => h("div", h("dt", name), h("dd", value)));
}
