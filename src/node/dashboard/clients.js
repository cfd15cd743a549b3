/* clients.js - subscriptions and connections, as lists, and one of each.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

/* A subscription has no number of its own: connection, name, pattern and group are its key. */
function subscriptionKey({ connection, name, pattern, group }) {
    return JSON.stringify([connection, name, pattern, group]);
}

/* Most clients give theirs no name. */
function subscriptionName({ name, pattern }) {
    return name || pattern;
}

function subscriptionAddress(subscription) {
    return `#/subscriptions/${encodeURIComponent(subscriptionKey(subscription))}`;
}

function connectionAddress(id) {
    return `#/connections/${id}`;
}

function makeSubscriptions() {
    const table = makeTable({
        id: "subscriptions", caption: "Subscriptions", sort: "lag", order: "desc",
        noun: ["subscription", "subscriptions"],
        filter: { label: "Filter", hint: "part of a name or pattern",
            parameters: (text) => ({ text }) },
        key: subscriptionKey,
        empty: [
            make("p", { class: "empty-title" }, "No subscriptions yet"),
            make("p", {}, "Watch all topics: ", make("code", {}, "dx sub '>'")),
            make("p", {}, "Or some of them, shared by a group: ",
                make("code", {}, "dx sub 'orders.*' --group billing")),
        ],
        async load(parameters) {
            const { subscriptions, matched, total } =
                await ask(API + "subscriptions", parameters);
            return { rows: subscriptions, matched, total };
        },
        columns: [
            { name: "Subscription", sort: "name",
                cell: linkCell(subscriptionName, subscriptionAddress) },
            { name: "Pattern", sort: "pattern", cell: textCell("pattern") },
            { name: "Group", sort: "group", wide: 1, cell: textCell("group") },
            { name: "Connection", sort: "connection", wide: 1, cell: (td, one) => {
                if (one.connection === 0) {
                    setText(td, "in the node");
                    return;
                }
                linkCell((it) => `${it.connection}`,
                    (it) => connectionAddress(it.connection))(td, one);
            } },
            { name: "Delivered", sort: "delivered", right: true, down: true,
                cell: countCell("delivered") },
            { name: "Acknowledged", right: true, wide: 2, cell: countCell("acknowledged") },
            { name: "Again", right: true, wide: 2, help: "Redelivered",
                cell: countCell("redelivered") },
            { name: "Pending", sort: "pending", right: true, down: true, wide: 1,
                help: "Delivered and not acknowledged", cell: countCell("pending") },
            { name: "Lag", sort: "lag", right: true, down: true,
                help: "Events that it has not been given yet", cell: countCell("lag") },
            { name: "Dropped", sort: "dropped", right: true, down: true, wide: 1,
                help: "Left out by its policy and told to it as gaps",
                cell: countCell("dropped", true) },
            { name: "Dead", sort: "dead", right: true, down: true, wide: 2,
                help: "Given up after the last attempt", cell: countCell("dead", true) },
            { name: "Filtered", right: true, wide: 2, cell: countCell("filtered") },
        ],
    });
    const element = make("section", { class: "view", "aria-labelledby": "subscriptions-title" },
        viewHead("subscriptions-title", "Subscriptions"), table.element);
    return { element, title: "Subscriptions", refresh: table.load, draw() {} };
}

function makeConnections() {
    const table = makeTable({
        id: "connections", caption: "Connections", sort: "id", order: "asc",
        noun: ["connection", "connections"],
        filter: { label: "Filter", hint: "part of a name", parameters: (name) => ({ name }) },
        key: (connection) => connection.id,
        empty: [
            make("p", { class: "empty-title" }, "No connections"),
            make("p", {}, "A client connects to one of the node's addresses (view Node): ",
                make("code", {}, "dx pub hello world")),
        ],
        async load(parameters) {
            const { connections, matched, total } = await ask(API + "connections", parameters);
            return { rows: connections, matched, total };
        },
        columns: [
            { name: "Client", sort: "name", cell: linkCell((one) => one.name || `${one.id}`,
                (one) => connectionAddress(one.id)) },
            { name: "Id", sort: "id", right: true, wide: 1, cell: (td, one) =>
                setText(td, String(one.id)) },
            { name: "Address", sort: "address", wide: 1, cell: textCell("address") },
            { name: "Kind", wide: 2, cell: textCell("kind") },
            { name: "User", wide: 2, cell: (td, one) => setText(td, one.user || UNKNOWN) },
            { name: "Since", sort: "age_ns", right: true, down: true, wide: 1,
                cell: (td, one) => setText(td, age(one.age_ns)) },
            { name: "Round trip", sort: "rtt_ns", right: true, down: true, wide: 2,
                help: "Of the last PING", cell: latencyCell("rtt_ns") },
            { name: "Subs", sort: "subscriptions", right: true, down: true, wide: 2,
                cell: countCell("subscriptions") },
            { name: "Events in", sort: "events_in", right: true, down: true,
                cell: countCell("events_in") },
            { name: "Events out", sort: "events_out", right: true, down: true,
                cell: countCell("events_out") },
            { name: "Bytes in", sort: "bytes_in", right: true, down: true, wide: 1,
                cell: quantityCell("bytes_in", bytes) },
            { name: "Bytes out", sort: "bytes_out", right: true, down: true, wide: 1,
                cell: quantityCell("bytes_out", bytes) },
            { name: "To be sent", sort: "send_queue_bytes", right: true, down: true, wide: 2,
                help: "What waits because the client does not read fast enough",
                cell: quantityCell("send_queue_bytes", bytes) },
            { name: "Refused", sort: "refused", right: true, down: true, wide: 2,
                help: "Frames that were refused", cell: countCell("refused", true) },
        ],
    });
    const element = make("section", { class: "view", "aria-labelledby": "connections-title" },
        viewHead("connections-title", "Connections"), table.element);
    return { element, title: "Connections", refresh: table.load, draw() {} };
}

