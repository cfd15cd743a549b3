/* app.js - what the page knows, what it shows, and when it asks.
 *
 *     stream: numbers, once a second --> model --> draw the view that is shown
 *                                          |
 *                                          +--> each REFRESH_TICKS: the view asks for its tables
 *                                          +--> each SLOW_TICKS: errors, readiness, the node
 *
 * Nothing is asked while the stream is away, the page is hidden or paused, or an answer is still
 * awaited; so a page that nobody looks at costs the node one event a second.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
const REFRESH_TICKS = 2;
const SLOW_TICKS = 5;
const STALE_MS = 3500;      // without numbers, while the stream is there
const HAPPENINGS_MAX = 100;
const GROWTH_MS = 60000;    // "last minute"
const THEME_KEY = "disruptorx-theme";
const THEMES = ["auto", "light", "dark"];

const model = {
    numbers: null, // the last event of that name
    node: null,
    ready: null,
    errors: [],
    happenings: [],
    updates_lost: 0,
    history: new History(["published", "delivered", "bytes_in", "bytes_out", "p50", "p99", "p999",
                          "max", "lag", "errors", "cpu"]),
    rings_peak: new Map(), // slots by ring, since the page was opened
    window_ms: 300000,
    seen_ms: 0,            // when the last numbers came, by this computer's clock
    clock_ms: 0,           // of the numbers that are shown, by the node's
    link: { state: "connecting", refusal: null, retry_at_ms: 0 },
    paused: false,
    grown: new Growth(GROWTH_MS),
    growth: {
        of: (error) => model.grown.of(`${error.area} ${error.reason}`),
        total: () => model.errors.filter(isError)
            .reduce((sum, error) => sum + model.growth.of(error), 0),
    },
    isLive,
    errorsTotal: () => model.errors.filter(isError).reduce((sum, error) => sum + error.count, 0),
    /* The right end of the charts, by the node's clock: the last sample, or while none comes, what
     * time it must be there. */
    now_ms: () => isLive() || model.paused ? model.clock_ms
        : model.clock_ms + Math.max(0, Date.now() - model.seen_ms),
};

/* What is counted among the errors and happens to a node that is well: neither marked nor summed
 * up. */
const USUAL = new Set(["publish unheard", "publish duplicate", "deliver redelivered",
                       "deliver slow"]);

function isError({ area, reason }) {
    return !USUAL.has(`${area} ${reason}`);
}

/* With what they grew by: errors first, the newest, then the most frequent. */
function sortedErrors(errors) {
    return errors.map((error) => ({ ...error, grown: model.growth.of(error) }))
        .sort((a, b) => isError(b) - isError(a) || b.grown - a.grown || b.count - a.count ||
            `${a.area} ${a.reason}`.localeCompare(`${b.area} ${b.reason}`));
}

const cpu_rates = new Rates();
let ticks = 0;           // numbers since the stream began
let log_wanted = true;   // the lines of the log that are known are those of another time
let errors_before = null; // all of them, at the last numbers

function isLive() {
    return model.link.state === "live" && Date.now() - model.seen_ms < STALE_MS;
}

/* ---- what the node says by itself */

function takeNumbers(numbers) {
    const time_ms = numbers.unix_ns / 1e6;
    model.seen_ms = Date.now();
    ticks += 1;
    const { cpu } = cpu_rates.next(time_ms, { cpu: numbers.process.cpu_seconds });
    if (ticks > 1) { // the first ones come at once: their rates are of another time
        addSample(time_ms, numbers, cpu);
    }
    for (const ring of numbers.rings) {
        model.rings_peak.set(ring.name,
            Math.max(model.rings_peak.get(ring.name) || 0, ring.used_slots));
    }
    if (model.paused && model.numbers !== null) {
        return; // what is shown stays as it is
    }
    model.numbers = numbers;
    model.clock_ms = time_ms;
    if (!document.hidden) {
        drawAll();
        refreshAll();
    }
}

function addSample(time_ms, numbers, cpu) {
    const total = model.errorsTotal();
    model.history.add(time_ms, {
        published: numbers.published_rate, delivered: numbers.delivered_rate,
        bytes_in: numbers.bytes_in_rate, bytes_out: numbers.bytes_out_rate,
        ...measured(numbers.latency), lag: lagMax(numbers),
        errors: errors_before === null ? null : Math.max(0, total - errors_before),
        cpu,
    });
    errors_before = errors_before === null ? null : total;
}

