/* topics.js - the list of topics, and one topic's numbers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
const TOPIC_SAMPLES_MAX = 1000;
const TOPIC_HISTORIES_MAX = 32; // topics that were looked at keep their samples, so many of them
const SUBSCRIPTIONS_MAX = 1000; // that are looked through for those of one topic

function topicAddress(name) {
    return `#/topics/${encodeURIComponent(name)}`;
}

function noTopics() {
    return [
        make("p", { class: "empty-title" }, "No topics yet"),
        make("p", {}, "A topic is made by its first event: ",
            make("code", {}, "dx pub hello world")),
        make("p", {}, "and watched by whoever subscribes: ", make("code", {}, "dx sub 'hello'")),
    ];
}

/* Whether a pattern of a subscription takes a topic: `*` is one token, `>` all the rest, and
 * neither begins a name with `$`. */
function patternTakes(pattern, name) {
    const wanted = pattern.split(".");
    const tokens = name.split(".");
    if (name.startsWith("$") && (wanted[0] === "*" || wanted[0] === ">")) {
        return false;
    }
    for (const [i, token] of wanted.entries()) {
        if (token === ">") {
            return tokens.length > i;
        }
        if (i >= tokens.length || (token !== "*" && token !== tokens[i])) {
            return false;
        }
    }
    return wanted.length === tokens.length;
}

function makeTopics() {
    const table = makeTable({
        id: "topics", caption: "Topics", sort: "rate_1m", order: "desc", noun: ["topic", "topics"],
        filter: { label: "Filter", hint: "part of a name, or orders.*",
            parameters: (text) => /[*>]/.test(text) ? { pattern: text } : { name: text } },
        key: (topic) => topic.name, empty: noTopics(),
        async load(parameters) {
            const { topics, matched, total } = await ask(API + "topics", parameters);
            return { rows: topics, matched, total };
        },
        columns: [
            { name: "Topic", sort: "name", cell: linkCell((topic) => topic.name,
                (topic) => topicAddress(topic.name)) },
            { name: "Events/s", sort: "rate_1m", right: true, down: true,
                help: "Published a second, weighted over the last minute",
                cell: quantityCell("rate_1m", rate) },
            { name: "Published", sort: "published", right: true, down: true,
                cell: countCell("published") },
            { name: "Bytes", sort: "published_bytes", right: true, down: true, wide: 2,
                help: "Of the payloads that were published",
                cell: quantityCell("published_bytes", bytes) },
            { name: "Delivered", sort: "delivered", right: true, down: true, wide: 1,
                help: "Events times subscriptions", cell: countCell("delivered") },
            { name: "Subs", sort: "subscriptions", right: true, down: true, wide: 1,
                help: "Subscriptions that take this topic", cell: countCell("subscriptions") },
            { name: "Lag", sort: "lag_max", right: true, down: true,
                help: "Events that the subscription furthest behind has not been given yet",
                cell: countCell("lag_max") },
            { name: "p50", right: true, wide: 2,
                help: "From the publisher's claim to the hand-over to subscriptions",
                cell: latencyCell("latency_p50_ns") },
            { name: "p99", sort: "latency_p99_ns", right: true, down: true, wide: 1,
                cell: latencyCell("latency_p99_ns") },
            { name: "Max", right: true, wide: 2, cell: latencyCell("latency_max_ns") },
            { name: "Dropped", sort: "dropped", right: true, down: true, wide: 1,
                help: "Not delivered to a subscription by its policy, and told to it as a gap",
                cell: countCell("dropped", true) },
            { name: "Refused", sort: "refused", right: true, down: true, wide: 2,
                help: "Publications that were not taken", cell: countCell("refused", true) },
            { name: "Dead", sort: "dead", right: true, down: true, wide: 2,
                help: "Given up after the last attempt", cell: countCell("dead", true) },
            { name: "Kept", sort: "retained_bytes", right: true, down: true, wide: 2,
                help: "Bytes in memory for who starts behind or lags",
                cell: quantityCell("retained_bytes", bytes) },
        ],
    });
    const element = make("section", { class: "view", "aria-labelledby": "topics-title" },
        viewHead("topics-title", "Topics"), table.element);
    return { element, title: "Topics", refresh: table.load, draw() {} };
}

