/** Follows a user's orders: `orderstream(url, {token})`. Durations are seconds and end in `_s`. */

/** Known words, and those of a later server. */
type Word<Known extends string> = Known | (string & {});

export type Status = Word<
    | "pending_new" | "submitted" | "partially_filled" | "filled" | "done_for_day" | "pending_cancel" | "cancelled"
    | "pending_replace" | "stopped" | "suspended" | "calculated" | "rejected" | "expired"
>;

/** The digits of those numbers that a double does not hold, by the name of their field. */
export type Exact<Field extends string> = { readonly [field in Field]?: string };

export type OrderNumber =
    | "quantity" | "cash_amount" | "price" | "stop_price" | "filled_quantity" | "remaining_quantity"
    | "average_price";

/** An order as the platform has it. Times are RFC 3339 in UTC. */
export interface Order extends Readonly<Record<OrderNumber, number | null>> {
    readonly id: string;
    readonly status: Status;
    /** 1, 2, 3 … with each change; 0 where the platform does not say. */
    readonly version: number;
    readonly client_order_id: string | null;
    /** The name that it had before the request that `client_order_id` names. */
    readonly original_client_order_id: string | null;
    readonly symbol: string | null;
    readonly asset_class: Word<"stock" | "etf" | "mutual_fund" | "crypto"> | null;
    readonly side: Word<"buy" | "sell"> | null;
    readonly order_type: Word<"market" | "limit" | "stop" | "stop_limit"> | null;
    readonly time_in_force: Word<"day" | "gtc" | "ioc" | "fok"> | null;
    readonly platform: Word<"mobile" | "web"> | null;
    readonly reason_code: string | null;
    readonly reason: string | null;
    readonly created_at: string | null;
    readonly updated_at: string | null;
    readonly exact?: Exact<OrderNumber>;
}

/** A trade, or the bust or correction of the one that `refers_to` names. */
export interface Execution {
    readonly id: string;
    readonly order_id: string | null;
    readonly symbol: string | null;
    readonly side: Word<"buy" | "sell"> | null;
    readonly quantity: number | null;
    readonly price: number | null;
    readonly kind: Word<"trade" | "bust" | "correction"> | null;
    readonly refers_to: string | null;
    readonly executed_at: string | null;
    readonly exact?: Exact<"quantity" | "price">;
    /** Where what it says is odd; null else, and where it was not told as an event. */
    readonly check?: Check | null;
}

/** Why a change contradicts itself, or does not follow from what came before. It happened all the same. */
export interface Check {
    readonly verdict: Word<"suspicious" | "impossible">;
    readonly rule: string;
    /** For a person. */
    readonly text: string;
}

export interface OrderChange {
    /** As it is now. */
    readonly order: Order;
    /** As it was in the batch before; null where it was not known. */
    readonly previous: Order | null;
    /** Of its latest change. */
    readonly exec_type: string | null;
    /** Before the first of its changes in this batch. */
    readonly previous_status: Status | null;
    /** When the latest was written, by the database's clock. */
    readonly written_at: string | null;
    /** Where the latest is odd; null else. */
    readonly check: Check | null;
}

/** What happened since the batch before; at most one a frame. */
export interface Batch {
    /** `feed.orders` was replaced whole: draw all of it. */
    readonly snapshot: boolean;
    /** Why, where the server could not go on from our cursor. */
    readonly reset: string | null;
    /** Each order once, the latest change last. */
    readonly changes: readonly OrderChange[];
    /** The ids of orders that are gone. */
    readonly removed: readonly string[];
    readonly executions: readonly Execution[];
}

export type State = "connecting" | "live" | "polling" | "offline" | "signed-out";

export interface Connection {
    readonly state: State;
    readonly transport: "sse" | "long-poll" | null;
    readonly since_at: Date;
    /** One word for a log, and why where the state is `signed-out`. */
    readonly cause: string | null;
    /** When it is tried again; null where it is being tried, or need not be. */
    readonly retry_at: Date | null;
    /** How often is asked while `polling`; null where answers are held until there is something. */
    readonly every_s: number | null;
}

export type Problem =
    | { readonly kind: "malformed"; readonly detail: string; readonly count: number }
    | { readonly kind: "token"; readonly detail: string; readonly error?: unknown };

export interface Limits {
    readonly silence_s: number;
    readonly first_byte_s: number;
    readonly behind_s: number;
    readonly stream_failures: number;
    readonly backoff_s: number;
    readonly backoff_cap_s: number;
    readonly probe_s: number;
    readonly probe_cap_s: number;
    readonly poll_wait_s: number;
    readonly poll_interval_s: number;
    readonly told_cap_s: number;
    readonly ack_every_s: number;
    readonly jwt_margin_s: number;
    readonly token_s: number;
    readonly held_s: number;
    readonly poll_answer_bytes: number;
    readonly suspect_s: number;
    readonly drift_s: number;
    readonly handover_s: number;
    readonly hidden_batch_s: number;
    readonly batch_events: number;
}

export interface Options {
    /** A JWT, or a function that gets one when it is needed; without it the browser's cookie is sent. */
    token?: string | (() => string | null | undefined | Promise<string | null | undefined>) | null;
    /** Continue from here; orders then come only as they change. */
    cursor?: string | null;
    /** Whose feed it is, where no JWT says it: tabs that say the same share a connection. `false`: share with none. */
    share?: string | false;
    limits?: Partial<Limits>;
}

export interface FeedEvents {
    change: Batch;
    connection: Connection;
    problem: Problem;
}

export interface Feed {
    /** order id -> order, as far as we know; the same Map for ever. */
    readonly orders: ReadonlyMap<string, Order>;
    readonly connection: Connection;
    /** To continue from; null before the first snapshot. */
    readonly cursor: string | null;
    /** Events that could not be understood; each was repaired by a snapshot. */
    readonly malformed: number;
    /** Returns a function that ends it. */
    on<Name extends keyof FeedEvents>(name: Name, listener: (event: FeedEvents[Name]) => void): () => void;
    /** What waits to be tried again is tried now. */
    reconnect(): void;
    /** Ends it for this tab; another one takes over the connection. */
    close(): void;
}

export function orderstream(url: string, options?: Options): Feed;

/** The digits of a number as they were sent, without an exponent; null where there is none. */
export function decimal(row: Order, field: OrderNumber): string | null;
export function decimal(row: Execution, field: "quantity" | "price"): string | null;

/** Why an order was refused, cancelled or ended: the service's words, else ours for a known code, else null. */
export function why(order: Pick<Order, "reason_code" | "reason">): string | null;

/** The sentences of known codes. */
export const REASONS: { readonly [code: string]: string };

export const LIMITS: Limits;
