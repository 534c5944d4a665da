/** What each card shows of a reading (`Reading` in orderstream/metrics/status.py). */

import { made } from "./dom.js";
import { Plot, SPAN_S } from "./plot.js";
import { count, megabytes, rate, seconds, share } from "./words.js";

const sum = (values) => Object.values(values).reduce((all, value) => all + value, 0);

/** The p50 and the p99 of a latency, since the last reading or in the last minute. */
function percentiles(key, span) {
    const of = (which) => (reading) => reading.latencies[key]?.[span]?.[which] ?? null;
    return [
        ["p50", of("p50_s")],
        ["p99", of("p99_s")],
    ];
}

/** A page that was just opened does not know a minute yet. */
const within = ({ span_s }) => (span_s < 59 ? `In ${Math.round(span_s)} s` : "In a minute");

const LEADERS = {
    here: "This process leads.",
    elsewhere: "Another process leads.",
    nobody: "Nobody leads: changes wait.",
};

function minute(key, nothing) {
    return (reading) => {
        const last = reading.latencies[key]?.minute;
        if (!last) return nothing;
        return `${within(reading)} ${share(last.in_time)} within 100 ms`;
    };
}

/** Title, lines (label -> value of a reading), how values are written, the least top of the scale, a note. */
const PLOTTED = [
    {
        title: "Events a second",
        lines: [
            ["sent to clients", (reading) => reading.sent_per_s],
            ["read from Postgres", (reading) => reading.read_per_s],
        ],
        write: rate,
        least: 10,
        note: () => "Each is sent to all connections of its user.",
    },
    {
        title: "From the write to the socket",
        lines: percentiles("sent", "last"),
        write: seconds,
        least: 0.01,
        note: minute("sent", "Nothing was sent in the last minute."),
    },
    {
        title: "Canary, change to arrival",
        lines: percentiles("canary", "minute"),
        write: seconds,
        least: 0.01,
        note: (reading) => {
            if (reading.latencies.canary === null) return "Off: canary_user is not set.";
            const arrived = reading.latencies.canary.minute?.count ?? 0;
            return `${within(reading)} ${count(arrived)} arrived, ${count(sum(reading.canary_late))} were late`;
        },
    },
    {
        title: "Open connections",
        lines: [
            ["streams", (reading) => reading.open.sse],
            ["polls", (reading) => reading.open.poll],
        ],
        write: count,
        least: 5,
        note: (reading) => `${count(reading.slow)} slow to read`,
    },
    {
        title: "Waiting for a number",
        lines: [
            ["changes", (reading) => reading.outbox_waiting_rows],
        ],
        write: count,
        least: 10,
        note: (reading) =>
            `${LEADERS[reading.leader] ?? "Who leads is not known."} ` +
            `Oldest ${seconds(reading.outbox_oldest_s)}; read ${seconds(reading.behind_s)} late.`,
    },
    {
        title: "Event loop late",
        lines: percentiles("loop", "last"),
        write: seconds,
        least: 0.005,
        note: (reading) => `CPU ${share(reading.cpu_share)} of a core, memory ${megabytes(reading.memory_bytes)}`,
    },
    {
        title: "Database errors in a minute",
        lines: [["errors", (reading) => sum(reading.database_errors)]],
        write: count,
        least: 5,
        note: (reading) =>
            Object.entries(reading.database_errors)
                .filter(([, errors]) => errors > 0)
                .map(([part, errors]) => `${part} ${count(errors)}`)
                .join(", ") || "No part lost an answer.",
    },
];

const STEPS = {
    numbered: "numbered",
    read: "read here",
    sent: "on the socket",
    acknowledged: "acknowledged",
};

const heading = (title) => made("h2", { textContent: title });

/** A card with a plot; it keeps what it was shown for as long as it is drawn. */
class Plotted {
    #definition;
    #plot;
    #points;
    #figures;
    #note = made("p", { className: "note" });

    constructor(definition) {
        const { title, lines, write, least } = definition;
        this.#definition = definition;
        this.#plot = new Plot(title, lines.length, write, least);
        this.#points = lines.map(() => []);
        this.#figures = lines.map(() => made("dd"));
        const figures = lines.map(([label], at) => made("div", {}, made("dt", { textContent: label }), this.#figures[at]));
        const list = made("dl", { className: "figures" }, ...figures);
        this.element = made("section", { className: "card" }, heading(title), list, this.#plot.element, this.#note);
    }

    forget() {
        for (const points of this.#points) points.length = 0;
    }

    show(readings) {
        const { lines, write, note } = this.#definition;
        const reading = readings.at(-1);
        lines.forEach(([, read], at) => {
            const points = this.#points[at];
            points.push(...readings.map((one) => [one.at_s, read(one)]));
            while (points[0][0] < reading.at_s - SPAN_S) points.shift();
            this.#figures[at].textContent = write(read(reading));
        });
        this.#note.textContent = note(reading);
        this.#plot.draw(this.#points, reading.at_s);
    }
}

/** Which step of an event's way takes the time. */
class Steps {
    #rows = new Map();

    constructor() {
        const body = made("tbody");
        for (const [key, label] of Object.entries(STEPS)) {
            const cells = [made("td"), made("td"), made("td")];
            this.#rows.set(key, cells);
            body.append(made("tr", {}, made("th", { scope: "row", textContent: label }), ...cells));
        }
        const names = ["until it is", "p50", "p99", "events"];
        const head = made("tr", {}, ...names.map((textContent) => made("th", { scope: "col", textContent })));
        const table = made("table", {}, made("thead", {}, head), body);
        const note = made("p", { className: "note", textContent: "From the write, in a minute at most" });
        this.element = made("section", { className: "card" }, heading("Where the time goes"), table, note);
    }

    forget() {}

    show(readings) {
        const { latencies } = readings.at(-1);
        for (const [key, [p50, p99, events]] of this.#rows) {
            const last = latencies[key]?.minute;
            p50.textContent = seconds(last?.p50_s);
            p99.textContent = seconds(last?.p99_s);
            events.textContent = count(last?.count ?? 0);
        }
    }
}

/** All cards, in their order. */
export function cards() {
    const plotted = PLOTTED.map((definition) => new Plotted(definition));
    plotted.splice(3, 0, new Steps());
    return plotted;
}
