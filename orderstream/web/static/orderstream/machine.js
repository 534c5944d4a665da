/**
 * Which transport to use now, and when to try the other: a table without I/O, clock or randomness.
 *
 * Happenings go in with the time they happened, actions come out; `line` carries them out. The law of the table:
 *
 * 1. `signed-out` is the end: nothing leads out of it, and nothing is done in it.
 * 2. Everywhere else the stream is either open or a wait for it is running, so SSE is always on its way back.
 * 3. The poll is in use in `polling` and `offline` only, and there it is either asking or waiting.
 * 4. `live` is entered by the stream's `live` event only, and entering it closes the poll. While a poll works beside a
 *    stream that fell silent, `live` waits for a heartbeat too: a proxy that keeps bytes back may let some through.
 * 5. No wait is without a bound, and every one that this side chose has full jitter: random() * limit.
 * 6. Waking loses nothing and is no failure: it only does now what was going to be done later.
 *
 * The machine of the Python client is the same but for waking, which a program on a server does not do.
 */
import {
    AskPoll,
    Cause,
    ClosePoll,
    CloseStream,
    Dismissed,
    End,
    Forget,
    Hasten,
    OpenStream,
    RenewJwt,
    State,
    Stop,
    StreamLost,
    Timer,
    Transport,
    Wait,
} from "./happenings.js";

const { CONNECTING, LIVE, POLLING, OFFLINE, SIGNED_OUT } = State;
const LEAVE_STREAM = [CloseStream(), Stop(Timer.STREAM), Stop(Timer.BEHIND)];
const LEAVE_POLL = [ClosePoll(), Stop(Timer.POLL)];

export const COLUMNS = [CONNECTING, LIVE, POLLING, OFFLINE];
// prettier-ignore
export const TABLE = Object.freeze({
    //             connecting       live            polling         offline
    Began:        ["begin",         "stay",         "stay",         "stay"],
    Retry:        ["obeyRetry",     "obeyRetry",    "obeyRetry",    "obeyRetry"],
    StreamLive:   ["goLive",        "stay",         "tryLive",      "goLive"],
    StreamProved: ["stay",          "trust",        "proveLive",    "proveLive"],
    StreamLost:   ["loseStream",    "loseStream",   "loseProbe",    "loseProbe"],
    StreamLeft:   ["loseOverload",  "obeyGoaway",   "missProbe",    "missProbe"],
    Behind:       ["mindTheGap",    "mindTheGap",   "mindTheGap",   "mindTheGap"],
    CaughtUp:     ["caughtUp",      "caughtUp",     "caughtUp",     "caughtUp"],
    PollAnswered: ["stay",          "stay",         "askAgain",     "recover"],
    PollLost:     ["stay",          "stay",         "losePoll",     "losePoll"],
    Refused:      ["renewStream",   "renewStream",  "renewBoth",    "renewBoth"],
    Expiring:     ["expire",        "expire",       "expire",       "expire"],
    Dismissed:    ["dismiss",       "dismiss",      "dismiss",      "dismiss"],
    Due:          ["due",           "due",          "due",          "due"],
    Woken:        ["wakeStream",    "wakeStream",   "wakeBoth",     "wakeBoth"],
});

export class Machine {
    #limits;
    #random;
    #retry_s = 0;
    #streamLosses = 0;
    #pollLosses = 0;
    #holes = 0;
    #renewed = false;
    #silent = false;

    /** `random` gives floats in [0, 1). */
    constructor(limits, random) {
        this.#limits = limits;
        this.#random = random;
        this.state = CONNECTING;
        this.since_s = 0;
        this.cause = null;
    }

    /** What events come by in this state. */
    get transport() {
        return { [LIVE]: Transport.SSE, [POLLING]: Transport.LONG_POLL }[this.state] ?? null;
    }

    /** The actions to carry out, in order. */
    on(happening, at_s) {
        if (this.state === SIGNED_OUT) return [];
        const rule = TABLE[happening.kind][COLUMNS.indexOf(this.state)];
        const before = this.state;
        const actions = this[rule](happening);
        if (this.state !== before || happening.kind === "Began") this.since_s = at_s;
        return actions;
    }

    stay() {
        return [];
    }

    begin() {
        return [OpenStream()];
    }

    obeyRetry({ retry_s }) {
        this.#retry_s = this.#told(retry_s);
        return [];
    }

    // The stream.

    goLive() {
        this.#enter(LIVE, null);
        this.#pollLosses = 0;
        this.#renewed = false;
        return [...LEAVE_POLL];
    }

    trust() {
        // Not before: a proxy that lets only the first kilobytes through would be tried for ever.
        this.#streamLosses = this.#holes = 0;
        this.#silent = false;
        return [];
    }

    tryLive() {
        return this.#silent ? [] : this.goLive();
    }

    proveLive() {
        return [...this.trust(), ...this.goLive()];
    }

