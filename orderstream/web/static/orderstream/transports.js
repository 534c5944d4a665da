/**
 * The bytes: one stream, or one poll, over `fetch`; every way it can end becomes a happening.
 *
 * A stream is fetched rather than opened as an EventSource, which cannot send a header, hides the status of an
 * answer, gives up for ever at any but 200, and cannot be told to stop waiting. Where `fetch` cannot stream, long-
 * poll does.
 */
import { Cause, Dismissed, PollAnswered, PollLost, Refused, Retry, StreamLost } from "./happenings.js";
import { Parser } from "./sse.js";
import { Malformed } from "./wire.js";

/** Reads until the stream ends; a promise of why, a happening. `link.hear` is given frames and happenings. */
export async function stream(link, cursor) {
    const watch = new Watch(link);
    try {
        return await readStream(link, cursor, watch);
    } catch (error) {
        if (error instanceof Malformed) return StreamLost(Cause.MALFORMED);
        return StreamLost(watch.rang ? Cause.SILENT : Cause.FAILED);
    } finally {
        watch.end();
    }
}

/** A promise of one poll's answer: a happening, or `{body, held}`. It asks to be held for `wait_s`; 0 is not held. */
export async function poll(link, cursor, wait_s) {
    const watch = new Watch(link);
    try {
        return await readPollAnswer(link, cursor, wait_s, watch);
    } catch (error) {
        if (error instanceof Malformed) return PollLost(Cause.MALFORMED);
        return PollLost(watch.rang ? Cause.SILENT : Cause.FAILED);
    } finally {
        watch.end();
    }
}

/** Sends JSON, within the time of a first byte; a promise that it is over, whatever became of it. */
export async function post(link, path, payload) {
    const watch = new Watch(link);
    watch.within(link.limits.first_byte_s);
    const options = { method: "POST", body: JSON.stringify(payload) };
    try {
        await ask(link, path, { "Content-Type": "application/json" }, watch.signal, options);
    } catch {
        // Whoever must know has another way.
    } finally {
        watch.end();
    }
}

/** Aborts its request when nothing was heard for a while; `link.signal` aborts it too. */
class Watch {
    #around;
    #timer = null;
    #controller = new AbortController();
    #abort = () => this.#controller.abort();
    #outer;

    constructor({ around, signal }) {
        this.rang = false;
        this.#around = around;
        this.#outer = signal;
        signal.addEventListener("abort", this.#abort);
        if (signal.aborted) this.#abort();
    }

    get signal() {
        return this.#controller.signal;
    }

    within(for_s) {
        this.#around.clearTimer(this.#timer);
        this.#timer = this.#around.setTimer(() => {
            this.rang = true;
            this.#abort();
        }, for_s);
    }

    end() {
        this.#around.clearTimer(this.#timer);
        this.#outer.removeEventListener("abort", this.#abort);
        // A body that was not read to its end would keep its connection.
        this.#abort();
    }
}

async function readStream(link, cursor, watch) {
    watch.within(link.limits.first_byte_s);
    const resume = cursor === null ? {} : { "Last-Event-ID": cursor };
    const response = await ask(link, "/v1/orders/stream", { Accept: "text/event-stream", ...resume }, watch.signal);
    const verdict = judged(response, link);
    if (verdict !== null) return verdict;
    if (!isGood(response, "text/event-stream")) return StreamLost(blame(response), retryAfter_s(response));
    const parser = new Parser();
    let retry_s = null;
    for await (const chunk of chunks(response)) {
        watch.within(link.limits.silence_s);
        for (const frame of parser.feed(chunk)) link.hear(frame);
        if (parser.retry_s !== retry_s) link.hear(Retry((retry_s = parser.retry_s)));
    }
    return StreamLost(Cause.ENDED);
}

async function readPollAnswer(link, cursor, wait_s, watch) {
    const { limits, around } = link;
    const asked_s = around.clock();
    watch.within(wait_s + limits.first_byte_s);
    const resume = cursor === null ? {} : { "If-None-Match": `W/"${cursor}"` };
    const response = await ask(
        link,
        "/v1/orders/poll",
        { Prefer: `wait=${Math.round(wait_s)}`, ...resume },
        watch.signal,
    );
    const held = wait_s === 0 || around.clock() - asked_s >= limits.held_s;
    const verdict = judged(response, link);
    if (verdict !== null) return verdict;
    if (response.status === 304) return PollAnswered(held);
    if (!isGood(response, "application/json")) return PollLost(blame(response), retryAfter_s(response));
    return { body: await bounded(response, limits.poll_answer_bytes), held };
}

function ask({ around, url, jwt }, path, headers, signal, options = {}) {
    const authorization = jwt === null ? {} : { Authorization: `Bearer ${jwt}` };
    return around.fetch(url + path, {
        ...options,
        headers: { ...headers, ...authorization },
        // Ours to say what is new; a browser's cache would be one more place to be wrong.
        cache: "no-store",
        credentials: jwt === null ? "include" : "same-origin",
        signal,
    });
}

// `for await` over a body is not in every browser.
async function* chunks(response) {
    const reader = response.body.getReader();
    for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        yield value;
    }
}

async function bounded(response, limit_bytes) {
    const decoder = new TextDecoder();
    let [text, size_bytes] = ["", 0];
    for await (const chunk of chunks(response)) {
        size_bytes += chunk.length;
        if (size_bytes > limit_bytes) throw new Malformed(`an answer of more than ${limit_bytes} bytes`);
        text += decoder.decode(chunk, { stream: true });
    }
    return text + decoder.decode();
}

// What the server thinks of us, where that is the answer.
function judged({ status }, { renewable }) {
    if (status === 401) return Refused(renewable, "unauthorized");
    if (status === 403) return Dismissed("forbidden");
    // "204 is kept for: logged out, never come back."
    return status === 204 ? Dismissed("session-revoked") : null;
}

function isGood(response, type) {
    return response.status === 200 && (response.headers.get("Content-Type") ?? "").split(";")[0].trim() === type;
}

function blame({ status }) {
    return status === 429 || status === 503 ? Cause.OVERLOAD : Cause.FAILED;
}

function retryAfter_s(response) {
    // The header's other form, a date, would need the server's clock; the backoff is good enough then.
    const text = response.headers.get("Retry-After") ?? "";
    return /^[0-9]+$/.test(text) ? Number(text.slice(0, 6)) : 0;
}
