/* api.js - asks the node (docs/openapi.json), and follows what it says by itself.
 *
 * The token that a person enters lives in the session of this tab (sessionStorage) and goes into a
 * header; it never stands in an address, in a cookie or on the page. A browser's EventSource sends
 * no header, so the stream of events is read with fetch() and taken apart here.
 *
 *                        stream ends, or is silent for SILENCE_MS
 *     CONNECTING -> LIVE ----------------------------------------> LOST -> CONNECTING -> ...
 *         |  401, 403                                               waits 1, 2, 4, 8, 10, 10 ... s,
 *         v                                                         or until a person says "now"
 *     LOCKED  until a token is entered
 *
 * SPDX-License-Identifier: Apache-2.0
 */
const API = "api/v1/";
const TOKEN_KEY = "disruptorx-token";
const ASK_MS = 10000;    // for an answer
const SILENCE_MS = 10000; // the node says something once a second
const RETRY_MS = [1000, 2000, 4000, 8000, 10000];

/* What the node refused, or that it could not be asked (status 0). */
class Refusal extends Error {
    constructor(status, message, rule = "") {
        super(message);
        this.status = status;
        this.rule = rule;
    }
}

function token() {
    return sessionStorage.getItem(TOKEN_KEY);
}

function setToken(text) {
    if (text === null) {
        sessionStorage.removeItem(TOKEN_KEY);
    } else {
        sessionStorage.setItem(TOKEN_KEY, text);
    }
}

function headersWith(headers) {
    const known = token();
    return known === null ? headers : { ...headers, Authorization: `Bearer ${known}` };
}

async function refusalOf(response) {
    try {
        const { message, rule } = await response.json();
        return new Refusal(response.status, String(message || response.statusText),
            String(rule || ""));
    } catch {
        return new Refusal(response.status, `the node answered ${response.status}`);
    }
}

async function fetchOrRefusal(path, options) {
    try {
        return await fetch(path, { cache: "no-store", credentials: "same-origin", ...options });
    } catch (error) {
        throw new Refusal(0, error.name === "AbortError" || error.name === "TimeoutError"
            ? "the node did not answer in time" : "the node can't be reached");
    }
}

/* Asks for `path` with the parameters that are not null or empty; returns the answer's JSON. */
async function ask(path, parameters = {}, accepted = []) {
    const query = new URLSearchParams(Object.entries(parameters)
        .filter(([, value]) => value !== null && value !== ""));
    const text = query.toString();
    const response = await fetchOrRefusal(text === "" ? path : `${path}?${text}`, {
        headers: headersWith({ Accept: "application/json" }), signal: AbortSignal.timeout(ASK_MS),
    });
    if (!response.ok && !accepted.includes(response.status)) {
        throw await refusalOf(response);
    }
    try {
        return await response.json();
    } catch {
        throw new Refusal(response.status, "the node's answer is no JSON");
    }
}

/* Takes a stream of server-sent events apart: give() text as it comes, `on_event(name, data, id)`
 * is called for each whole event. */
function eventParser(on_event) {
    let rest = "";
    let name = "";
    let data = [];
    let id = null;
    function line(text) {
        if (text === "") {
            if (data.length > 0) {
                on_event(name || "message", data.join("\n"), id);
            }
            name = "";
            data = [];
            return;
        }
        const colon = text.indexOf(":");
        const field = colon < 0 ? text : text.slice(0, colon);
        const value = colon < 0 ? "" : text.slice(colon + 1).replace(/^ /, "");
        if (field === "event") {
            name = value;
        } else if (field === "data") {
            data.push(value);
        } else if (field === "id") {
            id = value;
        }
    }
    return {
        give(text) {
            const lines = (rest + text).split(/\r\n|\n/);
            rest = lines.pop();
            lines.forEach(line);
        },
    };
}

/* Follows the node's events for ever. `on.event(name, value)` gets each with its data as JSON;
 * `on.state(state, refusal, retry_at_ms)` each change: "connecting", "live", "lost", "locked".
 * Returns {retry()}: do not wait any longer; what waits for a token goes on with it, too. */
function follow(on) {
    let wake = () => {};
    let last_id = null;

    async function readOnce() {
        const abort = new AbortController();
        let watchdog = 0;
        const alive = () => {
            clearTimeout(watchdog);
            watchdog = setTimeout(() => abort.abort(), SILENCE_MS);
        };
        alive();
        try {
            const response = await fetchOrRefusal(API + "events", {
                headers: headersWith(last_id === null ? { Accept: "text/event-stream" }
                    : { Accept: "text/event-stream", "Last-Event-ID": last_id }),
                signal: abort.signal,
            });
            if (!response.ok) {
                throw await refusalOf(response);
            }
            on.state("live", null, 0);
            const parser = eventParser((name, data, id) => {
                last_id = id === null ? last_id : id;
                on.event(name, JSON.parse(data));
            });
            const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
            for (let part = await reader.read(); !part.done; part = await reader.read()) {
                alive();
                parser.give(part.value);
            }
            throw new Refusal(0, "the node has ended the connection");
        } catch (error) {
            if (error instanceof Refusal) {
                throw error;
            }
            throw new Refusal(0, abort.signal.aborted ? "the node is silent"
                : "the connection broke");
        } finally {
            clearTimeout(watchdog);
            abort.abort();
        }
    }

    function sleep(ms) {
        return new Promise((resolve) => {
            const timer = ms === null ? 0 : setTimeout(resolve, ms);
            wake = () => {
                clearTimeout(timer);
                resolve();
            };
        });
    }

    async function run() {
        for (let tries = 0; ; tries += 1) {
            let refusal = null;
            const began = Date.now();
            on.state("connecting", null, 0);
            try {
                await readOnce();
            } catch (error) {
                refusal = error;
            }
            if (refusal.status === 401 || refusal.status === 403) {
                on.state("locked", refusal, 0);
                await sleep(null);
                tries = -1;
                continue;
            }
            if (Date.now() - began > SILENCE_MS) {
                tries = 0; // it had worked for a while
            }
            const wait_ms = RETRY_MS[Math.min(tries, RETRY_MS.length - 1)];
            on.state("lost", refusal, Date.now() + wait_ms);
            await sleep(wait_ms);
        }
    }

    run();
    return { retry: () => wake() };
}
