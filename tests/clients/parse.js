// Reads one stream with the npm package eventsource-parser, a line of JSON an event: parse.js URL, with JWT in the environment.

import { createParser } from "eventsource-parser";

let lastId = "";
const parser = createParser({
    onEvent({ event, id, data }) {
        lastId = id ?? lastId;
        console.log(JSON.stringify({ name: event ?? "message", id: lastId, body: data }));
    },
});
const answer = await fetch(process.argv[2], { headers: { Authorization: `Bearer ${process.env.JWT}` } });
const decoder = new TextDecoder();
for await (const chunk of answer.body) parser.feed(decoder.decode(chunk, { stream: true }));
// The test ends it: whoever ends by itself has failed.
setInterval(() => {}, 60_000);
