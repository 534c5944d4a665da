/** Lines over the last two minutes, in SVG: x is seconds, y is what was read, up to a round number above the highest. */

import { made } from "./dom.js";

export const SPAN_S = 120;
/** Readings further apart than this are no line: nobody knows what was between them. */
const GAP_S = 5;
const HEIGHT = 100;
const SVG = "http://www.w3.org/2000/svg";
const CLASSES = ["first", "second"];

function drawn(name, attributes) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
}

/** The smallest of 1, 2, 5, 10, 20 … that is not below `value`, and `least` at least. */
export function roundAbove(value, least) {
    if (value <= least) return least;
    const power = 10 ** Math.floor(Math.log10(value));
    return [1, 2, 5, 10].map((step) => step * power).find((bound) => bound >= value);
}

/** `points`: [at_s, value or null], oldest first -> runs of them that belong together. */
export function runs(points) {
    const found = [];
    let before = null;
    for (const [at, value] of points) {
        if (value === null) continue;
        if (before === null || at - before > GAP_S) found.push([]);
        found.at(-1).push([at, value]);
        before = at;
    }
    return found;
}

export class Plot {
    #svg = drawn("svg", { viewBox: `0 0 ${SPAN_S} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    #area = drawn("path", { class: "area" });
    #lines;
    #top = made("span");
    #write;
    #least;

    /** `lines`: how many; `write` writes a value; the scale reaches `least` at least. */
    constructor(title, lines, write, least) {
        this.#write = write;
        this.#least = least;
        this.#lines = CLASSES.slice(0, lines).map((name) => drawn("path", { class: name }));
        this.#svg.setAttribute("aria-label", `${title}, the last two minutes`);
        const grid = [0.5, HEIGHT / 2].map((y) => drawn("line", { class: "grid", x1: 0, x2: SPAN_S, y1: y, y2: y }));
        this.#svg.append(...grid, this.#area, ...this.#lines);
        const heights = made("div", { className: "heights" }, this.#top, "0");
        const times = made("div", { className: "times" }, made("span", {}, "2 min ago"), made("span", {}, "now"));
        this.element = made("div", { className: "plot" }, this.#svg, heights, times);
    }

    /** `series`: points of each line, as `runs` takes them. */
    draw(series, now_s) {
        const values = series.flatMap((points) => points.map(([, value]) => value ?? 0));
        const top = roundAbove(Math.max(0, ...values), this.#least);
        this.#top.textContent = this.#write(top);
        const x = (at) => (SPAN_S - (now_s - at)).toFixed(1);
        const y = (value) => (HEIGHT * (1 - 0.96 * (value / top))).toFixed(1);
        const line = (run) => "M" + [...run, run.at(-1)].map(([at, value]) => `${x(at)} ${y(value)}`).join("L");
        const closed = (run) => `${line(run)}L${x(run.at(-1)[0])} ${HEIGHT}L${x(run[0][0])} ${HEIGHT}Z`;
        this.#lines.forEach((path, at) => path.setAttribute("d", runs(series[at]).map(line).join("")));
        this.#area.setAttribute("d", runs(series[0]).map(closed).join(""));
    }
}
