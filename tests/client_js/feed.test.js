// The feed over real sockets, against a scripted server.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { changed, eventually, hasOrders, isState, jwt, newFeed, states, until } from "./feeds.js";
import * as s from "./script.js";
import { at } from "./script.js";

let script;
let feed;

beforeEach(async () => {
    script = await new s.Script().start();
});

afterEach(async () => {
    feed?.close();
    await script.stop();
});

test("a new feed takes the snapshot, then what came after it", async () => {
    script.streams = [s.stream(s.snapshot(4, s.row("a")), s.live(4), s.order(5, "b"))];
    feed = newFeed(script.url);
    await until(feed, hasOrders(feed, "a", "b"));
    assert.deepEqual([...feed.orders.keys()], ["a", "b"]);
    assert.equal(feed.cursor, at(5));
    assert.deepEqual(states(feed), ["connecting", "live"]);
    assert.equal(script.streamRequests[0].authorization, "Bearer jwt");
});

test("a feed resumes from its cursor when the stream breaks, and tells nothing twice", async () => {
    script.streams = [
        s.ended(s.snapshot(4), s.live(4), s.order(5, "a")),
        s.stream(s.order(5, "a"), s.order(6, "b"), s.live(6)),
    ];
    feed = newFeed(script.url);
    await until(feed, () => changed(feed).includes("b"));
    assert.equal(script.streamRequests[1]["last-event-id"], at(5));
    assert.deepEqual(changed(feed), ["a", "b"]);
});

test("long-poll carries on from the same cursor when streams fail", async () => {
    script.streams = [s.ended(s.snapshot(4), s.live(4)), ...Array(20).fill(s.status(502))];
    script.polls = [s.polled(5, "a"), s.polled(6, "b")];
    feed = newFeed(script.url);
    await until(feed, hasOrders(feed, "a", "b"));
    assert.equal(script.pollRequests[0]["if-none-match"], `W/"${at(4)}"`);
    // The first one is not held: an answer soon, or no polling mode.
    assert.deepEqual(script.pollRequests.slice(0, 2).map(({ prefer }) => prefer), ["wait=0", "wait=25"]);
    assert.equal(feed.connection.transport, "long-poll");
    assert.equal(feed.connection.every_s, null);
});

test("long-poll is taken at once when a proxy keeps the stream", async () => {
    script.polls = [s.body({ cursor: at(4), orders: [s.row("a")], executions: [] })];
    feed = newFeed(script.url, { limits: { first_byte_s: 2, probe_s: 60, probe_cap_s: 60 } });
    await until(feed, hasOrders(feed, "a"));
    assert.equal(script.streamRequests.length, 1);
    assert.equal(feed.connection.state, "polling");
});

test("a stream that falls silent is given up although nobody closed it", async () => {
    script.streams = [s.stream(s.snapshot(4), s.live(4))];
    script.polls = [s.polled(5, "a")];
    feed = newFeed(script.url, { limits: { silence_s: 2 } });
    await until(feed, hasOrders(feed, "a"));
    assert.deepEqual(states(feed), ["connecting", "live", "polling"]);
});

test("a network that fell silent is offline as soon as the first poll has no answer either", async () => {
    script.streams = [s.stream(s.snapshot(4), s.live(4))];
    feed = newFeed(script.url, { limits: { silence_s: 2, first_byte_s: 2 } });
    await until(feed, () => feed.connection.state === "offline");
    assert.deepEqual(states(feed), ["connecting", "live", "polling", "offline"]);
});

test("polls that cannot be held are asked at an interval, which the page is told", async () => {
    // One that is answered late counts as held.
    script.polls = Array(200).fill(s.status(304));
    feed = newFeed(script.url, { cursor: at(4), limits: { first_byte_s: 2, probe_s: 60, probe_cap_s: 60 } });
    await until(feed, () => feed.connection.every_s === 0.05);
    script.polls = [s.polled(5, "a")];
    await until(feed, hasOrders(feed, "a"));
    assert.equal(feed.connection.state, "polling");
});