/* A view of one thing: a heading, facts in panels, a sentence when it is gone.
 * options: id, back [address, name], gone, load(argument) -> thing or null, name(thing, argument),
 * groups: [{title, facts(thing)}]. */
function makeThing(options) {
    let argument = "";
    let thing = null;
    const title = make("h2", { id: `${options.id}-title`, tabindex: -1, class: "name" });
    const problem = make("p", { class: "problem", role: "alert", hidden: true });
    const lists = options.groups.map(() => make("dl", { class: "facts" }));
    const content = make("div", { class: "grid" }, ...options.groups.map((group, i) =>
        panel("span-4", makePanel(`${options.id}-${i}`, group.title, null, lists[i]))));
    const element = make("section", { class: "view", "aria-labelledby": `${options.id}-title` },
        make("div", { class: "view-head" }, backLink(...options.back), title), problem, content);
    return {
        element,
        title: () => title.textContent,
        open(text) {
            if (text !== argument) {
                argument = text;
                thing = null;
                setHidden(content, true);
            }
            setText(title, thing === null ? options.first_name(text) : options.name(thing));
            setHidden(problem, true);
        },
        async refresh() {
            const wanted = argument;
            try {
                const answer = await options.load(wanted);
                if (wanted !== argument) {
                    return;
                }
                thing = answer;
                setHidden(problem, thing !== null);
                if (thing === null) {
                    setText(problem, options.gone);
                }
                this.draw();
            } catch (error) {
                if (!(error instanceof Refusal)) {
                    throw error;
                }
            }
        },
        draw() {
            if (thing !== null) {
                setHidden(content, false);
                setText(title, options.name(thing));
                options.groups.forEach((group, i) => setDefinitions(lists[i], group.facts(thing)));
            }
        },
    };
}

function countFact(text, thing, key) {
    return [text, count(thing[key]), digits(thing[key])];
}

function makeConnection() {
    return makeThing({
        id: "connection", back: ["#/connections", "Connections"],
        gone: "This connection is closed.",
        first_name: (id) => `Connection ${id}`,
        name: (one) => one.name || `Connection ${one.id}`,
        async load(id) {
            try {
                return await ask(`${API}connections/${encodeURIComponent(id)}`);
            } catch (error) {
                if (error instanceof Refusal && (error.status === 404 || error.status === 400)) {
                    return null;
                }
                throw error;
            }
        },
        groups: [
            { title: "Client", facts: (one) => [
                ["Id", String(one.id)], ["Address", one.address], ["Kind", one.kind],
                ["User", one.user || "not known to the node"],
                ["TLS", one.tls ? one.tls_subject || "yes, without a certificate" : "no"],
                ["State", one.open ? "open" : "greeting"], ["Connected for", age(one.age_ns)],
                ["Round trip", duration(one.rtt_ns > 0 ? one.rtt_ns : null)]] },
            { title: "Received", facts: (one) => [
                countFact("Events", one, "events_in"), countFact("Frames", one, "frames_in"),
                ["Bytes", bytes(one.bytes_in), digits(one.bytes_in)],
                countFact("Refused frames", one, "refused")] },
            { title: "Sent", facts: (one) => [
                countFact("Subscriptions", one, "subscriptions"),
                countFact("Events", one, "events_out"), countFact("Frames", one, "frames_out"),
                ["Bytes", bytes(one.bytes_out), digits(one.bytes_out)],
                ["Waits to be sent", bytes(one.send_queue_bytes),
                    digits(one.send_queue_bytes)]] },
        ],
    });
}

function makeSubscription() {
    return makeThing({
        id: "subscription", back: ["#/subscriptions", "Subscriptions"],
        gone: "This subscription has ended.",
        first_name: (key) => {
            try {
                const [, name, pattern] = JSON.parse(key);
                return subscriptionName({ name, pattern });
            } catch {
                return "Subscription";
            }
        },
        name: subscriptionName,
        async load(key) {
            let wanted;
            try {
                wanted = JSON.parse(key);
            } catch {
                return null;
            }
            const [connection, , pattern, group] = wanted;
            const { subscriptions } = await ask(API + "subscriptions",
                { connection, pattern, group, limit: SUBSCRIPTIONS_MAX });
            return subscriptions.find((one) => subscriptionKey(one) === key) || null;
        },
        groups: [
            { title: "Subscription", facts: (one) => [
                ["Name", one.name || "none"], ["Pattern", one.pattern],
                ["Group", one.group || "none"],
                ["Where", one.connection === 0 ? "in the node's process"
                    : `connection ${one.connection}`]] },
            { title: "Delivery", facts: (one) => [
                countFact("Delivered", one, "delivered"), countFact("Lag", one, "lag"),
                countFact("Acknowledged", one, "acknowledged"),
                countFact("Pending", one, "pending"),
                countFact("Redelivered", one, "redelivered")] },
            { title: "Not delivered", facts: (one) => [
                countFact("Dropped", one, "dropped"), countFact("Gaps", one, "gaps"),
                countFact("Negative answers", one, "refused"),
                countFact("Dead letters", one, "dead"),
                countFact("Left out by its filter", one, "filtered")] },
        ],
    });
}
