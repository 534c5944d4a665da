/** The page: who is signed in, their feed, and what is shown at which address. */
import { orderstream } from "/orderstream.js";
import * as backend from "./backend.js";
import { ConnectionLine } from "./connection.js";
import { Devices } from "./devices.js";
import { h } from "./dom.js";
import { Ledger } from "./ledger.js";
import { OrderList } from "./list.js";
import { Notices } from "./notices.js";
import { OrderDetail } from "./order.js";
import { PlaceForm } from "./place.js";
import { signInPage } from "./sign-in.js";

// A cookie is renewed when half of its time is over.
const RENEW_AT = 0.5;
// A feed that ended because its credential did is begun again with the new one, but not in a loop.
const BEGIN_AGAIN_MS = 2000;
const RENEWABLE = new Set(["auth-expired", "unauthorized"]);

const page = document.getElementById("page");
const notices = new Notices(document.getElementById("notices"));
const others = new BroadcastChannel("orders-page");

class Signed {
    #session;
    #feed = null;
    #begun_ms = -BEGIN_AGAIN_MS;
    #renewal = null;
    #ledger = new Ledger();
    #over = new AbortController();
    #line = new ConnectionLine((text) => this.#tellStale(text), this.#over.signal);
    #stale = "";
    #list;
    #place = new PlaceForm((id, words) => this.#placed(id, words));
    #devices = new Devices();
    #detail = null;
    #side = h("div.side");
    #main = h("main", { id: "main", tabindex: "-1" });

