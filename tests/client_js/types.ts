// Read by the type checker only: what a page may write, and what it may not.

import { LIMITS, REASONS, decimal, orderstream, why } from "../../orderstream/web/static/orderstream.js";
import type { Batch, Connection, Feed, Order } from "../../orderstream/web/static/orderstream.js";

declare function print(...values: unknown[]): void;

const feed: Feed = orderstream("https://orders.example.com", {
    token: async () => "jwt",
    limits: { poll_interval_s: 2 },
});
orderstream("", { share: "ann" });
orderstream("", { token: "jwt", share: false, cursor: null });

const off: () => void = feed.on("change", ({ changes, executions }: Batch) => {
    for (const { order, previous, check } of changes) {
        show(order, previous?.status ?? "new");
        print(why(order) ?? REASONS["other"], check?.rule);
    }
    for (const one of executions) print(decimal(one, "price"), one.exact?.price);
});
feed.on("connection", ({ state, retry_at, every_s }: Connection) => {
    if (state === "offline") print(retry_at?.getTime(), every_s);
});
feed.on("problem", (problem) => print(problem.kind === "malformed" ? problem.count : problem.error));
off();
feed.reconnect();
feed.close();
print(LIMITS.silence_s);

function show(order: Order, before: string): void {
    const status: string = order.status;
    print(status, before, decimal(order, "average_price"));
}

// @ts-expect-error: there is no such event
feed.on("changes", () => {});
// @ts-expect-error: the Map is for reading
feed.orders.clear();
// @ts-expect-error: an execution has no average
feed.on("change", ({ executions: [first] }) => first && decimal(first, "average_price"));
// @ts-expect-error: a limit that does not exist
orderstream("", { limits: { poll_every_s: 2 } });
// @ts-expect-error: states have names
feed.connection.state === "online";