function takeHappening(happening) {
    if (!model.happenings.some((known) => known.sequence === happening.sequence)) {
        model.happenings.push(happening);
        model.happenings.splice(0, model.happenings.length - HAPPENINGS_MAX);
    }
}

const EVENTS = {
    numbers: takeNumbers,
    happening: takeHappening,
    lost: ({ count: left_out }) => { model.updates_lost += left_out; },
};

/* ---- what it is asked */

/* Runs a question unless the one before it of this kind is still under way. A refusal is no news
 * here: the stream meets the same one and says so. */
function asker(question) {
    let running = false;
    return async () => {
        if (running) {
            return;
        }
        running = true;
        try {
            await question();
        } catch (error) {
            if (!(error instanceof Refusal)) {
                throw error;
            }
        } finally {
            running = false;
        }
    };
}

const refreshErrors = asker(async () => {
    const { errors } = await ask(API + "errors");
    model.errors = errors;
    model.grown.add(Date.now(), new Map(errors.map((error) =>
        [`${error.area} ${error.reason}`, error.count])));
    if (errors_before === null) {
        errors_before = model.errorsTotal();
    }
});

const refreshReady = asker(async () => {
    const before = model.ready;
    const answer = await ask("readyz", {}, [503]);
    if (!Array.isArray(answer.reasons)) { // 503 may be of another kind
        throw new Refusal(503, String(answer.message));
    }
    model.ready = answer;
    if (before !== null && before.ready !== model.ready.ready) {
        announce(model.ready.ready ? "The node is ready" : "The node is not ready");
    }
});

const refreshHappenings = asker(async () => {
    log_wanted = false;
    try {
        const { lines } = await ask(API + "log", { level: "info", limit: HAPPENINGS_MAX });
        const newest = lines.length === 0 ? 0 : lines[lines.length - 1].sequence;
        model.happenings = lines.concat(model.happenings.filter((line) => line.sequence > newest));
    } catch (error) {
        log_wanted = true;
        throw error;
    }
});

const refreshNode = asker(async () => {
    const before = model.node;
    model.node = await ask(API + "node");
    if (before !== null && before.started_unix_ns !== model.node.started_unix_ns) {
        model.rings_peak.clear();
        model.happenings = []; // they are numbered anew
        log_wanted = true;
        announce("The node was started anew");
    }
});

async function refreshAll(everything = false) {
    const slow = everything || ticks % SLOW_TICKS === 1;
    if (log_wanted) {
        await refreshHappenings();
    }
    if (slow) {
        await Promise.all([refreshErrors(), refreshReady(), refreshNode()]);
    }
    if (slow || ticks % REFRESH_TICKS === 0) {
        await view.refresh();
    }
    if (slow && !model.paused) {
        drawAll();
    }
}

/* ---- views and their addresses */

function viewOf(make_view, name) {
    const made = make_view(model);
    made.name = name;
    made.refresh = asker(made.refresh.bind(made));
    find("main").append(made.element);
    made.element.hidden = true;
    return made;
}

const VIEWS = {
    overview: viewOf(makeOverview, "overview"),
    topics: viewOf(makeTopics, "topics"),
    topic: viewOf(makeTopic, "topics"),
    subscriptions: viewOf(makeSubscriptions, "subscriptions"),
    subscription: viewOf(makeSubscription, "subscriptions"),
    connections: viewOf(makeConnections, "connections"),
    connection: viewOf(makeConnection, "connections"),
    rings: viewOf(makeRings, "rings"),
    errors: viewOf(makeErrors, "errors"),
    config: viewOf(makeConfig, "config"),
    node: viewOf(makeNode, "node"),
};
const ONE_OF = { topics: "topic", subscriptions: "subscription", connections: "connection" };
let view = VIEWS.overview;

