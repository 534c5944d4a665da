/** The list of orders: what is chosen of it, and a row for each. */
import { sayAgo } from "./clock.js";
import { h, say } from "./dom.js";
import { quantity, shortPrice } from "./format.js";
import { bar, chip } from "./parts.js";
import { Rows } from "./rows.js";
import * as words from "./words.js";

const SHOWS = [["all", "All"], ["open", "Open"], ["closed", "Ended"]];

export class OrderList {
    #ledger;
    #rows;
    // Over the room that the rows will take, so that the first one moves nothing.
    #none = h("p.none", { role: "status" });
    #end = h("p.end");
    #again = h("button.small", { type: "button", onclick: () => this.#readOn(true) }, "Try again");
    #count = h("p.count");
    #stale = "";
    #chosen = { show: "all", status: "", symbol: "", assetClass: "" };
    element;

    /** `symbols` are those that the service can choose by; `over` is when the list is of no use any more. */
    constructor(ledger, symbols, over) {
        this.#ledger = ledger;
        this.#rows = new Rows(row, () => this.#readOn(), over);
        this.symbols = symbols;
        this.#again.hidden = true;
        const heading = h("h1", { id: "list-name", tabindex: "-1" }, "Orders");
        this.element = h("section.list", { "aria-labelledby": "list-name" },
            h("div.list-head", heading, this.#count, this.#filters()), h("div.room", this.#rows.element, this.#none), this.#end, this.#again);
        ledger.addEventListener("change", () => this.show());
    }

    show() {
        if (!this.element.isConnected) return;
        const found = this.#ledger.listed(this.#query, (order) => this.#matches(order));
        const state = this.#ledger.state(this.#query);
        this.#rows.show(found);
        say(this.#count, this.#counted(found));
        this.#again.hidden = state !== "failed";
        say(this.#none, found.length === 0 ? this.#empty(state) : "");
        if (state === "failed") say(this.#end, "Older orders could not be loaded.");
        else say(this.#end, found.length === 0 ? "" : state === "done" ? "That is all of them." : "Loading older orders …");
    }

    /** Since when what is shown may be old; empty while it is not. */
    set stale(text) {
        if (text === this.#stale) return;
        this.#stale = text;
        this.#count.classList.toggle("stale", text !== "");
        this.show();
    }

    /** The order that is open beside the list. */
    set current(id) {
        this.#rows.current = id;
    }

    /** Back at the list: goes on from the order that was looked at. */
    focus(id) {
        this.#rows.focus(id);
    }

    get #query() {
        const { show, symbol } = this.#chosen;
        return { status: show, ...(this.symbols.has(symbol) ? { symbol } : {}) };
    }

    #matches(order) {
        const { show, status, symbol, assetClass } = this.#chosen;
        if (show !== "all" && words.ENDED.has(order.status) !== (show === "closed")) return false;
        if (status && order.status !== status) return false;
        if (assetClass && order.asset_class !== assetClass) return false;
        return (order.symbol ?? "").startsWith(symbol);
    }

    #readOn(again = false) {
        const state = this.#ledger.state(this.#query);
        if (state === "more" || again) this.#ledger.readOn(this.#query);
    }

    #counted(found) {
        const open = found.filter(({ status }) => !words.ENDED.has(status)).length;
        if (this.#stale) return this.#stale;
        return this.#chosen.show === "closed" ? "" : `${open} open`;
    }

    #empty(state) {
        if (state !== "done") return "Loading …";
        const { show, status, symbol, assetClass } = this.#chosen;
        if (show !== "all" || status || symbol || assetClass) return "No order is like that.";
        return "No orders yet. Place the first one.";
    }

    #filters() {
        const symbol = h("input", {
            ...{ type: "search", placeholder: "Symbol", "aria-label": "Symbol", maxlength: "20", autocomplete: "off" },
            ...{ autocapitalize: "characters", spellcheck: "false", oninput: () => this.#choose("symbol", symbol.value.trim().toUpperCase()) },
        });
        const shows = SHOWS.map(([value, word]) =>
            h("label", h("input", { type: "radio", name: "show", value, checked: value === "all", onchange: () => this.#choose("show", value) }), h("span", word)));
        return h("div.filters", { role: "group", "aria-label": "Which orders" },
            h("div.segments", shows),
            symbol,
            this.#select("status", "Status", words.statuses, words.status),
            this.#select("assetClass", "Class", words.assetClasses, words.assetClass));
    }

    #select(name, any, values, word) {
        const options = [h("option", { value: "" }, any), ...values.map((value) => h("option", { value }, word(value)))];
        const element = h("select", { "aria-label": any, onchange: () => this.#choose(name, element.value) }, options);
        return element;
    }

    #choose(name, value) {
        this.#chosen[name] = value;
        this.show();
    }
}

function row(order) {
    const [symbol, what] = [h("b"), h("small")];
    const [filled, amount, type] = [h("span.filled"), bar(), h("small.type")];
    const [worth, terms] = [h("b"), h("small")];
    const state = chip();
    const when = h("time");
    const link = h("a.row", { href: `/orders/${encodeURIComponent(order.id)}`, "data-link": "" },
        h("span.line", h("span.what", symbol, what), h("span.state", state.element)),
        h("span.line", filled, h("span.worth", worth, terms)),
        h("span.line", amount.element, type, when));
    function show(now) {
        say(symbol, now.symbol ?? "–");
        say(what, `${words.side(now.side)} · ${words.assetClass(now.asset_class)}`);
        link.dataset.side = now.side;
        say(filled, `${quantity(now, "filled_quantity")} of ${quantity(now, "quantity")}`);
        say(type, words.orderType(now.order_type));
        const isTraded = now.average_price !== null;
        const field = isTraded ? "average_price" : now.price !== null ? "price" : "stop_price";
        say(worth, now[field] === null ? "" : shortPrice(now, field));
        say(terms, isTraded ? "average" : now.price !== null ? "limit" : now.stop_price !== null ? "stop" : "");
        state.show(now);
        amount.show(now);
        sayAgo(when, now.updated_at, words.latest(now.status));
    }
    return { element: h("li", link), show };
}
