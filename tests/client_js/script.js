// A server that speaks the protocol from a script, over real sockets on loopback.
//
// Streams and polls are answered in the order of the script; when it is used up, requests are held without an answer.

import { once } from "node:events";
import { createServer } from "node:http";

export const EPOCH = "0a1b2c3d";
export const at = (seq) => `${EPOCH}.${seq}`;

export function frame(name, payload, id) {
    const text = typeof payload === "string" ? payload : JSON.stringify(payload);
    return `${id ? `id: ${id}\n` : ""}event: ${name}\ndata: ${text}\n\n`;
}

export const row = (id, status = "submitted", version = 1) => ({ id, status, version });
export const change = (id, version = 2) => ({ order: row(id, "filled", version), exec_type: "trade" });
export const order = (seq, id, version = 2) => frame("order", change(id, version), at(seq));
export const live = (seq) => frame("live", { head: at(seq) });
export const heartbeat = (seq) => frame("heartbeat", { head: at(seq) });
export const goaway = (reason, reconnect = true, after_ms = 0) => frame("goaway", { reason, reconnect, after_ms });

export function snapshot(seq, ...rows) {
    return (
        frame("snapshot", { orders: rows }) + frame("snapshot-end", { cursor: at(seq), orders: rows.length }, at(seq))
    );
}

/** Says these texts and leaves the stream open. */
export const stream =
    (...texts) =>
    (response) => {
        response.writeHead(200, { "Content-Type": "text/event-stream" });
        response.flushHeaders();
        for (const text of texts) response.write(text);
    };

/** Says these texts and ends. */
export const ended =
    (...texts) =>
    (response) => {
        stream(...texts)(response);
        response.end();
    };

/** Answers a poll. */
export const body = (payload) => (response) => {
    response.writeHead(200, { "Content-Type": "application/json" });
    response.end(JSON.stringify(payload));
};

export const polled = (seq, ...ids) => {
    const first = seq - ids.length + 1;
    const events = ids.map((id, index) => ({ id: at(first + index), event: "order", data: change(id) }));
    return body({ cursor: at(seq), events, more: false });
};

export const status =
    (code, headers = {}) =>
    (response) =>
        response.writeHead(code, headers).end();

export class Script {
    #server = createServer((request, response) => this.#answer(request, response));

    constructor() {
        this.streams = [];
        this.polls = [];
        // The headers of every request, oldest first.
        this.streamRequests = [];
        this.pollRequests = [];
        // Answered alike, all of them; `acks` are their bodies.
        this.ack = status(204);
        this.ackRequests = [];
        this.acks = [];
    }

    async start() {
        this.#server.listen(0, "127.0.0.1");
        await once(this.#server, "listening");
        this.url = `http://127.0.0.1:${this.#server.address().port}`;
        return this;
    }

    async stop() {
        this.#server.closeAllConnections();
        this.#server.close();
        await once(this.#server, "close");
    }

    #answer(request, response) {
        if (request.url === "/v1/acks") return this.#acknowledge(request, response);
        const isStream = request.url === "/v1/orders/stream";
        (isStream ? this.streamRequests : this.pollRequests).push(request.headers);
        (isStream ? this.streams : this.polls).shift()?.(response);
    }

    async #acknowledge(request, response) {
        this.ackRequests.push({ method: request.method, ...request.headers });
        let body = "";
        for await (const chunk of request) body += chunk;
        this.acks.push(JSON.parse(body));
        this.ack(response);
    }
}