/* "#/topics/orders.new" -> [VIEWS.topic, "orders.new"]. */
function viewAt(hash) {
    const [, name = "", rest = ""] = /^#\/([a-z]*)(?:\/(.+))?$/.exec(hash) || [];
    if (rest !== "" && Object.hasOwn(ONE_OF, name)) {
        try {
            return [VIEWS[ONE_OF[name]], decodeURIComponent(rest)];
        } catch {
            return [VIEWS[name], ""]; // no address of ours
        }
    }
    return [Object.hasOwn(VIEWS, name) && !Object.values(ONE_OF).includes(name) ? VIEWS[name]
        : VIEWS.overview, ""];
}

function showView(focus) {
    const [next, argument] = viewAt(location.hash);
    view.element.hidden = true;
    view = next;
    view.element.hidden = false;
    if (view.open) {
        view.open(argument);
    }
    for (const link of find("nav").querySelectorAll("a")) {
        const here = link.getAttribute("href") === `#/${view.name}`;
        setAttributes(link, { "aria-current": here ? "page" : null });
    }
    drawAll();
    if (model.link.state === "live") {
        view.refresh();
    }
    if (focus) {
        scrollTo(0, 0);
        view.element.querySelector("h2").focus({ preventScroll: true });
    }
}

/* ---- the frame around the views */

function showHealth() {
    const { ready } = model;
    const state = ready === null || !isLive() ? ["unknown", "\u2013", "Health not known"]
        : !ready.ready ? ["bad", "\u2715", "Not ready"]
            : ready.reasons.length > 0 ? ["warn", "!", "Ready, with a warning"]
                : ["good", "\u2713", "Ready"];
    const reasons = ready === null || !isLive() ? ""
        : ready.reasons.map((reason) => reason.message).join("; ");
    find("health").className = `badge ${state[0]}`;
    setText(find("health-mark"), state[1]);
    setText(find("health-text"), reasons === "" ? state[2] : `${state[2]}: ${reasons}`);
    setAttributes(find("health"), { title: reasons || null });
}

function showLink() {
    const { state, refusal, retry_at_ms } = model.link;
    const ago = model.seen_ms === 0 ? "nothing was heard of it yet"
        : `last update ${age((Date.now() - model.seen_ms) * 1e6)} ago`;
    let text = "";
    if (state === "lost" || (state === "connecting" && refusal !== null)) {
        const wait_s = Math.ceil((retry_at_ms - Date.now()) / 1000);
        text = `Connection lost, ${ago}: ${refusal.message}. ` + (state === "lost" && wait_s > 0
            ? `Trying again in ${wait_s} s.` : "Trying now.");
    } else if (state === "live" && model.seen_ms !== 0 && !isLive()) {
        text = `No numbers from the node, ${ago}.`;
    } else if (state === "locked") {
        text = refusal.status === 401 ? `The node wants a token, ${ago}.`
            : `The node refuses: ${sentenceOf(refusal)}, ${ago}.`;
    }
    setHidden(find("banner"), text === "");
    setText(find("banner-text"), text);
    setHidden(find("retry"), state !== "lost");
    setHidden(find("enter-token"), state !== "locked");
    const short = text !== "" ? ["bad", state === "locked" ? "Locked" : state === "live"
        ? "Silent" : "Lost"] : model.paused ? ["warn", "Paused"]
        : state === "live" ? ["good", "Live"] : ["unknown", "Connecting"];
    find("link").className = `badge ${short[0]}`;
    setText(find("link-text"), short[1]);
    document.body.classList.toggle("stale", text !== "" && model.numbers !== null);
}

function showFrame() {
    showHealth();
    showLink();
    const { numbers, node } = model;
    const name = node === null ? "" : node.name;
    setText(find("node-name"), name);
    const title = typeof view.title === "function" ? view.title() : view.title;
    document.title = visible((find("banner").hidden ? "" : "(!) ") +
        [title, name, "DisruptorX"].filter((part) => part !== "").join(" \u00b7 "));
    if (numbers !== null) {
        for (const key of ["topics", "subscriptions", "connections"]) {
            setText(find(`count-${key}`), joined(count(numbers[key])));
        }
        setText(find("count-rings"), digits(numbers.rings.length));
    }
    const happened = model.errors.filter((error) => error.count > 0 && isError(error)).length;
    setText(find("count-errors"), model.errors.length === 0 ? "" : digits(happened));
    setText(find("about"), node === null ? "" : [`DisruptorX ${node.version}`, node.id,
        numbers === null ? "" : `up for ${age(numbers.uptime_ns)}`,
        model.updates_lost === 0 ? "" : `${plural(model.updates_lost, "update")} left out, ` +
            "because this page was too slow"].filter((part) => part !== "").join(" \u00b7 "));
}

