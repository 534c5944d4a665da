/**
 * One tab's connections: what they heard is judged by the book and the machine, whose actions are carried out here.
 *
 * A connection that was closed may still have something to say; it is known by its abort signal and not listened to.
 */
import { Hole } from "./book.js";
import { NoCredential } from "./credential.js";
import { Began, Cause, Dismissed, Due, PollLost, State, StreamLost, Timer, Transport, Woken } from "./happenings.js";
import { Machine } from "./machine.js";
import { PollReader, StreamReader } from "./reader.js";
import { poll, stream } from "./transports.js";
import { Malformed } from "./wire.js";

// A JWT that came too late, or could not be had, is not asked for again sooner.
const RENEWAL_PAUSE_S = 5;

export class Line {
    #url;
    #credential;
    #book;
    #acks;
    #limits;
    #around;
    #listener;
    #machine;
    #open = new Map();
    #timers = new Map();
    #due_s = new Map();
    #links = new Map();
    #streamReader = null;
    #pollReader;
    #keeper = null;
    #heard_s = 0;
    #every_s = null;
    // Whether the poll before was answered. The first one is not held, so that it is soon known whether polls work.
    #isAnswered = false;
    #closed = false;

    /** `listener` has `told`, `connection` and `problem`. */
    constructor({ url, credential, book, acks, limits, around }, listener) {
        this.#url = url;
        this.#credential = credential;
        this.#book = book;
        this.#acks = acks;
        this.#limits = limits;
        this.#around = around;
        this.#listener = listener;
        this.#machine = new Machine(limits, around.random);
        this.#pollReader = this.#newPollReader();
    }

    start() {
        this.#heard_s = this.#around.clock();
        this.#on(Began());
        if (this.#credential.renewable) this.#keepFresh();
    }

    close() {
        this.#closed = true;
        this.#around.clearTimer(this.#keeper);
        this.#acks.close();
        for (const transport of [...this.#open.keys()]) this.#leave(transport);
        for (const timer of [...this.#timers.keys()]) this.#stop(timer);
    }

    /** Somebody looks again: what waits is done now. `certain`: what is open has not lived through it. */
    wake(certain) {
        const { suspect_s, poll_wait_s, first_byte_s } = this.#limits;
        const longest_s = this.#machine.state === State.LIVE ? suspect_s : poll_wait_s + first_byte_s;
        this.#on(Woken(certain || this.#around.clock() - this.#heard_s > longest_s));
    }

    #on(happening) {
        if (this.#closed) return;
        if (happening.kind === "PollAnswered") {
            this.#every_s = happening.held ? null : this.#limits.poll_interval_s;
            this.#isAnswered = true;
        }
        for (const action of this.#machine.on(happening, this.#around.clock())) this.#carryOut(action);
        this.#listener.connection(this.#connection());
    }

    #connection() {
        const { state, transport, since_s, cause } = this.#machine;
        const waits = { [State.CONNECTING]: [Timer.STREAM], [State.OFFLINE]: [Timer.STREAM, Timer.POLL] }[state] ?? [];
        const due_s = waits.filter((timer) => this.#timers.has(timer)).map((timer) => this.#due_s.get(timer));
        return {
            state,
            transport,
            since_at: new Date(since_s * 1000),
            cause,
            retry_at: due_s.length ? new Date(Math.min(...due_s) * 1000) : null,
            every_s: state === State.POLLING ? this.#every_s : null,
        };
    }

    #carryOut(action) {
        const { kind, timer } = action;
        if (kind === "OpenStream") this.#connect(Transport.SSE, (link, cursor) => this.#stream(link, cursor));
        else if (kind === "AskPoll") this.#ask();
        else if (kind === "CloseStream") this.#leave(Transport.SSE);
        else if (kind === "ClosePoll") this.#closePoll();
        else if (kind === "Wait") this.#wait(timer, action.for_s);
        else if (kind === "Stop") this.#stop(timer);
        else if (kind === "Hasten" && this.#timers.has(timer)) this.#wait(timer, 0);
        else if (kind === "Forget") this.#book.forget();
        else if (kind === "RenewJwt") this.#renew();
        else if (kind === "End") this.close();
    }

    #wait(timer, for_s) {
        this.#stop(timer);
        this.#due_s.set(timer, this.#around.clock() + for_s);
        const due = () => {
            this.#timers.delete(timer);
            this.#on(Due(timer));
        };
        this.#timers.set(timer, this.#around.setTimer(due, for_s));
    }

    #stop(timer) {
        this.#around.clearTimer(this.#timers.get(timer));
        this.#timers.delete(timer);
    }

    #leave(transport) {
        this.#open.get(transport)?.abort();
        this.#open.delete(transport);
    }

    #ask() {
        const wait_s = this.#isAnswered ? this.#limits.poll_wait_s : 0;
        this.#connect(Transport.LONG_POLL, (link, cursor) => poll(link, cursor, wait_s));
    }

    #closePoll() {
        this.#isAnswered = false;
        this.#leave(Transport.LONG_POLL);
        this.#pollReader = this.#newPollReader();
    }

    async #connect(transport, follow) {
        this.#leave(transport);
        const controller = new AbortController();
        this.#open.set(transport, controller);
        const { signal } = controller;
        const hear = (heard) => signal.aborted || this.#judge(heard);
        hear(await this.#follow(transport, signal, hear, follow));
    }

    async #follow(transport, signal, hear, follow) {
        let link;
        try {
            link = await this.#link(transport, signal, hear);
        } catch (error) {
            return this.#noJwt(transport, error);
        }
        return follow(link, this.#book.cursor?.text ?? null);
    }

    async #link(transport, signal, hear) {
        const jwt = await this.#credential.jwt();
        const [url, limits, around] = [this.#url, this.#limits, this.#around];
        const link = { url, jwt, limits, around, signal, hear, renewable: this.#credential.renewable };
        this.#links.set(transport, link);
        return link;
    }

    #noJwt(transport, error) {
        if (error instanceof NoCredential) return Dismissed(error.message);
        this.#listener.problem({ kind: "token", detail: String(error), error });
        return (transport === Transport.SSE ? StreamLost : PollLost)(Cause.FAILED);
    }

    #stream(link, cursor) {
        this.#streamReader = new StreamReader(this.#book, link.renewable, (at) => this.#cameLive(Transport.SSE, at));
        return stream(link, cursor);
    }

