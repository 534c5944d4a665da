/** The line on top: whether all is well, else which step is to blame and where it says what to do. */

const [headline, faults, checks] = ["headline", "faults", "checks"].map((id) => document.getElementById(id));

/** What is written has not changed is not written again: it is read out. */
function write(element, lines, make) {
    const written = lines.join("\n");
    if (element.dataset.written === written) return;
    element.dataset.written = written;
    element.replaceChildren(...lines.map(make));
}

function item(line) {
    return Object.assign(document.createElement("li"), { textContent: line });
}

/** Nothing is well that was not tried. */
function noFault({ latencies: { canary } }) {
    if (canary === null) return "No fault is seen; the canary is off, so nothing tries the whole path";
    if (!canary.minute) return "No fault is seen; the canary has not come back yet";
    return "All is well: every check passes, and the canary's changes come back";
}

const told = ({ says, alert }) => says + (alert === null ? "" : ` (${alert})`);

/** The state's name, for colours, and words for the title. */
export function judge(reading) {
    const [first, ...others] = reading.faults;
    const state = first === undefined ? "well" : first.severity;
    const words = first === undefined ? noFault(reading) : `${first.step}: ${told(first)}`;
    write(headline, [words], (line) => line);
    write(faults, others.map((fault) => `${fault.step}: ${told(fault)}`), item);
    write(
        checks,
        Object.entries(reading.checks).map(([name, reason]) => {
            // The one check that is named by what is wrong.
            const good = name === "draining" ? "not draining" : name;
            return reason === null ? `✓ ${good}` : `✗ ${name}`;
        }),
        item,
    );
    return { state, title: first === undefined ? "Well" : first.step };
}

/** No readings come: whatever is shown is of `at`, a Date. */
export function silent(at) {
    const since = at === null ? "" : ` since ${at.toLocaleTimeString("en-GB")}: what is below is old`;
    write(headline, [`No readings${since}; tries again`], (line) => line);
    write(faults, [], item);
}
