// Feeds whose waits are short, and what they told.

import { Feed } from "../../orderstream/web/static/orderstream/feed.js";
import { surroundings } from "../../orderstream/web/static/orderstream/surroundings.js";

// A test that waits longer waits for something that will not come.
const PATIENCE_MS = 30_000;

const SHORT = { backoff_s: 0.02, probe_s: 0.02, probe_cap_s: 0.05, poll_interval_s: 0.05, hidden_batch_s: 0.001 };

/** A feed and, in order, all that it said: `[name, value]`. */
export function newFeed(url, options = {}, around = {}) {
    const limits = { ...SHORT, ...options.limits };
    const feed = new Feed(
        url,
        { token: "jwt", ...options, limits },
        { ...surroundings(), random: () => 0.5, ...around },
    );
    feed.said = [];
    for (const name of ["change", "connection", "problem"]) feed.on(name, (value) => feed.said.push([name, value]));
    return feed;
}

/** Resolves once `holds` does; looked at whenever the feed says something. */
export function until(feed, holds) {
    return new Promise((resolve, reject) => {
        const patience = setTimeout(() => reject(new Error(`did not come: ${JSON.stringify(feed.said)}`)), PATIENCE_MS);
        const offs = ["change", "connection", "problem"].map((name) => feed.on(name, look));
        function look() {
            if (!holds()) return;
            clearTimeout(patience);
            for (const off of offs) off();
            resolve();
        }
        look();
    });
}

/** Resolves once `holds` does; for what the feed does not say. */
export async function eventually(holds) {
    const patience_ms = performance.now() + PATIENCE_MS;
    while (!holds()) {
        if (performance.now() > patience_ms) throw new Error("did not come");
        await new Promise(setImmediate);
    }
}

export const isState =
    (feed, ...states) =>
    () =>
        states.includes(feed.connection.state);
export const hasOrders =
    (feed, ...ids) =>
    () =>
        ids.every((id) => feed.orders.has(id));

/** The ids of the orders whose changes were told. */
export function changed(feed) {
    return feed.said
        .filter(([name]) => name === "change")
        .flatMap(([, { changes }]) => changes.map(({ order }) => order.id));
}

/** The states it was in, in order; every feed begins as `connecting`. */
export function states(feed) {
    const said = feed.said.filter(([name]) => name === "connection").map(([, { state }]) => state);
    const all = ["connecting", ...said];
    return all.filter((state, index) => state !== all[index - 1]);
}

/** Unsigned, since a client cannot check a signature anyway. */
export function jwt(claims) {
    return `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.x`;
}