test("the stream is taken back when it holds, and what both transports bring is told once", async () => {
    script.streams = [...Array(3).fill(s.status(502)), s.stream(s.order(5, "a"), s.live(5), s.order(6, "b"))];
    script.polls = [s.polled(5, "a")];
    feed = newFeed(script.url, { cursor: at(4) });
    await until(feed, () => changed(feed).includes("b"));
    assert.deepEqual(changed(feed), ["a", "b"]);
    assert.deepEqual(states(feed), ["connecting", "polling", "live"]);
});

test("nobody answering is offline, says when it is tried again, and comes back", async () => {
    script.streams = Array(3).fill(s.status(502));
    script.polls = [s.status(503, { "Retry-After": "300" })];
    feed = newFeed(script.url, { cursor: at(4), limits: { probe_s: 600, probe_cap_s: 600 } });
    await until(feed, () => feed.connection.state === "offline" && feed.connection.retry_at !== null);
    assert.equal(feed.connection.cause, "overload");
    assert(feed.connection.retry_at - Date.now() > 250_000);
    script.streams = [s.stream(s.order(5, "a"), s.live(5))];
    feed.reconnect();
    await until(feed, isState(feed, "live"));
    assert(feed.orders.has("a"));
});

test("a hole is fetched again and nothing is guessed", async () => {
    script.streams = [
        s.stream(s.snapshot(5), s.live(5), s.order(7, "b")),
        s.stream(s.order(6, "a"), s.order(7, "b"), s.live(7)),
    ];
    feed = newFeed(script.url);
    await until(feed, () => changed(feed).includes("b"));
    assert.deepEqual(changed(feed), ["a", "b"]);
    assert.equal(script.streamRequests[1]["last-event-id"], at(5));
});

test("a heartbeat that stays ahead of us is a hole", async () => {
    script.streams = [s.stream(s.snapshot(5), s.live(5), s.heartbeat(6)), s.stream(s.order(6, "a"), s.live(6))];
    feed = newFeed(script.url, { limits: { behind_s: 0.05 } });
    await until(feed, hasOrders(feed, "a"));
    assert(feed.said.some(([name, { cause }]) => name === "connection" && cause === "hole"));
});

test("a reset takes the snapshot whole, and the page is told why", async () => {
    script.streams = [
        s.ended(s.snapshot(5, s.row("a"), s.row("b")), s.live(5)),
        s.stream(s.frame("reset", { reason: "epoch-changed" }), s.snapshot(2, s.row("b")), s.live(2)),
    ];
    feed = newFeed(script.url);
    await until(feed, () => feed.said.some(([, { reset }]) => reset === "epoch-changed"));
    assert.deepEqual([...feed.orders.keys()], ["b"]);
    assert.equal(feed.cursor, at(2));
});

test("a malformed event is counted, reported, and repaired by a fresh snapshot", async () => {
    script.streams = [
        s.stream(s.snapshot(5, s.row("a")), s.live(5), s.frame("order", '{"order":', at(6))),
        s.stream(s.snapshot(6, s.row("b")), s.live(6)),
    ];
    feed = newFeed(script.url);
    await until(feed, hasOrders(feed, "b"));
    assert.equal(feed.malformed, 1);
    assert.equal(feed.said.filter(([name, { kind }]) => name === "problem" && kind === "malformed").length, 1);
    assert.equal(script.streamRequests[1]["last-event-id"], undefined);
});

test("a drain is waited out as long as the server says", async () => {
    script.streams = [
        s.stream(s.snapshot(4), s.live(4), s.goaway("drain", true, 150)),
        s.stream(s.order(5, "a"), s.live(5)),
    ];
    feed = newFeed(script.url, {}, { clock: () => 1000 });
    await until(feed, () => feed.connection.cause === "drain");
    assert.equal(feed.connection.retry_at.getTime(), 1_000_150);
    await until(feed, hasOrders(feed, "a"));
});

