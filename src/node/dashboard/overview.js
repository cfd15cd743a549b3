/* overview.js - the first view: all that tells whether the node is well, on one screen.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
const BUSIEST = 8;
const BEHIND = 8;
const PROBLEMS = 8;
const CONSUMERS_MAX = 20; // the node names so many that are behind or have to acknowledge

/* A figure with its name, a second line, and the last minute as a small line. */
function makeTile(name, kind, help) {
    const value = make("p", { class: "tile-value number" });
    const note = make("p", { class: "tile-note muted" });
    const spark = makeSpark(kind);
    const element = make("li", { class: "tile", title: help },
        make("h3", { class: "tile-name" }, name), value, note, spark.element);
    return { element, set(quantity, text, exact, history) {
        setQuantity(value, quantity, exact);
        setText(note, text);
        spark.draw(history);
    }, warn(bad) {
        element.classList.toggle("loud", bad);
    } };
}

const THROUGHPUT_LINES = [
    { key: "published", name: "published", kind: "line-a" },
    { key: "delivered", name: "delivered", kind: "line-b" },
];
const BYTES_LINES = [
    { key: "bytes_in", name: "in", kind: "line-a" },
    { key: "bytes_out", name: "out", kind: "line-b" },
];
const LATENCY_LINES = [
    { key: "p50", name: "p50", kind: "line-b" },
    { key: "p99", name: "p99", kind: "line-a" },
    { key: "p999", name: "p99.9", kind: "line-c" },
    { key: "max", name: "max", kind: "line-d" },
];

function makeOverview(model) {
    const tiles = {
        published: makeTile("Published", "line-a", "Events that got a sequence, a second"),
        delivered: makeTile("Delivered", "line-b", "Events times subscriptions, a second"),
        bytes_in: makeTile("Received", "line-a", "Bytes from clients, a second"),
        bytes_out: makeTile("Sent", "line-b", "Bytes to clients, a second"),
        latency: makeTile("Latency p99", "line-a",
            "From the publisher's claim to the hand-over to subscriptions, last 5 to 10 seconds"),
        lag: makeTile("Largest lag", "line-c",
            "Events that the subscription furthest behind has not been given yet"),
        problems: makeTile("Errors", "line-d", "Errors, drops and refusals since the start"),
        cpu: makeTile("CPU", "line-b", "Processors that the node's process uses"),
    };
    const throughput = makeChart({ id: "throughput", title: "Throughput", lines: THROUGHPUT_LINES,
        quantity: rate, merge: "mean", area: "delivered" });
    const latency = makeChart({ id: "latency", title: "Latency", lines: LATENCY_LINES,
        quantity: duration, merge: "max", logarithmic: true });
    const traffic = makeChart({ id: "traffic", title: "Traffic", lines: BYTES_LINES,
        quantity: byteRate, merge: "mean", area: "bytes_out", binary: true });
    const rings = makeRingPicture();
    const behind = makeBehind();
    const busiest = makeBusiest();
    const problems = makeProblemsSummary(model);
    const happenings = makeHappenings("happenings", "Log", 9);
    const element = make("section", { class: "view", "aria-labelledby": "overview-title" },
        make("h2", { id: "overview-title", class: "hidden", tabindex: -1 }, "Overview"),
        make("ul", { class: "tiles" }, ...Object.values(tiles).map((tile) => tile.element)),
        make("div", { class: "grid" },
            panel("span-6", throughput.element), panel("span-6", latency.element),
            panel("span-6", busiest.element), panel("span-3", rings.element),
            panel("span-3", behind.element),
            panel("span-4", traffic.element), panel("span-4", problems.element),
            panel("span-4", happenings.element)));

    function showTiles() {
        const { numbers, history, growth } = model;
        const last = (key) => history.values[key].slice(-60);
        const total = (key, of_what) => `${joined(of_what(numbers[key]))} in all`;
        tiles.published.set(rate(numbers.published_rate), total("published", count),
            digits(numbers.published), last("published"));
        tiles.delivered.set(rate(numbers.delivered_rate), total("delivered", count),
            digits(numbers.delivered), last("delivered"));
        tiles.bytes_in.set(byteRate(numbers.bytes_in_rate), total("bytes_in", bytes),
            digits(numbers.bytes_in), last("bytes_in"));
        tiles.bytes_out.set(byteRate(numbers.bytes_out_rate), total("bytes_out", bytes),
            digits(numbers.bytes_out), last("bytes_out"));
        const { p50, p99 } = measured(numbers.latency);
        tiles.latency.set(duration(p99), p99 === null ? "nothing measured"
            : `p50 ${joined(duration(p50))}`,
            p99 === null ? null : `${digits(p99)} ns`, last("p99"));
        const lag = lagMax(numbers);
        const behind_count = numbers.consumers.filter((one) => one.lag > 0).length;
        tiles.lag.set(count(lag), numbers.subscriptions === 0 ? "no subscription"
            : behind_count === 0 ? "all keep up"
                : `${digits(behind_count)}${behind_count >= CONSUMERS_MAX ? " or more" : ""} of ` +
                  `${joined(count(numbers.subscriptions))} behind`, digits(lag), last("lag"));
        const grown = growth.total();
        tiles.problems.set(count(model.errorsTotal()), grown > 0
            ? `${joined(count(grown))} in the last minute` : "none in the last minute",
            digits(model.errorsTotal()), last("errors"));
        tiles.problems.warn(grown > 0);
        const { process } = numbers;
        tiles.cpu.set(percent(history.values.cpu[history.length - 1]),
            `${joined(bytes(process.resident_bytes))} of memory`, null,
            last("cpu"));
    }

    return {
        element,
        title: "Overview",
        async refresh() {
            const answer = await ask(API + "topics", { sort: "rate_1m", order: "desc",
                                                       limit: BUSIEST });
            busiest.show(answer);
        },
        draw() {
            if (model.numbers === null) {
                return;
            }
            showTiles();
            for (const chart of [throughput, latency, traffic]) {
                chart.draw(model.history, model.window_ms, model.now_ms());
            }
            rings.show(model.numbers, model.rings_peak);
            behind.show(model.numbers);
            problems.show();
            happenings.show(model.happenings);
        },
    };
}

