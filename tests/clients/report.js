// Tells what an EventSource does, the browser's and the npm package's alike.

const NAMES = [
    "snapshot", "snapshot-end", "order", "execution", "order-removed", "live", "heartbeat", "reset", "goaway",
];

export function report(source, tell) {
    for (const name of NAMES) {
        source.addEventListener(name, (event) => tell({ name, id: event.lastEventId, body: event.data }));
    }
    source.addEventListener("open", () => tell({ name: "open" }));
    // CONNECTING: it comes back by itself. CLOSED: it has given up for ever.
    source.addEventListener("error", () => tell({ name: source.readyState === 2 ? "closed" : "connecting" }));
}
