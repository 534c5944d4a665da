/** How numbers are written. What is not known is a dash. */

const UNKNOWN = "–";

/** Three digits at most, so that a figure keeps its width. */
const digits = (value) =>
    value.toLocaleString("en", { maximumFractionDigits: value >= 100 ? 0 : value >= 10 ? 1 : 2 });

const known = (write) => (value) => (value === null || value === undefined ? UNKNOWN : write(value));

export const count = known((value) => Math.round(value).toLocaleString("en"));

export const rate = known((value) => digits(value));

/** Of seconds: in the unit that suits. */
export const seconds = known((value) => {
    if (value < 1) return `${digits(value * 1000)} ms`;
    return value < 120 ? `${digits(value)} s` : lasted(value);
});

export const share = known((value) => `${digits(value * 100)} %`);

export const megabytes = known((value) => `${count(value / 1e6)} MB`);

/** A long time, in its two largest units. */
export function lasted(value) {
    const minutes = Math.floor(value / 60);
    if (minutes < 1) return `${Math.floor(value)} s`;
    if (minutes < 60) return `${minutes} min`;
    const hours = Math.floor(minutes / 60);
    return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}
