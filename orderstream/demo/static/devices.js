/** My devices: where this user is signed in with the page open, and a way to sign one of them out. */
import * as backend from "./backend.js";
import { sayAgo } from "./clock.js";
import { h, say } from "./dom.js";
import * as words from "./words.js";

const EVERY_MS = 3000;
const TRANSPORTS = { sse: "live", poll: "polling mode" };

export class Devices {
    #list = h("ul.devices");
    #said = h("p.said", { role: "alert" });
    #timer = null;
    #shown = new Map();
    element = h("section.devices-page", { "aria-labelledby": "devices-name" },
        h("h1", { id: "devices-name", tabindex: "-1" }, "My devices"),
        h("p.hint", "Where you are signed in with your orders open. One that you sign out is told at once."),
        this.#list, this.#said);

    open() {
        this.#read();
        this.#timer ??= setInterval(() => document.visibilityState === "visible" && this.#read(), EVERY_MS);
    }

    close() {
        clearInterval(this.#timer);
        this.#timer = null;
    }

    async #read() {
        let sessions;
        try {
            ({ sessions } = await backend.devices());
        } catch (refused) {
            if (refused.status !== 401) say(this.#said, refused.message);
            return;
        }
        say(this.#said, "");
        this.#show(sessions);
    }

    // What has not changed stays where it is, and with it the focus.
    #show(sessions) {
        const before = this.#shown;
        this.#shown = new Map();
        for (const one of sessions) {
            const what = JSON.stringify(one.streams.map(({ transport, opened_at: at }) => [transport, at]));
            const known = before.get(one.id);
            this.#shown.set(one.id, known?.what === what ? known : { what, element: this.#device(one) });
        }
        const elements = [...this.#shown.values()].map(({ element }) => element);
        const isSame = elements.length === this.#list.children.length && elements.every((one, at) => this.#list.children[at] === one);
        if (!isSame) this.#list.replaceChildren(...elements);
    }

    #device({ id, current, streams }) {
        const [first] = streams;
        const since = h("time");
        sayAgo(since, first.opened_at, "since");
        const name = words.platform(first.platform);
        const out = h("button.small", { type: "button", "aria-label": `Sign out: ${name}` }, "Sign out");
        out.addEventListener("click", () => this.#signOut(id, out));
        const how = [...new Set(streams.map(({ transport }) => TRANSPORTS[transport] ?? transport))].join(", ");
        return h("li",
            h("div", h("b", name), current ? h("span.tag", "This one") : "",
                h("p", h("span", [how, first.address].filter(Boolean).join(" · ")), " · ", since)),
            current ? "" : out);
    }

    async #signOut(id, button) {
        button.disabled = true;
        try {
            await backend.signOutDevice(id);
            await this.#read();
        } catch (refused) {
            say(this.#said, refused.message);
            button.disabled = false;
        }
    }
}