    constructor(session, symbols) {
        this.#session = session;
        this.#list = new OrderList(this.#ledger, symbols, this.#over.signal);
        this.#main.append(this.#list.element, this.#side);
        page.replaceChildren(this.#header(), tabs(), this.#main);
        this.#begin();
        this.#renewIn(session.expires_in_s * RENEW_AT);
        this.route();
    }

    close() {
        this.#over.abort();
        clearTimeout(this.#renewal);
        this.#feed.close();
        this.#devices.close();
        this.#place.close();
        this.#detail?.close();
    }

    /** Shows what the address says. */
    route(focus = false) {
        const [, where, id] = location.pathname.split("/");
        const route = where === "orders" && id ? "order" : ["place", "devices"].includes(where) ? where : "orders";
        const left = this.#detail?.id;
        document.body.dataset.route = route;
        this.#devices.close();
        this.#detail?.close();
        this.#detail = route === "order" ? new OrderDetail(this.#ledger, decodeURIComponent(id)) : null;
        const shown = { order: this.#detail, devices: this.#devices }[route] ?? this.#place;
        if (this.#detail) this.#detail.stale = this.#stale;
        this.#side.replaceChildren(shown.element);
        this.#place.close();
        shown.open?.();
        for (const link of document.querySelectorAll(".tabs a")) {
            const isHere = link.pathname === location.pathname || (route === "order" && link.pathname === "/");
            link.toggleAttribute("aria-current", isHere);
            if (isHere) link.setAttribute("aria-current", "page");
        }
        this.#list.current = this.#detail?.id ?? null;
        this.#list.show();
        if (focus) this.#arrive(route);
        else if (route === "orders" && left) this.#list.focus(left);
    }

    // From the top, unless the list stays where it was, beside it.
    #arrive(route) {
        (route === "orders" ? this.#list.element : this.#side).querySelector("h1")?.focus({ preventScroll: true });
        if (route === "orders" || !this.#list.element.checkVisibility()) scrollTo({ top: 0, behavior: "instant" });
    }

    #tellStale(text) {
        this.#stale = text;
        this.#list.stale = text;
        if (this.#detail) this.#detail.stale = text;
    }

    #begin() {
        this.#begun_ms = performance.now();
        this.#feed?.close();
        const feed = (this.#feed = orderstream(location.origin, { share: this.#session.session }));
        feed.on("change", (batch) => this.#changed(feed, batch));
        feed.on("connection", (connection) => this.#connected(feed, connection));
        feed.on("problem", (problem) => console.warn("feed", problem));
        this.#line.show(feed.connection, null);
    }

    #changed(feed, batch) {
        if (feed !== this.#feed) return;
        this.#line.heard();
        this.#ledger.follow(feed, batch);
        notices.executions(batch.executions);
        const { id } = this.#detail ?? {};
        const isStirred = batch.snapshot || batch.changes.some(({ order }) => order.id === id) || batch.executions.some((one) => one.order_id === id);
        if (id && isStirred) this.#detail.stir();
    }

    #connected(feed, connection) {
        if (feed !== this.#feed) return;
        const isRecent = performance.now() - this.#begun_ms < BEGIN_AGAIN_MS;
        if (connection.state === "signed-out" && RENEWABLE.has(connection.cause) && !isRecent) return this.#beginAgain();
        const acts = { "signed-out": connection.cause === "too-many-connections" ? () => this.#begin() : () => start() };
        this.#line.show(connection, acts[connection.state] ?? (() => feed.reconnect()));
        return undefined;
    }

    async #beginAgain() {
        try {
            const { user, session } = await backend.session();
            if (user === null || session !== this.#session.session) return start();
        } catch {
            // It will be told again what is wrong, by the feed.
        }
        return this.#begin();
    }

    #renewIn(for_s) {
        this.#renewal = setTimeout(() => this.#renew(), Math.max(for_s, 1) * 1000);
    }

    async #renew() {
        try {
            this.#renewIn((await backend.renew()).expires_in_s * RENEW_AT);
        } catch (refused) {
            if (refused.status !== 401) this.#renewIn(10);
        }
    }

    #placed(id, words) {
        notices.say(`${words}: your order is on its way.`);
        go("/");
    }

    #header() {
        const out = h("button.small", { type: "button", onclick: () => signOut() }, "Sign out");
        return h("header.top",
            h("a.skip", { href: "#main" }, "To the orders"),
            h("a.brand", { href: "/", "data-link": "" }, h("img", { src: "/page/icon.svg", alt: "", width: "28", height: "28" }), h("span", "Orders")),
            h("div.who", h("span.face", { "aria-hidden": "true" }, this.#session.user[0].toUpperCase()), h("span", this.#session.user), out),
            this.#line.element);
    }
}

function tabs() {
    const links = [["/", "Orders"], ["/place", "Place"], ["/devices", "Devices"]];
    return h("nav.tabs", { "aria-label": "Pages" }, links.map(([href, word]) => h("a", { href, "data-link": "" }, word)));
}

let signed = null;

async function start(why = "") {
    signed?.close();
    signed = null;
    notices.clear();
    let session;
    try {
        session = await backend.session();
    } catch (refused) {
        page.replaceChildren(h("main.sign-in", h("h1", "Not now"), h("p.said", { role: "alert" }, refused.message),
            h("button.primary", { type: "button", onclick: () => start() }, "Try again")));
        return;
    }
    if (session.user !== null) return enter(session);
    document.body.dataset.route = "sign-in";
    page.replaceChildren(signInPage(session.users, (chosen) => {
        others.postMessage("signed");
        enter(chosen, true);
    }, why));
}

async function enter(session, focus = false) {
    const traded = await backend.instruments().catch(() => ({ instruments: [] }));
    signed = new Signed(session, new Set(traded.instruments.map(({ symbol }) => symbol)));
    if (focus) signed.route(true);
}

async function signOut() {
    try {
        await backend.signOut();
    } catch (refused) {
        notices.say(refused.message);
        return;
    }
    others.postMessage("signed");
    history.replaceState(null, "", "/");
    start();
}

function go(path) {
    if (path !== location.pathname) history.pushState({ from: location.pathname }, "", path);
    signed?.route(true);
}

// Another tab signed in or out: the cookie is everybody's, and so is what follows from it.
others.onmessage = () => start();
addEventListener("popstate", () => signed?.route());
document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-link]");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    // Back to where the list was scrolled to, if that is where one came from.
    if (link.matches(".back") && history.state?.from === link.pathname) history.back();
    else go(link.pathname);
});

start();