function panel(width, ...children) {
    return make("div", { class: `panel ${width}` }, ...children);
}

/* Percentiles that were measured, or null each. */
function measured(latency) {
    const there = latency.count > 0;
    return { p50: there ? latency.p50_ns : null, p99: there ? latency.p99_ns : null,
             p999: there ? latency.p999_ns : null, max: there ? latency.max_ns : null };
}

function lagMax(numbers) {
    return Math.max(0, ...numbers.consumers.map((consumer) => consumer.lag));
}

/* A panel with a heading, an address behind it, and a body. */
function makePanel(id, title, address, ...children) {
    const heading = make("h3", { id: `${id}-title` }, title);
    return make("section", { "aria-labelledby": `${id}-title`, id },
        make("div", { class: "panel-head" }, heading, address === null ? "" :
            make("a", { class: "more", href: address, "aria-label": `${title}: all` }, "All")),
        ...children);
}

/* The rings as a row of bars: what is used now, and a mark for the most that was seen. */
function makeRingPicture() {
    const bars = make("div", { class: "ring-bars", role: "img" });
    const note = make("p", { class: "muted note" });
    const loops = make("ul", { class: "loops" });
    const element = makePanel("rings", "Rings and loops", "#/rings", bars, note, loops);
    function show(numbers, peaks) {
        const { rings } = numbers;
        const part = (ring) => ring.used_slots / ring.capacity_slots;
        setChildren(bars, rings, (ring) => ring.name, () => make("span", { class: "ring-bar" },
            make("span", { class: "ring-fill" }), make("span", { class: "ring-peak" })),
        (bar, ring) => {
            const peak = Math.max(part(ring), (peaks.get(ring.name) || 0) / ring.capacity_slots);
            bar.firstChild.style.blockSize = `${(100 * part(ring)).toFixed(1)}%`;
            bar.lastChild.style.insetBlockEnd = `${(100 * peak).toFixed(1)}%`;
            bar.classList.toggle("warm", part(ring) >= 0.5 && part(ring) < 0.8);
            bar.classList.toggle("hot", part(ring) >= 0.8);
            setAttributes(bar, { title: `${ring.name}: ${digits(ring.used_slots)} of ` +
                `${digits(ring.capacity_slots)} slots, at most ${joined(percent(peak))}` });
        });
        const fullest = rings.reduce((most, ring) => most === null || part(ring) > part(most)
            ? ring : most, null);
        const text = fullest === null ? "No ring." :
            `${plural(rings.length, "ring")}; fullest: ${fullest.name}, ` +
            `${joined(percent(part(fullest)))} of ${joined(count(fullest.capacity_slots))} slots`;
        setText(note, text);
        setAttributes(bars, { "aria-label": text });
        setChildren(loops, numbers.loops, (loop) => loop.name, () => {
            const bar = makeBar();
            const item = make("li", {}, make("span", { class: "loop-name" }), bar.element,
                make("span", { class: "number right" }));
            item.bar = bar;
            return item;
        }, (item, loop) => {
            setText(item.firstChild, loop.name);
            item.bar.set(loop.busy_ratio);
            setQuantity(item.lastChild, percent(loop.busy_ratio));
        });
    }
    return { element, show };
}

