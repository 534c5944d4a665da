/** What can happen to a connection, and what can be done about it: the two alphabets of the machine. */

export const State = Object.freeze({
    CONNECTING: "connecting",
    LIVE: "live",
    POLLING: "polling",
    OFFLINE: "offline",
    SIGNED_OUT: "signed-out",
});

export const Transport = Object.freeze({ SSE: "sse", LONG_POLL: "long-poll" });

/** Why a stream or a poll was lost. */
export const Cause = Object.freeze({
    FAILED: "failed",
    ENDED: "ended",
    SILENT: "silent",
    HOLE: "hole",
    MALFORMED: "malformed",
    OVERLOAD: "overload",
});

export const Timer = Object.freeze({ STREAM: "stream", POLL: "poll", BEHIND: "behind" });

// Happenings.

export const Began = () => ({ kind: "Began" });
/** The stream's `retry:` field. */
export const Retry = (retry_s) => ({ kind: "Retry", retry_s });
/** The replay is over: the `live` event came and we know its head. */
export const StreamLive = () => ({ kind: "StreamLive" });
/** A heartbeat came after `live`: bytes flow by themselves. */
export const StreamProved = () => ({ kind: "StreamProved" });
export const StreamLost = (cause, after_s = 0) => ({ kind: "StreamLost", cause, after_s });
/** A `goaway` that wants us back after `after_s`. */
export const StreamLeft = (reason, after_s = 0) => ({ kind: "StreamLeft", reason, after_s });
/** `held` is false where the server had nothing to tell and did not wait for it either. */
export const PollAnswered = (held = true) => ({ kind: "PollAnswered", held });
export const PollLost = (cause, after_s = 0) => ({ kind: "PollLost", cause, after_s });
/** A head above what we know. */
export const Behind = () => ({ kind: "Behind" });
export const CaughtUp = () => ({ kind: "CaughtUp" });
/** 401, or a goaway `auth-expired`. `renewable`: a newer JWT can be had. */
export const Refused = (renewable, reason, after_s = 0) => ({ kind: "Refused", renewable, reason, after_s });
/** `auth-expiring`: the stream will end with its JWT, soon. */
export const Expiring = () => ({ kind: "Expiring" });
/** 204, 403, or a goaway that does not want us back. */
export const Dismissed = (reason) => ({ kind: "Dismissed", reason });
export const Due = (timer) => ({ kind: "Due", timer });
/** Somebody looks again, or the network changed. `suspect`: what is open may be dead without knowing it. */
export const Woken = (suspect) => ({ kind: "Woken", suspect });

// Actions.

export const OpenStream = () => ({ kind: "OpenStream" });
export const CloseStream = () => ({ kind: "CloseStream" });
export const AskPoll = () => ({ kind: "AskPoll" });
export const ClosePoll = () => ({ kind: "ClosePoll" });
/** Replaces a wait of the same timer. */
export const Wait = (timer, for_s) => ({ kind: "Wait", timer, for_s });
export const Stop = (timer) => ({ kind: "Stop", timer });
/** If that wait is running, it is due now. */
export const Hasten = (timer) => ({ kind: "Hasten", timer });
/** Start from a snapshot: the cursor is not to be trusted, or leads nowhere. */
export const Forget = () => ({ kind: "Forget" });
export const RenewJwt = () => ({ kind: "RenewJwt" });
export const End = (reason) => ({ kind: "End", reason });
