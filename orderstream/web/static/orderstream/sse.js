/**
 * Server-Sent Events out of bytes, however the network sliced them.
 *
 * Pure: bytes go in, whole frames come out. A frame that the stream did not finish is never given out, since its
 * blank line is what says that nothing was lost in between.
 *
 * Source: WHATWG HTML, "Server-sent events", sections 9.2.5 (parsing) and 9.2.6 (interpreting).
 */
import { Malformed } from "./wire.js";

// A whole order with every field at its longest is below 4 KB, a snapshot part holds 50 of them.
const EVENT_LIMIT_CHARACTERS = 1_048_576;
const LINE_END = /\r\n|\n|\r/;

/** One stream's parser; a new connection needs a new one. */
export class Parser {
    // Strips one leading byte order mark, as the standard wants it.
    #decoder = new TextDecoder();
    #limit;
    #rest = "";
    #afterCr = false;
    #name = "";
    #id = null;
    #payload = [];
    #size = 0;

    constructor(limit = EVENT_LIMIT_CHARACTERS) {
        this.#limit = limit;
        this.retry_s = null;
    }

    /** The frames `{name, id, payload}` that the bytes finished; `id` is the frame's own or null. Throws Malformed. */
    feed(bytes) {
        const frames = this.#lines(this.#decoder.decode(bytes, { stream: true })).map((line) => this.#line(line));
        this.#bound(this.#rest.length);
        return frames.filter((frame) => frame !== null);
    }

    #lines(text) {
        if (text === "") return [];
        // The CR that ended the last chunk was already taken as a line's end: its LF is the same end.
        const fresh = this.#afterCr && text.startsWith("\n") ? text.slice(1) : text;
        this.#afterCr = text.endsWith("\r");
        const lines = (this.#rest + fresh).split(LINE_END);
        this.#rest = lines.pop();
        return lines;
    }

    #line(line) {
        if (line === "") return this.#dispatch();
        this.#size += line.length;
        this.#bound(this.#size);
        const colon = line.indexOf(":");
        const [name, value] = colon < 0 ? [line, ""] : [line.slice(0, colon), line.slice(colon + 1)];
        // "If value starts with a U+0020 SPACE character, remove it from value": one, not all.
        this.#field(name, value.startsWith(" ") ? value.slice(1) : value);
        return null;
    }

    #field(name, value) {
        if (name === "event") this.#name = value;
        else if (name === "data") this.#payload.push(value);
        else if (name === "id" && !value.includes("\0")) this.#id = value;
        else if (name === "retry" && /^[0-9]+$/.test(value)) this.retry_s = Number(value.slice(0, 10)) / 1000;
        // "Otherwise, the field is ignored"; a comment is a field with an empty name.
    }

    #dispatch() {
        const frame = { name: this.#name || "message", id: this.#id, payload: this.#payload.join("\n") };
        const any = this.#payload.length > 0;
        this.#name = "";
        this.#id = null;
        this.#payload = [];
        this.#size = 0;
        return any ? frame : null;
    }

    #bound(size) {
        if (size > this.#limit) throw new Malformed(`an event of more than ${this.#limit} characters`);
    }
}
