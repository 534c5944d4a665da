/** Keeps every "2 seconds ago" on the page true: one timer for all of them, and none while nobody looks. */
import { say } from "./dom.js";
import { ago, clock, day } from "./format.js";

/** Makes a `<time>` say how long ago `at` is, after `verb`. */
export function sayAgo(element, at, verb = "") {
    if (element.dateTime !== at) {
        element.dateTime = at;
        element.title = `${day(at)} ${clock(at)}`;
    }
    element.dataset.verb = verb;
    tell(element);
}

function tell(element) {
    say(element, `${element.dataset.verb} ${ago(element.dateTime)}`.trim());
}

setInterval(() => {
    if (document.visibilityState === "visible") document.querySelectorAll("time[data-verb]").forEach(tell);
}, 1000);
document.addEventListener("visibilitychange", () => document.querySelectorAll("time[data-verb]").forEach(tell));