    loseStream({ cause, after_s }) {
        this.#streamLosses += 1;
        this.#silent ||= cause === Cause.SILENT;
        const repair = this.#repair(cause);
        if (this.#silent || this.#streamLosses >= this.#limits.stream_failures) {
            this.#enter(POLLING, cause);
            return [...LEAVE_STREAM, ...repair, AskPoll(), this.#probe(after_s)];
        }
        this.#enter(CONNECTING, cause);
        return [...LEAVE_STREAM, ...repair, this.#streamAgain(after_s)];
    }

    loseProbe({ cause, after_s }) {
        this.#streamLosses += 1;
        this.#silent ||= cause === Cause.SILENT;
        const repair = this.#repair(cause);
        // The poll may be asking with the cursor that was just forgotten.
        const ask = repair.length ? [...LEAVE_POLL, AskPoll()] : [];
        return [...LEAVE_STREAM, ...repair, ...ask, this.#probe(after_s)];
    }

    obeyGoaway({ reason, after_s }) {
        // The server spread these out so that a restart is no stampede: obeyed to the millisecond.
        this.#enter(CONNECTING, reason);
        return [...LEAVE_STREAM, Wait(Timer.STREAM, this.#told(after_s))];
    }

    loseOverload({ after_s }) {
        return this.loseStream(StreamLost(Cause.OVERLOAD, after_s));
    }

    missProbe({ after_s }) {
        return this.loseProbe(StreamLost(Cause.OVERLOAD, after_s));
    }

    mindTheGap() {
        return [Wait(Timer.BEHIND, this.#limits.behind_s)];
    }

    caughtUp() {
        return [Stop(Timer.BEHIND)];
    }

    // The poll.

    askAgain({ held }) {
        this.#pollLosses = this.#holes = 0;
        this.#renewed = false;
        return [held ? AskPoll() : Wait(Timer.POLL, this.#limits.poll_interval_s)];
    }

    recover(happening) {
        this.#enter(POLLING, null);
        // Nothing came through, so it was no proxy's doing that the stream was silent.
        this.#streamLosses = 0;
        this.#silent = false;
        // The way is free again, so the stream need not wait out what it had to while it was not.
        return [...this.askAgain(happening), ...LEAVE_STREAM, this.#probe(0)];
    }

    losePoll({ cause, after_s }) {
        this.#enter(OFFLINE, cause);
        this.#pollLosses += 1;
        const wait = Wait(Timer.POLL, this.#backoff(this.#pollLosses, after_s));
        return [ClosePoll(), ...this.#repair(cause), wait];
    }

    // Both.

    due({ timer }) {
        if (timer === Timer.STREAM) return [OpenStream()];
        if (timer === Timer.POLL) return [AskPoll()];
        // Looked up in the table, since what a lost stream means depends on the state.
        return this.on(StreamLost(Cause.HOLE), this.since_s);
    }

    renewStream(happening) {
        return this.#renew(happening, []);
    }

    renewBoth(happening) {
        return this.#renew(happening, [...LEAVE_POLL, AskPoll()]);
    }

    expire() {
        // The stream goes on; whatever is opened after it needs the next JWT.
        return [RenewJwt()];
    }

    dismiss({ reason }) {
        this.#enter(SIGNED_OUT, reason);
        return [...LEAVE_STREAM, ...LEAVE_POLL, End(reason)];
    }

    wakeStream({ suspect }) {
        if (!suspect) return [Hasten(Timer.STREAM)];
        if (this.state === LIVE) this.#enter(CONNECTING, "woken");
        return [...LEAVE_STREAM, OpenStream()];
    }

    wakeBoth({ suspect }) {
        if (!suspect) return [Hasten(Timer.STREAM), Hasten(Timer.POLL)];
        return [...LEAVE_STREAM, ...LEAVE_POLL, OpenStream(), AskPoll()];
    }

    #renew({ renewable, reason, after_s }, ask) {
        if (this.#renewed || !renewable) return this.dismiss(Dismissed(reason));
        this.#renewed = true;
        if (this.state === LIVE) this.#enter(CONNECTING, reason);
        return [RenewJwt(), ...LEAVE_STREAM, ...ask, Wait(Timer.STREAM, this.#told(after_s))];
    }

    #enter(state, cause) {
        this.state = state;
        this.cause = cause;
    }

    #repair(cause) {
        if (cause === Cause.HOLE) this.#holes += 1;
        // A second hole in a row at the same cursor: what is missing cannot be had by asking for it again.
        if (cause !== Cause.MALFORMED && this.#holes <= 1) return [];
        this.#holes = 0;
        return [Forget()];
    }

    #streamAgain(after_s) {
        return Wait(Timer.STREAM, this.#backoff(this.#streamLosses, Math.max(after_s, this.#retry_s)));
    }

    #probe(after_s) {
        const { probe_s, probe_cap_s } = this.#limits;
        const spread_s = Math.min(probe_cap_s, probe_s * 2 ** Math.min(this.#streamLosses, 16));
        return Wait(Timer.STREAM, this.#told(after_s) + this.#random() * spread_s);
    }

    #backoff(losses, after_s) {
        const { backoff_s, backoff_cap_s } = this.#limits;
        const spread_s = Math.min(backoff_cap_s, backoff_s * 2 ** Math.min(losses - 1, 16));
        return this.#told(after_s) + this.#random() * spread_s;
    }

    #told(after_s) {
        return Math.min(after_s, this.#limits.told_cap_s);
    }
}
