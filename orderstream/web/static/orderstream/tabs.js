/**
 * Tabs of one browser that follow the same user: one of them leads and has the connection, the others are told by it.
 *
 * Whoever holds the Web Lock leads. The browser gives it to the next tab when the leading one is closed or crashes;
 * that tab has applied what it was told, so it goes on from its own cursor and nothing is lost. A tab that leads but
 * does not answer (browsers freeze pages) is robbed of the lock, and notices when it thaws. So is one that nobody
 * sees and that is not live, by a tab that is seen: browsers hold back the timers of hidden pages, and with them
 * every new attempt.
 *
 * Messages: `hello` asks whoever leads for all it knows; `state` is the answer; `moved` is what moved the leader's
 * cursor, `connection` and `problem` what it says of itself.
 */
export class Tabs {
    #name;
    #around;
    #limits;
    #host;
    #channel;
    #waiting = null;
    #release = null;
    #timer = null;
    #asking = false;
    #robbing = false;
    #outbox = [];
    #closed = false;

    /** `host` has `lead`, `yieldLead`, `take(message)`, `state`, `isStruggling` and `wake`; see `feed`. */
    constructor(name, { limits, around }, host) {
        this.#name = name;
        this.#limits = limits;
        this.#around = around;
        this.#host = host;
        this.#channel = around.newChannel(name);
        this.#channel.onmessage = ({ data: message }) => this.#heard(message);
    }

    get leads() {
        return this.#release !== null;
    }

    join() {
        this.#queue();
        this.ask();
    }

    /** Asks who leads for all it knows, and to `wake` where it waits; without an answer in time this tab leads. */
    ask(wake = false) {
        if (this.leads || this.#closed || (this.#asking && !wake)) return;
        this.#channel.postMessage({ kind: "hello", wake });
        // A second question does not give more time to answer the first.
        if (!this.#asking) this.#watch(this.#limits.handover_s, () => this.#rob());
        this.#asking = true;
    }

    /** Of the leading tab, to all others; together with what else is said in this turn. */
    tell(message) {
        if (!this.leads) return;
        if (this.#outbox.push(message) === 1) queueMicrotask(() => this.#send());
    }

    /** Lets go of the lock; others may lead. */
    leave() {
        this.#closed = true;
        this.#send();
        this.#around.clearTimer(this.#timer);
        this.#waiting?.abort();
        this.#release?.();
        this.#release = null;
        this.#channel.close();
    }

    #send() {
        const messages = this.#outbox;
        this.#outbox = [];
        if (messages.length > 0) this.#post({ kind: "moved", messages });
    }

    #post(message) {
        this.#channel.postMessage({ ...message, hidden: this.#around.isHidden() });
    }

    #heard(message) {
        if (this.#closed) return;
        if (message.kind === "hello") return this.#answer(message.wake);
        if (this.leads) return;
        this.#asking = false;
        if (message.kind === "state") this.#host.take(message);
        else for (const one of message.messages) this.#host.take(one);
        if (message.hidden && !this.#around.isHidden() && this.#host.isStruggling()) return this.#rob();
        // Somebody leads. Should nothing more come while this page is seen, it is asked again.
        if (!this.#asking) this.#watch(this.#limits.silence_s, () => this.#around.isHidden() || this.ask());
    }

    #answer(wake) {
        if (!this.leads) return;
        this.#send();
        const state = this.#host.state();
        // A leader that was signed out has nothing to give; who asks may have a credential that is good.
        if (state === null) return this.leave();
        this.#post({ kind: "state", ...state });
        if (wake) this.#host.wake();
    }

    #queue() {
        this.#waiting = new AbortController();
        this.#request({ signal: this.#waiting.signal });
    }

    #rob() {
        // Twice would be to rob oneself.
        if (this.leads || this.#robbing || this.#closed) return;
        this.#asking = false;
        this.#robbing = true;
        this.#waiting?.abort();
        this.#request({ steal: true });
    }

    #request(options) {
        const held = () =>
            new Promise((release) => {
                if (this.#closed) return release();
                this.#lead(release);
            });
        this.#around.locks.request(this.#name, options, held).catch(() => this.#robbed(options));
    }

    #lead(release) {
        this.#asking = this.#robbing = false;
        this.#around.clearTimer(this.#timer);
        this.#release = release;
        this.#host.lead();
    }

    // Also where the wait was given up for robbing: then there is nothing to give back.
    #robbed({ signal }) {
        if (this.#closed || signal?.aborted) return;
        const led = this.leads;
        this.#robbing = false;
        this.#release = null;
        if (led) this.#host.yieldLead();
        this.join();
    }

    #watch(for_s, work) {
        this.#around.clearTimer(this.#timer);
        this.#timer = this.#around.setTimer(work, for_s);
    }
}