    #newPollReader() {
        return new PollReader(this.#book, (at) => this.#cameLive(Transport.LONG_POLL, at));
    }

    #cameLive(transport, at) {
        this.#acks.offer(this.#links.get(transport), at, transport);
    }

    #judge(heard) {
        this.#heard_s = this.#around.clock();
        if (heard.kind === "PollAnswered") this.#pollReader.caughtUp();
        if (heard.kind !== undefined) {
            if (heard.cause === Cause.MALFORMED) this.#malformed("an answer that is too large");
            this.#on(heard);
            return;
        }
        const isFrame = heard.name !== undefined;
        const lost = isFrame ? StreamLost : PollLost;
        const read = (isFrame ? this.#streamReader : this.#pollReader).read(heard);
        try {
            for (const { told, happening } of read) {
                if (told !== undefined) this.#listener.told(told);
                else this.#on(happening);
            }
        } catch (error) {
            if (error instanceof Hole) return this.#on(lost(Cause.HOLE));
            if (!(error instanceof Malformed)) throw error;
            this.#malformed(error.message);
            this.#on(lost(Cause.MALFORMED));
        }
    }

    #malformed(detail) {
        this.#book.malformed += 1;
        this.#listener.problem({ kind: "malformed", detail, count: this.#book.malformed });
    }

    #renew() {
        for (const { jwt } of this.#links.values()) this.#credential.spoil(jwt);
        if (this.#credential.renewable) this.#keepFresh();
    }

    /** Fetches the next JWT before this one ends, so that the stream comes back with it at once. */
    async #keepFresh() {
        let freshFor_s = RENEWAL_PAUSE_S;
        try {
            await this.#credential.jwt();
            freshFor_s = this.#credential.freshFor_s();
        } catch (error) {
            if (error instanceof NoCredential) return this.#on(Dismissed(error.message));
        }
        if (freshFor_s === null || this.#closed) return;
        this.#around.clearTimer(this.#keeper);
        this.#keeper = this.#around.setTimer(() => this.#keepFresh(), Math.max(freshFor_s, RENEWAL_PAUSE_S));
    }
}