/* Who is behind. */
function makeBehind() {
    const body = make("tbody");
    const table = make("table", { class: "short" }, make("caption", { class: "hidden" },
        "Subscriptions that are behind or have to acknowledge"), make("thead", {}, make("tr", {},
        make("th", { scope: "col" }, "Subscription"),
        make("th", { scope: "col", class: "right" }, "Pending"),
        make("th", { scope: "col", class: "right" }, "Lag"))), body);
    const good = make("p", { class: "empty" });
    const nobody = make("p", { class: "empty", hidden: true }, "Nobody subscribes yet: ",
        make("code", {}, "dx sub '>'"));
    const element = makePanel("behind", "Lag per consumer", "#/subscriptions", table, good,
        nobody);
    function show({ consumers, subscriptions }) {
        setHidden(table, consumers.length === 0);
        setHidden(good, consumers.length > 0 || subscriptions === 0);
        setHidden(nobody, subscriptions > 0);
        setText(good, `${subscriptions === 1 ? "The one subscription keeps"
            : `All ${plural(subscriptions, "subscription")} keep`} up.`);
        setChildren(body, consumers.slice(0, BEHIND), (consumer) =>
            `${consumer.connection} ${consumer.name} ${consumer.pattern} ${consumer.group}`,
        () => make("tr", {}, make("th", { scope: "row" }, make("span", { class: "name" }),
            make("span", { class: "sub" })), make("td", { class: "right" }),
            make("td", { class: "right" })),
        (row, consumer) => {
            const name = subscriptionName(consumer);
            const more = [name === consumer.pattern ? "" : consumer.pattern,
                consumer.group === "" ? "" : `group ${consumer.group}`,
                consumer.connection === 0 ? "in the node" : `connection ${consumer.connection}`]
                .filter((part) => part !== "").join(", ");
            setText(row.firstChild.firstChild, name);
            setText(row.firstChild.lastChild, more);
            setAttributes(row.firstChild, { title: visible(`${name}: ${more}`) });
            setQuantity(row.children[1], count(consumer.pending), digits(consumer.pending));
            setQuantity(row.children[2], count(consumer.lag), digits(consumer.lag));
        });
    }
    return { element, show };
}

