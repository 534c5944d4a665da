// Follows a stream with the npm package eventsource, a line of JSON an event: follow.js URL, with JWT in the environment.

import { EventSource } from "eventsource";
import { report } from "./report.js";

const authorized = (url, init) =>
    fetch(url, { ...init, headers: { ...init.headers, Authorization: `Bearer ${process.env.JWT}` } });

report(new EventSource(process.argv[2], { fetch: authorized }), (seen) => console.log(JSON.stringify(seen)));
