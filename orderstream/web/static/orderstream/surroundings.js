/** What a feed takes from where it runs: time, chance, the network, frames, other tabs, and being woken. */

// setTimeout takes no more than 2^31 - 1 ms.
const LONGEST_S = 86_400;
// How often a timer is compared with the clock.
const PULSE_S = 2;

/** The browser's, or what Node.js has of it. Tests give their own. */
export function surroundings() {
    const page = globalThis.document;
    return {
        /** Unix seconds. */
        clock: () => Date.now() / 1000,
        /** [0, 1). */
        random: Math.random,
        fetch: (url, options) => globalThis.fetch(url, options),
        setTimer: (work, for_s) => setTimeout(work, Math.min(for_s, LONGEST_S) * 1000),
        clearTimer: (timer) => clearTimeout(timer),
        /** Calls `work` when the page is drawn next, or after `hidden_s` where it is not; returns what undoes it. */
        onFrame,
        isHidden: () => page?.visibilityState === "hidden",
        watch,
        report: (error) => (globalThis.reportError ?? rethrow)(error),
        // Tabs are a matter of pages; a program has its feed for itself.
        locks: page && globalThis.BroadcastChannel ? (globalThis.navigator?.locks ?? null) : null,
        newChannel: (name) => new BroadcastChannel(name),
    };
}

function onFrame(work, hidden_s) {
    const timer = setTimeout(run, hidden_s * 1000);
    const frame = globalThis.requestAnimationFrame?.(run);
    function cancel() {
        clearTimeout(timer);
        if (frame !== undefined) cancelAnimationFrame(frame);
    }
    function run() {
        cancel();
        work();
    }
    return cancel;
}

/**
 * Calls `wake(certain)` when somebody looks again, the network came back or the machine slept; `certain` where open
 * connections cannot have lived through it. Returns what ends it.
 */
function watch(wake, drift_s) {
    const [page, window] = [globalThis.document, globalThis.window];
    if (!page || !window) return () => {};
    const looked = () => page.visibilityState === "visible" && wake(false);
    const back = () => wake(true);
    const restored = (event) => event.persisted && wake(true);
    let before_ms = Date.now();
    const pulse = setInterval(() => {
        const late_s = (Date.now() - before_ms) / 1000 - PULSE_S;
        before_ms = Date.now();
        // A hidden page's timers are late because they are held back; it is looked after when it is looked at.
        if (late_s > drift_s && page.visibilityState === "visible") wake(false);
    }, PULSE_S * 1000);
    page.addEventListener("visibilitychange", looked);
    page.addEventListener("resume", looked);
    window.addEventListener("online", back);
    window.addEventListener("pageshow", restored);
    return () => {
        clearInterval(pulse);
        page.removeEventListener("visibilitychange", looked);
        page.removeEventListener("resume", looked);
        window.removeEventListener("online", back);
        window.removeEventListener("pageshow", restored);
    };
}

function rethrow(error) {
    queueMicrotask(() => {
        throw error;
    });
}