function drawAll() {
    showFrame();
    if (view !== null) {
        view.draw();
    }
}

/* ---- controls */

function setTheme(theme) {
    setAttributes(document.documentElement, { "data-theme": theme === "auto" ? null : theme });
    setText(find("theme-name"), theme);
    try {
        localStorage.setItem(THEME_KEY, theme);
    } catch {
        // a browser that keeps nothing: the choice lives as long as the page
    }
}

function storedTheme() {
    try {
        const stored = localStorage.getItem(THEME_KEY);
        return THEMES.includes(stored) ? stored : "auto";
    } catch {
        return "auto";
    }
}

function setPaused(paused) {
    model.paused = paused;
    setAttributes(find("pause"), { "aria-pressed": String(paused) });
    drawAll();
    if (!paused) {
        refreshAll(true);
    }
}

function sentenceOf({ message, rule }) {
    return rule === "" ? message : `${message}: ${rule}`;
}

function showTokenProblem(text) {
    setText(find("token-problem"), text);
    setHidden(find("token-problem"), text === "");
}

/* Asks for a token, and says what was wrong with the last one; that one is wanted is no news. */
function askToken(refusal) {
    const news = refusal !== null && (token() !== null || refusal.status !== 401);
    /* The rule of a 401 is for programs: it names a header. */
    const text = news && refusal.status === 401 ? refusal.message : news ? sentenceOf(refusal) : "";
    showTokenProblem(text);
    if (!find("token-dialog").open) {
        find("token-input").value = "";
        find("token-dialog").showModal();
    } else {
        find("token-input").select();
    }
}

function takeToken(event) {
    event.preventDefault();
    const text = find("token-input").value.trim();
    if (!/^[\x20-\x7e]+$/.test(text)) { // a header has no others
        showTokenProblem(text === "" ? "Enter the token."
            : "A token has letters without accents, digits and signs only.");
        find("token-input").focus();
        return;
    }
    setToken(text);
    stream.retry();
}

function showLinkState(state, refusal, retry_at_ms) {
    const before = model.link;
    model.link = { state, refusal: state === "connecting" ? before.refusal : refusal, retry_at_ms };
    setHidden(find("forget"), token() === null);
    if (state === "live" && before.state !== "live") {
        find("token-dialog").close();
        if (before.refusal !== null && model.numbers !== null) {
            announce("Connected again");
        }
        ticks = 0;
        log_wanted = true;
    } else if (state === "lost" && before.refusal === null && model.numbers !== null) {
        announce("Connection lost");
    } else if (state === "locked") {
        askToken(refusal);
    }
    showFrame();
}

find("window").addEventListener("change", () => {
    model.window_ms = Number(find("window").value) * 1000;
    drawAll();
});
find("pause").addEventListener("click", () => setPaused(!model.paused));
find("theme").addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(storedTheme()) + 1) % THEMES.length];
    setTheme(next);
});
find("forget").addEventListener("click", () => {
    setToken(null);
    location.reload();
});
find("retry").addEventListener("click", () => stream.retry());
find("enter-token").addEventListener("click", () => askToken(null));
find("token-form").addEventListener("submit", takeToken);
find("skip").addEventListener("click", (event) => {
    event.preventDefault(); // the part behind # is the view's
    view.element.querySelector("h2").focus();
});
addEventListener("hashchange", () => showView(true));
addEventListener("online", () => stream.retry());
document.addEventListener("visibilitychange", () => {
    if (!document.hidden) {
        drawAll();
    }
});

setTheme(storedTheme());
showView(false);
const stream = follow({
    event: (name, value) => {
        if (Object.hasOwn(EVENTS, name)) {
            EVENTS[name](value);
        }
    },
    state: showLinkState,
});
setInterval(() => {
    showFrame();
    if (!isLive() && !model.paused && !document.hidden) {
        view.draw();
    }
}, 1000);
