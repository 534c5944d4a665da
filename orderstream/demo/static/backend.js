/** What the page asks for besides the stream: lists and devices of the service, sign-in and orders of the demo. */

/** An answer that is a problem (RFC 9457), or none at all (`status` 0). */
export class Refused extends Error {
    constructor(status, problem) {
        super(problem.detail ?? "That did not work. Try again.");
        this.status = status;
        this.problem = problem;
    }
}

async function ask(method, path, body) {
    let response;
    try {
        response = await fetch(path, {
            method,
            cache: "no-store",
            headers: body === undefined ? {} : { "Content-Type": "application/json" },
            body: body === undefined ? undefined : JSON.stringify(body),
            signal: AbortSignal.timeout(15_000),
        });
    } catch {
        throw new Refused(0, { detail: "The service cannot be reached. Try again in a moment." });
    }
    const isJson = (response.headers.get("Content-Type") ?? "").includes("json");
    const answer = isJson ? await response.json().catch(() => ({})) : {};
    if (!response.ok) throw new Refused(response.status, answer);
    return answer;
}

const at = (id) => encodeURIComponent(id);

export const session = () => ask("GET", "/demo/session");
export const signIn = (user) => ask("POST", "/demo/session", { user });
export const renew = () => ask("PUT", "/demo/session");
export const signOut = () => ask("DELETE", "/demo/session");
export const instruments = () => ask("GET", "/demo/instruments");
export const place = (form) => ask("POST", "/demo/orders", form);
export const cancel = (id) => ask("POST", `/demo/orders/${at(id)}/cancel`);
export const events = (id) => ask("GET", `/demo/orders/${at(id)}/events`);
export const order = (id) => ask("GET", `/v1/orders/${at(id)}`);
export const orders = (query) => ask("GET", `/v1/orders?${new URLSearchParams(query)}`);
export const devices = () => ask("GET", "/v1/sessions");
export const signOutDevice = (id) => ask("DELETE", `/v1/sessions/${at(id)}`);