function makeBusiest() {
    const body = make("tbody");
    const head = (name, more = "") => make("th", { scope: "col", class: `right ${more}` }, name);
    const table = make("table", { class: "short" },
        make("caption", { class: "hidden" }, "The busiest topics"),
        make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Topic"), head("Events/s"),
            head("Published", "wide-1"), head("Subs", "wide-1"), head("Lag"),
            head("p99"), head("Max", "wide-1"))), body);
    const empty = make("div", { class: "empty", hidden: true }, ...noTopics());
    const element = makePanel("busiest", "Busiest topics", "#/topics", table, empty);
    const cells = [
        linkCell((topic) => topic.name, (topic) => topicAddress(topic.name)),
        quantityCell("rate_1m", rate), countCell("published"), countCell("subscriptions"),
        countCell("lag_max"), latencyCell("latency_p99_ns"), latencyCell("latency_max_ns"),
    ];
    function show({ topics }) {
        setHidden(table, topics.length === 0);
        setHidden(empty, topics.length > 0);
        setChildren(body, topics, (topic) => topic.name, () => make("tr", {},
            make("th", { scope: "row" }), make("td", { class: "right" }),
            make("td", { class: "right wide-1" }), make("td", { class: "right wide-1" }),
            make("td", { class: "right" }), make("td", { class: "right" }),
            make("td", { class: "right wide-1" })), (row, topic) => {
            cells.forEach((cell, i) => cell(row.children[i], topic));
        });
    }
    return { element, show };
}

/* What went wrong lately, then what ever did. */
function makeProblemsSummary(model) {
    const body = make("tbody");
    const table = make("table", {}, make("caption", { class: "hidden" }, "Errors by reason"),
        make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Reason"),
            make("th", { scope: "col", class: "right" }, "Last minute"),
            make("th", { scope: "col", class: "right" }, "Since start"))), body);
    const good = make("p", { class: "empty" });
    const element = makePanel("problems", "Errors and refusals", "#/errors", table, good);
    function show() {
        const seen = sortedErrors(model.errors.filter((error) => error.count > 0));
        setHidden(table, seen.length === 0);
        setHidden(good, seen.length > 0);
        setText(good, model.errors.length === 0 ? "Not known yet."
            : `None since the start: ${plural(model.errors.length, "kind")} of error ` +
            "and refusal counted, all zero.");
        setChildren(body, seen.slice(0, PROBLEMS), (error) => `${error.area} ${error.reason}`,
            () => make("tr", {}, make("th", { scope: "row" }, make("span", { class: "name" }),
                make("span", { class: "sub" })), make("td", { class: "right" }),
                make("td", { class: "right" })),
            (row, error) => showProblem(row, error));
    }
    return { element, show };
}

function showProblem(row, error) {
    setText(row.firstChild.firstChild, error.reason.replaceAll("_", " "));
    setText(row.firstChild.lastChild, error.area);
    setAttributes(row, { title: error.help });
    const [number, unit] = count(error.grown);
    setQuantity(row.children[1], error.grown > 0 ? ["+" + number, unit] : ["0", ""],
        digits(error.grown));
    row.children[1].classList.toggle("loud", error.grown > 0 && isError(error));
    row.children[1].classList.toggle("zero", error.grown === 0);
    setQuantity(row.children[2], count(error.count), digits(error.count));
}

/* The newest lines of the log that matter. */
function makeHappenings(id, title, lines_max) {
    const list = make("ol", { class: "log" });
    const nothing = make("p", { class: "empty" }, "Nothing happened yet.");
    const element = makePanel(id, title, "#/errors", list, nothing);
    function show(happenings) {
        setHidden(nothing, happenings.length > 0);
        showLines(list, happenings.slice(-lines_max).reverse());
    }
    return { element, show };
}

const LEVEL_MARKS = { error: "E", warn: "W", info: "i", debug: "d", trace: "t" };

function showLines(list, lines) {
    setChildren(list, lines, (line) => line.sequence, (line) => make("li", {
        class: `log-${Object.hasOwn(LEVEL_MARKS, line.level) ? line.level : "info"}` },
        make("span", { class: "level", title: line.level,
            "aria-label": line.level, role: "img" }, LEVEL_MARKS[line.level] || "i"),
        make("time", { class: "number muted", title: dateTime(line.unix_ns / 1e6) },
            clockTime(line.unix_ns / 1e6)),
        make("span", { class: "muted" }, line.component),
        make("span", { class: "message" }, line.message)), () => {});
}
