// What a feed acknowledges over real sockets, and that it is no trouble of the feed's; which events and when is in
// tests/client_cases.

import assert from "node:assert/strict";
import { test } from "node:test";

import { eventually, hasOrders, isState, newFeed, until } from "./feeds.js";
import * as s from "./script.js";
import { at } from "./script.js";

/** A feed of a server that does as `scripted`; both end with the test. */
async function followed(t, scripted, options) {
    const script = Object.assign(await new s.Script().start(), scripted);
    const feed = newFeed(script.url, options);
    t.after(() => {
        feed.close();
        return script.stop();
    });
    return { script, feed };
}

test("a live event of a stream is acknowledged with the JWT of the stream, and of a burst the first only", async (t) => {
    const burst = [6, 7, 8, 9].map((seq) => s.order(seq, `b${seq}`));
    const streams = [s.stream(s.snapshot(4), s.order(5, "a"), s.live(5), ...burst)];
    const { script, feed } = await followed(t, { streams });
    await until(feed, hasOrders(feed, "b9"));
    await eventually(() => script.acks.length > 0);
    assert.deepEqual(script.acks, [{ cursor: at(6), transport: "sse" }]);
    const [{ method, authorization, "content-type": type }] = script.ackRequests;
    assert.deepEqual([method, authorization, type], ["POST", "Bearer jwt", "application/json"]);
});

test("a live event of a poll is acknowledged as such, though the next poll was asked meanwhile", async (t) => {
    const streams = Array(3).fill(s.status(502));
    const polls = [s.body({ cursor: at(4), orders: [], executions: [] }), s.polled(5, "a")];
    const { script } = await followed(t, { streams, polls }, { limits: { probe_s: 60, probe_cap_s: 60 } });
    await eventually(() => script.acks.length > 0);
    assert.deepEqual(script.acks, [{ cursor: at(5), transport: "poll" }]);
});

test("nothing is acknowledged when the limit is 0", async (t) => {
    const streams = [s.ended(s.snapshot(4), s.live(4), s.order(5, "a")), s.stream(s.live(5))];
    const { script, feed } = await followed(t, { streams }, { limits: { ack_every_s: 0 } });
    await until(feed, () => script.streamRequests.length === 2 && feed.connection.state === "live");
    assert.deepEqual(script.acks, []);
});

for (const [name, ack] of [
    ["taken", s.status(204)],
    ["refused", s.status(401)],
    ["broken off", (response) => response.destroy()],
    ["never answered", () => {}],
]) {
    test(`an acknowledgement that is ${name} leaves the feed as it is, and a later event is acknowledged`, async (t) => {
        let later;
        const streams = [(response) => s.stream(s.snapshot(4), s.live(4), s.order(5, "a"))((later = response))];
        const limits = { ack_every_s: 0.001, first_byte_s: 3 };
        const { script, feed } = await followed(t, { ack, streams }, { limits });
        await eventually(() => script.acks.length === 1);
        // Whether the first is over, nobody is told: the next that may be acknowledged is the one after it.
        let seq = 5;
        await eventually(() => {
            if (feed.cursor === at(seq)) later.write(s.order(++seq, `b${seq}`));
            return script.acks.length === 2;
        });
        await until(feed, isState(feed, "live"));
        assert.equal(script.streamRequests.length, 1);
        assert(!feed.said.some(([name]) => name === "problem"));
    });
}