function viewHead(id, title, ...more) {
    return make("div", { class: "view-head" }, make("h2", { id, tabindex: -1 }, title), ...more);
}

function backLink(address, name) {
    return make("a", { class: "back", href: address }, "\u2190 ", name);
}

/* ---- one topic */

const TOPIC_KEYS = ["published", "delivered", "p50", "p99", "max"];

function makeTopic(model) {
    const histories = new Map(); // name -> {history, rates}, the one looked at last at the end
    let name = "";
    let topic = null;
    let takers = null; // its subscriptions
    const title = make("h2", { id: "topic-title", tabindex: -1, class: "name" });
    const problem = make("p", { class: "problem", role: "alert", hidden: true });
    const flow = makeChart({ id: "topic-throughput", title: "Throughput", lines: THROUGHPUT_LINES,
        quantity: rate, merge: "mean", area: "delivered" });
    const latency = makeChart({ id: "topic-latency", title: "Latency", merge: "max",
        lines: LATENCY_LINES.filter((line) => line.key !== "p999"), quantity: duration,
        logarithmic: true });
    const numbers = make("dl", { class: "facts" });
    const lost = make("dl", { class: "facts" });
    const kept = make("dl", { class: "facts" });
    const body = make("tbody");
    const table = make("table", {}, make("caption", { class: "hidden" },
        "Subscriptions of this topic"), make("thead", {}, make("tr", {},
        make("th", { scope: "col" }, "Subscription"), make("th", { scope: "col" }, "Pattern"),
        make("th", { scope: "col", class: "wide-1" }, "Group"),
        make("th", { scope: "col", class: "right" }, "Delivered"),
        make("th", { scope: "col", class: "right wide-1" }, "Dropped"),
        make("th", { scope: "col", class: "right" }, "Lag"))), body);
    const nobody = make("div", { class: "empty", hidden: true });
    const partly = make("p", { class: "muted note", hidden: true },
        `Among the ${digits(SUBSCRIPTIONS_MAX)} subscriptions that are furthest behind.`);
    const content = make("div", { class: "grid" }, panel("span-6", flow.element),
        panel("span-6", latency.element),
        panel("span-3", makePanel("topic-numbers", "Events", null, numbers)),
        panel("span-3", makePanel("topic-lost", "Lost and refused", null, lost)),
        panel("span-6", makePanel("topic-kept", "Kept, and how it is declared", null, kept)),
        panel("span-12", makePanel("topic-subscriptions", "Subscriptions that take it", null,
            partly, table, nobody)));
    const element = make("section", { class: "view", "aria-labelledby": "topic-title" },
        make("div", { class: "view-head" }, backLink("#/topics", "Topics"), title), problem,
        content);

    function historyOf(key) {
        const known = histories.get(key) || {
            history: new History(TOPIC_KEYS, TOPIC_SAMPLES_MAX), rates: new Rates() };
        histories.delete(key);
        histories.set(key, known);
        if (histories.size > TOPIC_HISTORIES_MAX) {
            histories.delete(histories.keys().next().value);
        }
        return known;
    }

    function take(answer) {
        topic = answer;
        const { history, rates } = historyOf(topic.name);
        const measure = (ns) => ns > 0 ? ns : null;
        history.add(model.now_ms(), {
            ...rates.next(Date.now(), { published: topic.published, delivered: topic.delivered }),
            p50: measure(topic.latency_p50_ns), p99: measure(topic.latency_p99_ns),
            max: measure(topic.latency_max_ns),
        });
    }

    function countItem(text, key) {
        return [text, count(topic[key]), digits(topic[key])];
    }

    function showFacts() {
        const { options } = topic;
        setDefinitions(numbers, [
            countItem("Published", "published"), ["Bytes", bytes(topic.published_bytes),
                digits(topic.published_bytes)], countItem("Delivered", "delivered"),
            countItem("Redelivered", "redelivered"), countItem("Subscriptions", "subscriptions"),
            countItem("Largest lag", "lag_max"), ["Events/s, 1 min", rate(topic.rate_1m)],
            ["Events/s, 5 min", rate(topic.rate_5m)], ["Events/s, 15 min", rate(topic.rate_15m)],
        ]);
        setDefinitions(lost, [
            countItem("Refused publications", "refused"), countItem("Duplicates", "duplicates"),
            countItem("Dropped", "dropped"), countItem("Dead letters", "dead"),
            countItem("Left out by filters", "filtered"), countItem("Unheard", "unheard"),
        ]);
        setDefinitions(kept, [
            ["Kept events", topic.first_sequence === 0 ? "none" :
                `${digits(topic.retained_events)}, sequences ${digits(topic.first_sequence)} to ` +
                digits(topic.last_sequence)],
            ["Kept bytes", bytes(topic.retained_bytes), digits(topic.retained_bytes)],
            ["Keeps at most", options.retain_events === "none" ? "nothing" :
                `${plural(options.retain_events, "event")}, ` +
                joined(bytes(options.retain_bytes))],
            ["For", options.retain_age_ns === 0 ? "no limit of time" : age(options.retain_age_ns)],
            ["Largest event", bytes(options.event_bytes_max)],
            ["When its ring is full", options.full === "fail" ? "publishers get an error at once"
                : "publishers wait"],
            ["Order", options.shard_by === "key" ? "per key" : "per topic"],
            ["Shards", topic.shards > 1 ? `${digits(topic.shards)}, from ${topic.shard} on`
                : `shard ${topic.shard}`],
            ["Slots in use in its rings", count(topic.depth), digits(topic.depth)],
            ["Declared", topic.declared ? "yes" : "no, made by its first event"],
        ]);
    }

    function showTakers() {
        setHidden(table, takers.length === 0);
        setHidden(nobody, takers.length > 0);
        if (nobody.childElementCount === 0) {
            nobody.append(make("p", {}, "Nobody subscribes to it: ", make("code")));
        }
        setText(nobody.querySelector("code"), `dx sub '${name}'`);
        setChildren(body, takers, subscriptionKey, () => make("tr", {},
            make("th", { scope: "row" }), make("td", { class: "text" }),
            make("td", { class: "text wide-1" }),
            make("td", { class: "right" }), make("td", { class: "right wide-1" }),
            make("td", { class: "right" })),
        (row, one) => {
            linkCell(subscriptionName, subscriptionAddress)(row.children[0], one);
            setText(row.children[1], one.pattern);
            setText(row.children[2], one.group || UNKNOWN);
            countCell("delivered")(row.children[3], one);
            countCell("dropped", true)(row.children[4], one);
            countCell("lag")(row.children[5], one);
        });
    }

    function showProblem(text) {
        setText(problem, text);
        setHidden(problem, text === "");
        setHidden(content, text !== "" && topic === null);
    }

    return {
        element,
        title: () => name,
        open(argument) {
            if (argument !== name) {
                name = argument;
                topic = null;
                takers = null;
            }
            setText(title, name);
            showProblem("");
        },
        async refresh() {
            const wanted = name;
            try {
                const answer = await ask(`${API}topics/${encodeURIComponent(wanted)}`);
                const { subscriptions, total } = await ask(API + "subscriptions",
                    { limit: SUBSCRIPTIONS_MAX });
                if (wanted === name) {
                    take(answer);
                    setHidden(partly, total <= subscriptions.length);
                    takers = subscriptions.filter((one) => patternTakes(one.pattern, name));
                    showProblem("");
                    this.draw();
                }
            } catch (error) {
                if (!(error instanceof Refusal)) {
                    throw error;
                }
                if (error.status === 404 && wanted === name) {
                    topic = null;
                    showProblem("There is no such topic any more, or not yet: a topic is made by " +
                        "its first event.");
                }
            }
        },
        draw() {
            if (topic === null || takers === null) {
                return;
            }
            const { history } = historyOf(name);
            flow.draw(history, model.window_ms, model.now_ms());
            latency.draw(history, model.window_ms, model.now_ms());
            showFacts();
            showTakers();
        },
    };
}
