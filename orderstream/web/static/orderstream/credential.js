/**
 * What goes with each request: a fixed JWT, one that is asked for again before it expires, or the browser's cookie.
 *
 * A JWT is opaque to a client, except that `exp` tells when to fetch the next one and `sub` whose it is; one that
 * cannot be read is used until the server refuses it.
 */

/** The user has none any more, or another one: what was followed until now must not go on. */
export class NoCredential extends Error {}

export class Credential {
    #fetch;
    #around;
    #limits;
    #current;
    #pending = null;
    #user = null;

    /** `token`: a JWT, a function that gives one or a promise of it, or nothing for the cookie; `around` as in `surroundings`. */
    constructor(token, limits, around) {
        this.#fetch = typeof token === "function" ? token : null;
        this.#current = typeof token === "string" ? token : null;
        this.#limits = limits;
        this.#around = around;
        // The login service may have set another cookie since: worth one more request.
        this.renewable = typeof token !== "string";
    }

    /** The server refused `jwt`; one that has taken its place since is still good. */
    spoil(jwt) {
        if (this.#fetch !== null && jwt === this.#current) this.#current = null;
    }

    /** Seconds until the next one should be fetched; null where that cannot be told. */
    freshFor_s() {
        const { exp } = claims(this.#current);
        return typeof exp === "number" ? exp - this.#limits.jwt_margin_s - this.#around.clock() : null;
    }

    /** A promise of the JWT, null for the cookie. Rejects with what the page's function threw, or NoCredential. */
    async jwt() {
        const freshFor_s = this.freshFor_s();
        const stale = this.#current === null || (freshFor_s !== null && freshFor_s <= 0);
        if (!stale || this.#fetch === null) return this.#current;
        // One at a time: a stream and a poll that start together need one JWT.
        this.#pending ??= this.#renew().finally(() => (this.#pending = null));
        return this.#pending;
    }

    /** A promise of whose feed this is; null where that cannot be told. */
    async user() {
        const { sub } = claims(await this.jwt());
        return typeof sub === "string" ? sub : null;
    }

    async #renew() {
        const jwt = await this.#inTime(this.#fetch());
        if (typeof jwt !== "string" || jwt === "") throw new NoCredential("unauthorized");
        const { sub = null } = claims(jwt);
        // Somebody else signed in meanwhile, in another tab perhaps: their orders are not for this page.
        if (this.#user !== null && sub !== this.#user) throw new NoCredential("another-user");
        this.#user = sub;
        return (this.#current = jwt);
    }

    // A function that never answers would hold the feed for ever.
    async #inTime(promise) {
        let timer;
        const late = new Promise((_, reject) => {
            timer = this.#around.setTimer(
                () => reject(new Error("the token did not come in time")),
                this.#limits.token_s,
            );
        });
        try {
            return await Promise.race([promise, late]);
        } finally {
            this.#around.clearTimer(timer);
        }
    }
}

function claims(jwt) {
    try {
        const bytes = atob(jwt.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"));
        return JSON.parse(decodeURIComponent(escapeBytes(bytes))) ?? {};
    } catch {
        return {};
    }
}

function escapeBytes(bytes) {
    return Array.from(bytes, (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, "0")}`).join("");
}
