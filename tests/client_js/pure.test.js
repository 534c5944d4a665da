// What only the JavaScript client has: exact numbers, waking, batches.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { Batches } from "../../orderstream/web/static/orderstream/batches.js";
import * as happenings from "../../orderstream/web/static/orderstream/happenings.js";
import { LIMITS } from "../../orderstream/web/static/orderstream/limits.js";
import { COLUMNS, Machine, TABLE } from "../../orderstream/web/static/orderstream/machine.js";
import { decimal, parseJson } from "../../orderstream/web/static/orderstream/numbers.js";

const { Began, Dismissed, PollLost, StreamLive, StreamLost, Woken } = happenings;

const WAYS = {
    connecting: [],
    live: [StreamLive()],
    polling: [StreamLost("silent")],
    offline: [StreamLost("silent"), PollLost("failed")],
    "signed-out": [Dismissed("session-revoked")],
};

function machineIn(state) {
    const machine = new Machine(LIMITS, () => 0.5);
    for (const happening of [Began(), ...WAYS[state]]) machine.on(happening, 1);
    assert.equal(machine.state, state);
    return machine;
}

const kinds = (actions) => actions.map(({ kind, timer }) => (timer ? `${kind} ${timer}` : kind));

test("the table is total: every rule exists, in every state", () => {
    for (const rules of Object.values(TABLE)) {
        assert.equal(rules.length, COLUMNS.length);
        for (const rule of rules) assert.equal(typeof Machine.prototype[rule], "function");
    }
});

for (const state of ["connecting", "live"]) {
    test(`waking where connections may be dead opens a new stream when ${state}`, () => {
        const machine = machineIn(state);
        assert.deepEqual(kinds(machine.on(Woken(true), 2)), [
            "CloseStream",
            "Stop stream",
            "Stop behind",
            "OpenStream",
        ]);
        assert.equal(machine.state, "connecting");
    });
}

for (const state of ["polling", "offline"]) {
    test(`waking where connections may be dead begins both again when ${state}`, () => {
        const machine = machineIn(state);
        assert.deepEqual(kinds(machine.on(Woken(true), 2)).slice(-2), ["OpenStream", "AskPoll"]);
        assert.equal(machine.state, state);
    });
    test(`looking again hastens both waits when ${state}`, () => {
        assert.deepEqual(kinds(machineIn(state).on(Woken(false), 2)), ["Hasten stream", "Hasten poll"]);
    });
}

test("waking does not lead out of signed-out", () => {
    assert.deepEqual(machineIn("signed-out").on(Woken(true), 2), []);
});

test("numbers that a double holds are numbers and nothing else", () => {
    const text = '{"price":97530.66,"quantity":0.1234567890123456,"at":"2026-11-22T09:08:52.580394Z"}';
    assert.deepEqual(parseJson(text), JSON.parse(text));
});

test("digits that a double does not hold stand beside the number", () => {
    const { price, exact } = parseJson('{"price":0.12345678901234567891,"quantity":5}');
    assert.equal(price, 0.12345678901234568);
    assert.deepEqual(exact, { price: "0.12345678901234567891" });
});

test("digits within a string are left alone, quotes and backslashes too", () => {
    const text = JSON.stringify({ reason: 'a "12345678901234567890" \\', n: [1, "98765432109876543210"] });
    assert.deepEqual(parseJson(text), JSON.parse(text));
});

test("a negative and a very large number are exact", () => {
    const { orders } = parseJson('{"orders":[{"price":-123456789012345678901234.5},{"price":1}]}');
    assert.equal(decimal(orders[0], "price"), "-123456789012345678901234.5");
    assert.equal(decimal(orders[1], "price"), "1");
});

test("a list of long numbers is a list of numbers", () => {
    assert.deepEqual(parseJson("[12345678901234567890]"), [12345678901234567890]);
});

for (const [number, text] of [
    [1e-7, "0.0000001"],
    [1.5e-7, "0.00000015"],
    [1e21, "1000000000000000000000"],
    [-2.5, "-2.5"],
    [null, null],
]) {
    test(`${number} is written ${text}`, () => assert.equal(decimal({ price: number }, "price"), text));
}

function newBatches(limits = LIMITS) {
    const told = [];
    let draw = null;
    const onFrame = (work) => {
        draw = work;
        return () => (draw = null);
    };
    return { told, batches: new Batches((batch) => told.push(batch), limits, onFrame), draw: () => draw?.() };
}

const changedTo = (id, version, previous) => ({
    kind: "order",
    change: { order: { id, version }, previous: previous ?? null, previous_status: `v${version - 1}` },
});

test("an order is in a batch once: as it is now, and as it was in the batch before", () => {
    const { told, batches, draw } = newBatches();
    const before = { id: "a", version: 1 };
    batches.add(changedTo("a", 2, before));
    batches.add(changedTo("b", 1));
    batches.add(changedTo("a", 3, { id: "a", version: 2 }));
    draw();
    const [{ changes }] = told;
    assert.deepEqual(
        changes.map(({ order }) => [order.id, order.version]),
        [
            ["b", 1],
            ["a", 3],
        ],
    );
    assert.deepEqual([changes[1].previous, changes[1].previous_status], [before, "v1"]);
});

test("a removed order is in no batch's changes, and one that came back is not removed", () => {
    const { told, batches, draw } = newBatches();
    batches.add(changedTo("a", 2));
    batches.add({ kind: "removed", id: "a", previous: null });
    batches.add({ kind: "removed", id: "b", previous: null });
    batches.add(changedTo("b", 2));
    draw();
    assert.deepEqual([told[0].removed, told[0].changes.map(({ order }) => order.id)], [["a"], ["b"]]);
});

test("a snapshot makes the changes before it needless, but not the executions", () => {
    const { told, batches, draw } = newBatches();
    batches.add(changedTo("a", 2));
    batches.add({ kind: "execution", execution: { id: "e" } });
    batches.add({ kind: "snapshot", reset: "epoch-changed" });
    draw();
    assert.deepEqual(told, [
        { snapshot: true, reset: "epoch-changed", changes: [], removed: [], executions: [{ id: "e" }] },
    ]);
});

test("what waits for a frame is bounded: a hidden page is told early", () => {
    const { told, batches } = newBatches({ ...LIMITS, batch_events: 3 });
    for (const id of ["a", "b", "c", "d"]) batches.add(changedTo(id, 1));
    assert.equal(told.length, 1);
});

for (const path of ["docs/clients.md", "orderstream/web/static/orderstream.d.ts"]) {
    test(`every limit stands in ${path}`, () => {
        const text = readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
        assert.deepEqual(
            Object.keys(LIMITS).filter((name) => !text.includes(name)),
            [],
        );
    });
}
