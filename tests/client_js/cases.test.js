// One suite of cases for both clients: what the JavaScript one makes of it. tests/client/test_cases.py asks the
// Python one.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { Sampling } from "../../orderstream/web/static/orderstream/acks.js";
import { Book, Hole } from "../../orderstream/web/static/orderstream/book.js";
import { LIMITS } from "../../orderstream/web/static/orderstream/limits.js";
import { Machine } from "../../orderstream/web/static/orderstream/machine.js";
import { PollReader, StreamReader } from "../../orderstream/web/static/orderstream/reader.js";
import { Parser } from "../../orderstream/web/static/orderstream/sse.js";
import { Malformed, cursor, orders } from "../../orderstream/web/static/orderstream/wire.js";
import { why } from "../../orderstream/web/static/orderstream/reasons.js";

const SUITES = {
    machine: runMachine,
    book: runBook,
    stream: runStream,
    poll: runPoll,
    sse: runSse,
    live: runLive,
    acks: runAcks,
    why: ({ order }) => why(order),
    checks: runChecks,
};

for (const [suite, run] of Object.entries(SUITES)) {
    for (const one of read(suite)) {
        test(`${suite}: ${one.name}`, () => assert.deepEqual(run(one), one.expected));
    }
}

test("both clients have the same defaults", () => {
    const shared = read("limits");
    const ours = Object.fromEntries(Object.keys(shared).map((name) => [name, LIMITS[name]]));
    assert.deepEqual(ours, shared);
});

function read(name) {
    return JSON.parse(readFileSync(new URL(`../client_cases/${name}.json`, import.meta.url), "utf8"));
}

function runMachine({ happenings, limits = {}, random = 0.5 }) {
    const machine = new Machine({ ...LIMITS, ...limits }, () => random);
    return happenings.map((happening, before) => {
        const actions = machine.on(happening, before + 1);
        return { state: machine.state, cause: machine.cause, actions };
    });
}

function runBook({ steps }) {
    const book = new Book();
    return steps.map((step) => {
        const told = bookStep(book, step);
        const known = [...book.orders.values()].map(({ id, status, version }) => [id, [status, version]]);
        return { told, cursor: book.cursor?.text ?? null, orders: Object.fromEntries(known) };
    });
}

function bookStep(book, step) {
    if (step.forget) return book.forget() ?? null;
    return caught(() => {
        const { snapshot: taken, event } = step;
        const told = taken
            ? book.snapshot(orders(taken.orders), cursor(taken.cursor), taken.reset)
            : book.apply(...event);
        return told?.kind ?? null;
    });
}

function runStream({ frames, cursor: at, renewable = true }) {
    const reader = new StreamReader(bookAt(at), renewable);
    return frames.map(([name, id, payload]) => said(reader.read({ name, id, payload: asText(payload) })));
}

function runPoll({ answers, cursor: at }) {
    const reader = new PollReader(bookAt(at));
    return answers.map(({ body, held }) => said(reader.read({ body: asText(body), held })));
}

function runLive({ cursor: at, frames = [], answers = [] }) {
    const [book, live] = [bookAt(at), []];
    const cameLive = ({ text }) => live.push(text);
    const stream = new StreamReader(book, true, cameLive);
    const poll = new PollReader(book, cameLive);
    for (const [name, id, payload] of frames) said(stream.read({ name, id, payload: asText(payload) }));
    for (const body of answers) {
        if (body === null) poll.caughtUp();
        else said(poll.read({ body: asText(body), held: true }));
    }
    return live;
}

function runAcks({ every_s, random, steps }) {
    const sampling = new Sampling(every_s, () => random);
    return steps.map((step) => (step === "done" ? (sampling.done() ?? null) : sampling.take(step)));
}

function runChecks({ event: [name, payload] }) {
    const told = bookAt("0a1b2c3d.4").apply(name, "0a1b2c3d.5", payload);
    return (told.change ?? told.execution).check;
}

function runSse({ chunks, limit }) {
    const parser = new Parser(limit);
    return caught(() => {
        const frames = chunks.flatMap((chunk) => parser.feed(asBytes(chunk)));
        return { frames, retry_s: parser.retry_s };
    });
}

function said(told) {
    const words = [];
    const end = caught(() => {
        for (const one of told) words.push(one.told?.kind ?? one.happening);
        return null;
    });
    return end === null ? words : [...words, end];
}

function caught(run) {
    try {
        return run();
    } catch (error) {
        if (error instanceof Hole) return "hole";
        if (error instanceof Malformed) return "malformed";
        throw error;
    }
}

function bookAt(at) {
    const book = new Book();
    book.cursor = at === undefined ? null : cursor(at);
    return book;
}

function asText(payload) {
    return typeof payload === "string" ? payload : JSON.stringify(payload);
}

function asBytes(chunk) {
    return typeof chunk === "string" ? Buffer.from(chunk) : Buffer.from(chunk.hex, "hex");
}
