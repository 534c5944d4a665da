// Tabs in one program: locks of our own, Node's BroadcastChannel, a scripted server.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { changed, eventually, hasOrders, isState, jwt, newFeed, until } from "./feeds.js";
import * as s from "./script.js";
import { at } from "./script.js";

const ANN = jwt({ sub: "ann" });

/** The part of Web Locks that tabs use, as the standard has it: exclusive, in order, `steal`, `signal`. */
class Locks {
    #queues = new Map();

    request(name, { signal, steal }, work) {
        return new Promise((resolve, reject) => {
            const queue = this.#queues.get(name) ?? [];
            this.#queues.set(name, queue);
            const claim = { work, resolve, reject, held: false };
            signal?.addEventListener("abort", () => claim.held || this.#drop(queue, claim, "AbortError"));
            if (steal && queue[0]?.held) this.#drop(queue, queue[0], "AbortError");
            steal ? queue.unshift(claim) : queue.push(claim);
            this.#next(queue);
        });
    }

    #drop(queue, claim, why) {
        queue.splice(queue.indexOf(claim), 1);
        claim.reject(new DOMException("the lock is gone", why));
    }

    #next(queue) {
        const [first] = queue;
        if (!first || first.held) return;
        first.held = true;
        queueMicrotask(async () => {
            const value = await first.work();
            if (queue[0] !== first) return;
            queue.shift();
            first.resolve(value);
            this.#next(queue);
        });
    }
}

let script;
let tabs;
let locks;

beforeEach(async () => {
    script = await new s.Script().start();
    locks = new Locks();
    tabs = [];
});

afterEach(async () => {
    for (const tab of tabs) tab.close();
    await script.stop();
});

function newTab(options = {}, around = {}) {
    // Only the tab that is deaf does not answer: one of a program that stands still answers late.
    const limits = { handover_s: 30, ...options.limits };
    const tab = newFeed(script.url, { token: ANN, ...options, limits }, { locks, ...around });
    tabs.push(tab);
    return tab;
}

test("three tabs have one connection and all are told everything", async () => {
    let later;
    script.streams = [(response) => s.stream(s.snapshot(4, s.row("a")), s.live(4))((later = response))];
    const [first, second, third] = [newTab(), newTab(), newTab()];
    for (const tab of [first, second, third]) await until(tab, isState(tab, "live"));
    later.write(s.order(5, "b"));
    for (const tab of [first, second, third]) await until(tab, hasOrders(tab, "a", "b"));
    assert.equal(script.streamRequests.length, 1);
    assert.deepEqual([second.cursor, third.cursor], [at(5), at(5)]);
});

test("of three tabs the one that leads acknowledges", async () => {
    let later;
    script.streams = [(response) => s.stream(s.snapshot(4), s.live(4))((later = response))];
    for (const tab of [newTab(), newTab(), newTab()]) await until(tab, isState(tab, "live"));
    later.write(s.order(5, "a"));
    for (const tab of tabs) await until(tab, hasOrders(tab, "a"));
    await eventually(() => script.acks.length > 0);
    assert.deepEqual(script.acks, [{ cursor: at(5), transport: "sse" }]);
});

test("the next tab goes on from its cursor when the leading one is closed", async () => {
    script.streams = [s.stream(s.snapshot(4, s.row("a")), s.live(4)), s.stream(s.order(5, "b"), s.live(5))];
    const [first, second, third] = [newTab(), newTab(), newTab()];
    for (const tab of [first, second, third]) await until(tab, isState(tab, "live"));
    first.close();
    for (const tab of [second, third]) await until(tab, () => changed(tab).includes("b"));
    assert.equal(script.streamRequests.length, 2);
    assert.equal(script.streamRequests[1]["last-event-id"], at(4));
});

test("a tab that comes later is told all that is known, without a request", async () => {
    script.streams = [s.stream(s.snapshot(4, s.row("a")), s.live(4), s.order(5, "b"))];
    const first = newTab();
    await until(first, hasOrders(first, "a", "b"));
    const second = newTab();
    await until(second, hasOrders(second, "a", "b"));
    assert.equal(second.connection.state, "live");
    assert.equal(script.streamRequests.length, 1);
});

test("a leading tab that does not answer is robbed, and follows when it thaws", async () => {
    script.streams = [s.stream(s.snapshot(4, s.row("a")), s.live(4)), s.stream(s.snapshot(4, s.row("a")), s.live(4))];
    class Deaf extends BroadcastChannel {
        set onmessage(_) {}
    }
    const frozen = newTab({}, { newChannel: (name) => new Deaf(name) });
    await until(frozen, isState(frozen, "live"));
    const second = newTab({ limits: { handover_s: 0.1 } });
    await until(second, isState(second, "live"));
    assert.equal(script.streamRequests.length, 2);
});

test("a tab that is seen takes over from a hidden one that is not live", async () => {
    script.streams = [...Array(3).fill(s.status(502)), s.stream(s.snapshot(4), s.live(4))];
    const never = { probe_s: 600, probe_cap_s: 600, backoff_s: 0.001 };
    const hidden = newTab({ limits: never }, { isHidden: () => true });
    await until(hidden, isState(hidden, "polling"));
    const seen = newTab({ limits: never });
    for (const tab of [seen, hidden]) await until(tab, isState(tab, "live"));
    assert.equal(script.streamRequests.length, 4);
});

test("signed out is signed out in every tab, and one that signs in again leads", async () => {
    script.streams = [
        s.stream(s.snapshot(4), s.live(4), s.goaway("session-revoked", false)),
        s.stream(s.snapshot(4), s.live(4)),
    ];
    const [first, second] = [newTab(), newTab()];
    for (const tab of [first, second]) await until(tab, isState(tab, "signed-out"));
    const third = newTab();
    await until(third, isState(third, "live"));
    assert.equal(script.streamRequests.length, 2);
});

test("tabs of two users share nothing", async () => {
    script.streams = [s.stream(s.snapshot(4, s.row("a")), s.live(4)), s.stream(s.snapshot(9, s.row("z")), s.live(9))];
    const ann = newTab();
    await until(ann, isState(ann, "live"));
    const bob = newTab({ token: jwt({ sub: "bob" }) });
    await until(bob, isState(bob, "live"));
    assert.deepEqual([[...ann.orders.keys()], [...bob.orders.keys()]], [["a"], ["z"]]);
});

test("with a cookie nobody knows whose tabs they are, so they share only what the page names", async () => {
    script.streams = [s.stream(s.snapshot(4), s.live(4)), s.stream(s.snapshot(4), s.live(4))];
    const [first, second] = [newTab({ token: null }), newTab({ token: null })];
    for (const tab of [first, second]) await until(tab, isState(tab, "live"));
    assert.equal(script.streamRequests.length, 2);
    script.streams = [s.stream(s.snapshot(4), s.live(4))];
    const [third, fourth] = [newTab({ token: null, share: "ann" }), newTab({ token: null, share: "ann" })];
    for (const tab of [third, fourth]) await until(tab, isState(tab, "live"));
    assert.equal(script.streamRequests.length, 3);
});