for (const code of [401, 403, 204]) {
    test(`a fixed JWT that is answered ${code} signs the feed out`, async () => {
        script.streams = [s.status(code)];
        feed = newFeed(script.url);
        await until(feed, isState(feed, "signed-out"));
        assert.equal(script.streamRequests.length, 1);
    });
}

test("a goaway for good is obeyed", async () => {
    script.streams = [s.stream(s.snapshot(4), s.live(4), s.goaway("session-revoked", false))];
    feed = newFeed(script.url);
    await until(feed, isState(feed, "signed-out"));
    assert.equal(feed.connection.cause, "session-revoked");
    assert.equal(script.streamRequests.length, 1);
});

test("an expired JWT is replaced, and the stream goes on from the same cursor", async () => {
    let given = 0;
    script.streams = [
        s.stream(s.snapshot(4), s.live(4), s.goaway("auth-expired")),
        s.stream(s.order(5, "a"), s.live(5)),
    ];
    feed = newFeed(script.url, { token: async () => `jwt-${++given}` });
    await until(feed, hasOrders(feed, "a"));
    assert.equal(script.streamRequests[1].authorization, "Bearer jwt-2");
    assert.equal(script.streamRequests[1]["last-event-id"], at(4));
});

test("a JWT is fetched when the stream says that its own will end, and the stream goes on", async () => {
    const given = [];
    const token = async () => given.push("jwt") && `jwt-${given.length}`;
    script.streams = [
        s.stream(s.snapshot(4), s.live(4), s.frame("auth-expiring", { expires_in_s: 60 }), s.order(5, "a")),
    ];
    feed = newFeed(script.url, { token });
    await until(feed, hasOrders(feed, "a"));
    assert.equal(given.length, 2);
    assert.equal(script.streamRequests.length, 1);
});

test("a new JWT is fetched before the old one ends", async () => {
    const timers = [];
    const setTimer = (work, for_s) => timers.push(for_s) && setTimeout(work, for_s * 1000);
    const token = () => jwt({ sub: "ann", exp: Date.now() / 1000 + 1000 });
    script.streams = [s.stream(s.snapshot(4), s.live(4))];
    feed = newFeed(script.url, { token }, { setTimer });
    await until(feed, isState(feed, "live"));
    assert(timers.some((for_s) => for_s > 930 && for_s <= 940));
});

test("a page that has no JWT any more is signed out", async () => {
    feed = newFeed(script.url, { token: () => null });
    await until(feed, isState(feed, "signed-out"));
    assert.equal(script.streamRequests.length, 0);
});

test("the JWT of somebody else ends the feed instead of mixing two users' orders", async () => {
    const users = ["ann", "bob"];
    script.streams = [s.stream(s.snapshot(4), s.live(4), s.goaway("auth-expired"))];
    feed = newFeed(script.url, { token: () => jwt({ sub: users.shift() }) });
    await until(feed, isState(feed, "signed-out"));
    assert.equal(feed.connection.cause, "another-user");
});

test("a token function that fails is a problem, and is asked again", async () => {
    let asked = 0;
    const token = async () => {
        if (++asked < 3) throw new TypeError("no network");
        return "jwt";
    };
    script.streams = [s.stream(s.snapshot(4, s.row("a")), s.live(4))];
    feed = newFeed(script.url, { token });
    await until(feed, isState(feed, "live"));
    assert.equal(
        feed.said.some(([name, { kind }]) => name === "problem" && kind === "token"),
        true,
    );
});

test("a token function that never answers is a problem, and is asked again", async () => {
    const answers = [new Promise(() => {}), "jwt"];
    script.streams = [s.stream(s.snapshot(4), s.live(4))];
    feed = newFeed(script.url, { token: () => answers.shift(), limits: { token_s: 0.05 } });
    await until(feed, isState(feed, "live"));
    assert(feed.said.some(([name, { kind }]) => name === "problem" && kind === "token"));
});

