/** The form that places an order. What cannot be placed says what to change, at the field that it is about. */
import * as backend from "./backend.js";
import { h, say } from "./dom.js";
import { dollars } from "./format.js";
import * as words from "./words.js";

const PRICES_EVERY_MS = 2000;

export class PlaceForm {
    #instruments = new Map();
    #placed;
    #timer = null;
    #isOld = false;
    #symbol = h("select", { name: "symbol", id: "symbol", required: true, onchange: () => this.#fit() });
    #side = segments("side", [["buy", "Buy"], ["sell", "Sell"]], () => this.#tell());
    #type = h("select", { name: "order_type", id: "order_type", onchange: () => this.#fit() });
    #quantity = number("quantity", () => this.#tell());
    #price = number("price", () => this.#tell());
    #stop = number("stop_price", () => this.#tell());
    #last = h("p.last");
    #total = h("p.total", { role: "status" });
    #error = h("p.said", { role: "alert" });
    #submit = h("button.primary", { type: "submit" }, "Place order");
    #priceField = field("Limit price", this.#price);
    #stopField = field("Stop price", this.#stop);
    element;

    /** `placed(id)` is called with a new order's id. */
    constructor(placed) {
        this.#placed = placed;
        const form = h("form", { novalidate: true, onsubmit: (event) => this.#place(event) },
            field("Symbol", this.#symbol, this.#last),
            h("fieldset.segments", { id: "side" }, h("legend", "Side"), this.#side),
            field("Type", this.#type),
            field("Quantity", this.#quantity),
            this.#stopField, this.#priceField,
            this.#total, this.#error, this.#submit);
        this.form = form;
        this.element = h("section.place", { "aria-labelledby": "place-name" }, h("h1", { id: "place-name", tabindex: "-1" }, "Place an order"), form);
    }

    open() {
        this.#read();
        this.#timer ??= setInterval(() => document.visibilityState === "visible" && this.#read(), PRICES_EVERY_MS);
    }

    close() {
        clearInterval(this.#timer);
        this.#timer = null;
    }

    async #read() {
        let answer;
        try {
            answer = await backend.instruments();
            this.#isOld = false;
        } catch {
            this.#isOld = true;
            return this.#tell();
        }
        this.#instruments = new Map(answer.instruments.map((one) => [one.symbol, one]));
        if (this.#symbol.options.length === 0) {
            this.#symbol.append(...grouped(answer.instruments));
            this.#fit();
        }
        this.#tell();
    }

    get #chosen() {
        return this.#instruments.get(this.#symbol.value) ?? null;
    }

    // The types that this instrument takes, and the prices that the type needs.
    #fit() {
        const { order_types: types = [] } = this.#chosen ?? {};
        const before = this.#type.value;
        this.#type.replaceChildren(...types.map((type) => h("option", { value: type }, words.orderType(type))));
        if (types.includes(before)) this.#type.value = before;
        this.#priceField.hidden = !this.#type.value.includes("limit");
        this.#stopField.hidden = !this.#type.value.includes("stop");
        this.#clear();
        this.#tell();
    }

    #tell() {
        const one = this.#chosen;
        if (one === null) return;
        say(this.#last, one.price === null ? "" : `Last price ${dollars(one.price)}${this.#isOld ? ", may be old" : ""}`);
        const limit = this.#priceField.hidden ? NaN : Number(this.#price.value);
        const total = Number(this.#quantity.value) * (limit > 0 ? limit : Number(one.price));
        const side = this.#chosenSide === "sell" ? "Sell" : "Buy";
        say(this.#total, total > 0 ? `About ${dollars(Math.round(total * 100) / 100)}` : "");
        say(this.#submit, `${side} ${one.symbol}`);
        this.#submit.dataset.side = this.#chosenSide;
    }

    get #chosenSide() {
        return this.form?.elements.side?.value || "buy";
    }

    async #place(event) {
        event.preventDefault();
        this.#clear();
        this.#submit.disabled = true;
        try {
            const { id } = await backend.place({
                symbol: this.#symbol.value,
                side: this.#chosenSide,
                order_type: this.#type.value,
                quantity: this.#quantity.value,
                price: this.#priceField.hidden ? "" : this.#price.value,
                stop_price: this.#stopField.hidden ? "" : this.#stop.value,
            });
            this.#quantity.value = "";
            this.#placed(id, `${this.#chosenSide === "sell" ? "Selling" : "Buying"} ${this.#symbol.value}`);
        } catch (refused) {
            this.#refuse(refused);
        }
        this.#submit.disabled = false;
        this.#tell();
    }

    #refuse({ message, problem }) {
        say(this.#error, message);
        const input = this.form.querySelector(`[name="${CSS.escape(problem?.field ?? "")}"]`);
        if (input === null) return;
        input.setAttribute("aria-invalid", "true");
        input.setAttribute("aria-describedby", (this.#error.id = "place-error"));
        input.focus();
    }

    #clear() {
        say(this.#error, "");
        for (const input of this.form?.querySelectorAll("[aria-invalid]") ?? []) input.removeAttribute("aria-invalid");
    }
}

function grouped(instruments) {
    return words.assetClasses.map((kind) => {
        const of = instruments.filter(({ asset_class: its }) => its === kind);
        return h("optgroup", { label: words.assetClass(kind) }, of.map(({ symbol, name }) => h("option", { value: symbol }, `${symbol}  ${name}`)));
    });
}

function field(label, input, ...more) {
    return h("div.field", h("label", { for: input.id }, label), input, ...more);
}

function number(name, oninput) {
    return h("input", { name, id: name, type: "text", inputmode: "decimal", autocomplete: "off", maxlength: "24", oninput });
}

function segments(name, values, onchange) {
    return values.map(([value, word], at) =>
        h("label", h("input", { type: "radio", name, value, checked: at === 0, onchange }), h("span", word)));
}
