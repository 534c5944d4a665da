/**
 * Follows a user's orders in a page:
 *
 *     const feed = orderstream("https://orders.example.com", { token: fetchJwt });
 *     feed.on("change", ({ changes }) => show(feed.orders, changes));
 *     feed.on("connection", ({ state }) => tell(state));
 *
 * No dependencies. What it promises and all its options: docs/clients.md. The modules of its folder are served as
 * this one file.
 */
import { Feed } from "./orderstream/feed.js";
import { LIMITS } from "./orderstream/limits.js";
import { decimal } from "./orderstream/numbers.js";
import { REASONS, why } from "./orderstream/reasons.js";
import { surroundings } from "./orderstream/surroundings.js";

/** A feed that begins once the listeners are added. */
export function orderstream(url, options = {}) {
    return new Feed(url, options, surroundings());
}

export { LIMITS, REASONS, decimal, why };
