/** The line on top: whether all is well, else which step is to blame and where it says what to do. */

import { made } from "./dom.js";

const [headline, faults, checks] = ["headline", "faults", "checks"].map((id) => document.getElementById(id));

/** What is written already is not written again: it is read out. */
function write(element, lines, make) {
    const written = JSON.stringify(lines);
    if (element.dataset.written === written) return;
    element.dataset.written = written;
    element.replaceChildren(...lines.flatMap(make));
}

const item = (line) => made("li", {}, line);

/** Which step, what is wrong, and the alert to look up. */
const told = ({ step, says, alert }) => [
    `${step}: ${says} `,
    ...(alert === null ? [] : [made("span", { className: "alert" }, alert)]),
];

/** Nothing is well that was not tried. */
function noFault({ latencies: { canary } }) {
    if (canary === null) return "No fault is seen; the canary is off, so nothing tries the whole path";
    if (!canary.minute) return "No fault is seen; the canary has not come back yet";
    return "All is well: every check passes, and the canary's changes come back";
}

/** The state's name, for colours, and words for the title. */
export function judge(reading) {
    const [first, ...others] = reading.faults;
    if (first === undefined) write(headline, [noFault(reading)], (line) => line);
    else write(headline, [first], told);
    write(faults, others, (fault) => made("li", {}, ...told(fault)));
    write(
        checks,
        Object.entries(reading.checks).map(([name, reason]) => {
            // The one check that is named by what is wrong.
            const good = name === "draining" ? "not draining" : name;
            return reason === null ? `✓ ${good}` : `✗ ${name}`;
        }),
        item,
    );
    return { state: first?.severity ?? "well", title: first?.step ?? "Well" };
}

/** No readings come: whatever is shown is of `at`, a Date. */
export function silent(at) {
    const since = at === null ? "" : ` since ${at.toLocaleTimeString("en-GB")}: what is below is old`;
    write(headline, [`No readings${since}; tries again`], (line) => line);
    write(faults, [], item);
}
