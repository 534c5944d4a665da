/**
 * What happened since the page was last told, put together: a burst of a thousand updates is a few batches.
 *
 * An order that changed several times is in a batch once, as it is now, with what it was in the batch before.
 */
export class Batches {
    #deliver;
    #limits;
    #onFrame;
    #cancel = null;
    #changes = new Map();
    #removed = new Map();
    #executions = [];
    #snapshot = false;
    #reset = null;

    /** `deliver` is given each batch; `onFrame` as in `surroundings`. */
    constructor(deliver, limits, onFrame) {
        this.#deliver = deliver;
        this.#limits = limits;
        this.#onFrame = onFrame;
    }

    add(told) {
        if (told.kind === "order") this.#change(told.change);
        else if (told.kind === "execution") this.#executions.push(told.execution);
        else if (told.kind === "removed") this.#remove(told);
        else this.#takeSnapshot(told.reset);
        if (this.#size >= this.#limits.batch_events) this.flush();
        else this.#cancel ??= this.#onFrame(() => this.flush(), this.#limits.hidden_batch_s);
    }

    /** Tells now what would have been told with the next frame. */
    flush() {
        this.drop();
        if (this.#size === 0 && !this.#snapshot) return;
        const batch = {
            snapshot: this.#snapshot,
            reset: this.#reset,
            changes: [...this.#changes.values()],
            removed: [...this.#removed.keys()],
            executions: this.#executions,
        };
        this.#clear();
        this.#deliver(batch);
    }

    /** Nothing more will be told of what is waiting. */
    drop() {
        this.#cancel?.();
        this.#cancel = null;
    }

    get #size() {
        return this.#changes.size + this.#removed.size + this.#executions.length;
    }

    #change(change) {
        const { id } = change.order;
        const first = this.#changes.get(id) ?? change;
        this.#removed.delete(id);
        // Set anew, so that the latest change comes last.
        this.#changes.delete(id);
        this.#changes.set(id, { ...change, previous: first.previous, previous_status: first.previous_status });
    }

    #remove({ id, previous }) {
        this.#changes.delete(id);
        this.#removed.set(id, previous);
    }

    #takeSnapshot(reset) {
        this.#changes.clear();
        this.#removed.clear();
        this.#snapshot = true;
        this.#reset = reset;
    }

    #clear() {
        this.#changes = new Map();
        this.#removed = new Map();
        this.#executions = [];
        this.#snapshot = false;
        this.#reset = null;
    }
}
