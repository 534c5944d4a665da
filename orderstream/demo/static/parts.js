/** Pieces of an order that the list and the detail both show. */
import { h, say } from "./dom.js";
import * as words from "./words.js";

/** How an order is: a word, and a mark that does not need its colour. */
export function chip() {
    const word = h("span");
    const element = h("span.chip", h("span.mark", { "aria-hidden": "true" }), word);
    return {
        element,
        show(order) {
            element.dataset.status = order.status;
            element.style.setProperty("--filled", share(order));
            say(word, words.status(order.status));
        },
    };
}

/** How much of it is filled. */
export function bar() {
    const element = h("span.bar", { "aria-hidden": "true" }, h("span"));
    return {
        element,
        show(order) {
            element.dataset.status = order.status;
            element.style.setProperty("--filled", share(order));
        },
    };
}

function share({ filled_quantity: filled, quantity }) {
    return quantity > 0 ? Math.min(1, filled / quantity) : 0;
}