test("a cookie that is refused is shown once more, for it may have been renewed", async () => {
    script.streams = [s.stream(s.snapshot(4), s.live(4), s.goaway("auth-expired")), s.stream(s.live(4))];
    feed = newFeed(script.url, { token: null });
    await until(feed, () => script.streamRequests.length === 2 && feed.connection.state === "live");
    assert.equal(script.streamRequests[1].authorization, undefined);
});

test("a cookie that is refused twice is signed out", async () => {
    script.streams = [s.status(401), s.status(401)];
    feed = newFeed(script.url, { token: null });
    await until(feed, isState(feed, "signed-out"));
    assert.equal(script.streamRequests.length, 2);
});

test("a feed that is signed out waits for nothing and asks for no more JWTs", async () => {
    const running = new Set();
    const setTimer = (work, for_s) => {
        const timer = setTimeout(() => running.delete(timer) && work(), for_s * 1000);
        running.add(timer);
        return timer;
    };
    const clearTimer = (timer) => running.delete(timer) && clearTimeout(timer);
    const token = () => jwt({ sub: "ann", exp: Date.now() / 1000 + 1000 });
    script.streams = [s.stream(s.snapshot(4), s.live(4), s.goaway("session-revoked", false))];
    feed = newFeed(script.url, { token }, { setTimer, clearTimer });
    await until(feed, isState(feed, "live"));
    await until(feed, isState(feed, "signed-out"));
    await eventually(() => running.size === 0);
});

test("a mistake of the page's in a listener does not end its feed", async () => {
    const reported = [];
    script.streams = [s.stream(s.snapshot(4), s.live(4), s.order(5, "a"))];
    feed = newFeed(script.url, {}, { report: (error) => reported.push(error.message) });
    feed.on("connection", () => {
        throw new Error("oops");
    });
    await until(feed, hasOrders(feed, "a"));
    assert.equal(reported[0], "oops");
});

test("waking opens a new stream from the cursor where the old one may be dead", async () => {
    let wake;
    const watch = (woken) => (wake = woken) && (() => {});
    script.streams = [s.stream(s.snapshot(4), s.live(4)), s.stream(s.order(5, "a"), s.live(5))];
    feed = newFeed(script.url, {}, { watch });
    await until(feed, isState(feed, "live"));
    wake(true);
    await until(feed, hasOrders(feed, "a"));
    assert.equal(script.streamRequests[1]["last-event-id"], at(4));
    assert.deepEqual(states(feed).slice(0, 3), ["connecting", "live", "connecting"]);
});

test("looking at a page whose stream was heard a moment ago changes nothing", async () => {
    let wake;
    const watch = (woken) => (wake = woken) && (() => {});
    script.streams = [s.stream(s.snapshot(4), s.live(4))];
    feed = newFeed(script.url, {}, { watch });
    await until(feed, isState(feed, "live"));
    wake(false);
    assert.equal(feed.connection.state, "live");
});

test("a thousand updates are told in a few batches, each order once a batch", async () => {
    const updates = Array.from({ length: 1000 }, (_, index) => s.order(5 + index, `o${index % 50}`, index + 1));
    script.streams = [s.stream(s.snapshot(4), s.live(4), updates.join(""))];
    feed = newFeed(script.url);
    await until(feed, () => feed.cursor === at(1004));
    await until(feed, () => changed(feed).length >= 50);
    const batches = feed.said.filter(([name]) => name === "change");
    assert(batches.length < 50, `${batches.length} batches`);
    assert.equal(feed.orders.size, 50);
});

test("a closed feed is offline, and says nothing more", async () => {
    script.streams = [s.stream(s.snapshot(4), s.live(4))];
    feed = newFeed(script.url);
    await until(feed, isState(feed, "live"));
    feed.close();
    assert.equal(feed.connection.cause, "closed");
});
