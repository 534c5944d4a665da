/**
 * Tells the server now and then that an event came, so that it knows how long that takes.
 *
 * Sampled, beside the feed, and never a trouble of it: one at a time, for a bounded time, and a failure is left at
 * that. Of a user's tabs only the one that leads has a connection, and so events to acknowledge.
 */
import { Transport } from "./happenings.js";
import { post } from "./transports.js";

const ON_THE_WIRE = { [Transport.SSE]: "sse", [Transport.LONG_POLL]: "poll" };

/** When to acknowledge. Pure: `random` gives floats in [0, 1). */
export class Sampling {
    #every_s;
    #random;
    #due_s = 0;
    #underWay = false;

    constructor(every_s, random) {
        this.#every_s = every_s;
        this.#random = random;
    }

    /** Whether to acknowledge what came now; then `done` must follow. */
    take(at_s) {
        if (this.#every_s <= 0 || this.#underWay || at_s < this.#due_s) return false;
        this.#underWay = true;
        // Clients that were told of the same fill must not all acknowledge the next one too.
        this.#due_s = at_s + this.#every_s * (1 + this.#random());
        return true;
    }

    /** It was answered, or failed. */
    done() {
        this.#underWay = false;
    }
}

/** The acknowledgements of one feed, whatever connections it has. */
export class Acks {
    #around;
    #sampling;
    #sending = null;

    constructor(limits, around) {
        this.#around = around;
        this.#sampling = new Sampling(limits.ack_every_s, around.random);
    }

    /** An event came live and was applied. */
    offer(link, { text }, transport) {
        if (this.#sampling.take(this.#around.clock())) this.#send(link, text, transport);
    }

    /** Gives up the one that is under way; others may follow. */
    close() {
        this.#sending?.abort();
    }

    async #send(link, cursor, transport) {
        this.#sending = new AbortController();
        // Not the link's own signal: a poll that was answered is over, and the next one aborts it.
        await post({ ...link, signal: this.#sending.signal }, "/v1/acks", { cursor, transport: ON_THE_WIRE[transport] });
        this.#sampling.done();
    }
}
