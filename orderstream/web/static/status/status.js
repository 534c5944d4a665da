/** The status page: readings of `/status/stream`, one a second, shown. */

import { cards } from "./cards.js";
import { judge, silent } from "./verdict.js";
import { lasted } from "./words.js";

/** Without a reading for so long the page says so. */
const SILENT_MS = 4000;
/** An EventSource gives up for ever where it is turned away. */
const AGAIN_MS = 5000;

const shown = cards();
const process = document.getElementById("process");
document.getElementById("cards").append(...shown.map(({ element }) => element));

let silence;
/** When the newest reading came. */
let newest = null;

function show(readings) {
    const reading = readings.at(-1);
    newest = new Date();
    const { state, title } = judge(reading);
    document.body.dataset.state = state;
    document.title = `${title} · orderstream`;
    process.textContent =
        `${reading.version} at ${location.host}` +
        (reading.started_at_s === null ? "" : `, up for ${lasted(reading.at_s - reading.started_at_s)}`);
    for (const card of shown) card.show(readings);
}

function lost() {
    document.body.dataset.state = "lost";
    document.title = "No readings · orderstream";
    silent(newest);
}

function open() {
    const source = new EventSource("/status/stream");
    // The first ones are all of late that there are.
    source.onopen = () => shown.forEach((card) => card.forget());
    source.onmessage = ({ data }) => {
        clearTimeout(silence);
        silence = setTimeout(lost, SILENT_MS);
        show(JSON.parse(data));
    };
    source.onerror = () => {
        clearTimeout(silence);
        lost();
        if (source.readyState === EventSource.CLOSED) setTimeout(open, AGAIN_MS);
    };
}

open();
