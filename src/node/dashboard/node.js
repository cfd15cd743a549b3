/* node.js - errors and the log; the configuration; what the node is and whether it is ready.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
function makeErrors(model) {
    const body = make("tbody");
    const list = make("ol", { class: "log long" });
    const nothing = make("p", { class: "empty" }, "The log is empty.");
    const lost = make("p", { class: "muted note", hidden: true });
    const level = make("select", { id: "log-level", onchange: () => refreshLog() },
        ...["info", "warn", "error"].map((name) => make("option", { value: name }, name)));
    const only = make("input", { type: "checkbox", id: "errors-only", onchange: () => draw() });
    const table = make("table", { class: "flat" },
        make("caption", { class: "hidden" }, "Errors by reason"),
        make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Reason"),
            make("th", { scope: "col", class: "right" }, "Last minute"),
            make("th", { scope: "col", class: "right" }, "Since start"),
            make("th", { scope: "col", class: "wide-1 behind-number" }, "What it means"))),
        body);
    const good = make("p", { class: "empty", hidden: true }, "None since the start.");
    const element = make("section", { class: "view", "aria-labelledby": "errors-title" },
        viewHead("errors-title", "Errors"),
        make("div", { class: "grid" },
            panel("span-7", makePanel("error-list", "Errors and refusals", null,
                make("p", { class: "table-bar" }, make("label", {}, only,
                    " only what happened")), table, good)),
            panel("span-5", makePanel("log", "Log", null,
                make("p", { class: "table-bar" }, make("label", { for: "log-level" },
                    "Level and above"), level), lost, list, nothing))));

    function draw() {
        const errors = sortedErrors(model.errors.filter((error) =>
            !only.checked || error.count > 0));
        setHidden(table, errors.length === 0);
        setHidden(good, errors.length > 0);
        setChildren(body, errors, (error) => `${error.area} ${error.reason}`, () => make("tr", {},
            make("th", { scope: "row" }, make("span", { class: "name" }),
                make("span", { class: "sub" })), make("td", { class: "right" }),
            make("td", { class: "right" }), make("td", { class: "wide-1 muted behind-number" })),
        (row, error) => {
            showProblem(row, error);
            row.children[2].classList.toggle("zero", error.count === 0);
            setText(row.children[3], error.help);
        });
    }

    async function refreshLog() {
        const answer = await ask(API + "log", { level: level.value, limit: 200 });
        setHidden(nothing, answer.lines.length > 0);
        setHidden(lost, answer.lost === 0);
        setText(lost, `${plural(answer.lost, "older line is", "older lines are")} not kept.`);
        showLines(list, answer.lines.reverse());
    }

    return { element, title: "Errors", refresh: refreshLog, draw };
}

/* ---- configuration */

function makeConfig() {
    let options = [];
    let pending = null;
    let problem = "";
    const input = make("input", { type: "search", id: "config-filter", class: "filter",
        placeholder: "part of a name or of its help", autocomplete: "off", spellcheck: "false",
        oninput: () => {
            show();
            announce(`${plural(shownOptions().length, "option matches", "options match")}`);
        } });
    const only = make("input", { type: "checkbox", id: "config-only", onchange: () => show() });
    const shown = make("p", { class: "muted count" });
    const file = make("p", { class: "muted note" });
    const notes = make("div", {});
    const body = make("tbody");
    const table = make("table", { id: "config-table", class: "config" },
        make("caption", { class: "hidden" }, "Options"),
        make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Option"),
            make("th", { scope: "col" }, "Value"),
            make("th", { scope: "col", class: "wide-1" }, "Default"),
            make("th", { scope: "col", class: "wide-1" }, "From"),
            make("th", { scope: "col" }, "Change needs"),
            make("th", { scope: "col", class: "wide-2" }, "What it is"))), body);
    const none = make("p", { class: "empty", hidden: true }, "No option matches.");
    const element = make("section", { class: "view", "aria-labelledby": "config-title" },
        viewHead("config-title", "Configuration"),
        make("div", { class: "panel table-panel" },
            make("div", { class: "table-bar" }, make("label", { for: "config-filter" }, "Filter"),
                input, make("label", {}, only, " only what differs from its default"), shown),
            file, notes, make("div", { class: "scroller", tabindex: 0, role: "region",
                "aria-label": "Options" }, table), none));

    function differs(option) {
        return option.secret ? option.origin !== "default" : option.value !== option.default;
    }

    function shownOptions() {
        const text = input.value.trim().toLowerCase();
        return options.filter((option) => (!only.checked || differs(option)) &&
            (option.name.includes(text) || option.help.toLowerCase().includes(text)));
    }

    /* "" is a value, too. */
    function valueText(value) {
        return value === "" ? "(empty)" : value;
    }

    function show() {
        const rows = shownOptions();
        setHidden(table, rows.length === 0);
        setHidden(none, rows.length > 0 || options.length === 0);
        setText(shown, `${digits(rows.length)} of ${plural(options.length, "option")}, ` +
            `${digits(options.filter(differs).length)} changed`);
        setChildren(body, rows, (option) => option.name, () => make("tr", {},
            make("th", { scope: "row" }, make("span", { class: "name" })),
            make("td", {}, make("code"), make("span", { class: "chip", hidden: true }, "changed")),
            make("td", { class: "wide-1" }, make("code", { class: "muted" })),
            make("td", { class: "wide-1" }), make("td", {}, make("span", { class: "need" })),
            make("td", { class: "wide-2 muted" })), (row, option) => {
            const at = row.children;
            setName(at[0].firstChild, option.name);
            setAttributes(at[0], { title: option.help });
            setText(at[1].firstChild, valueText(option.value));
            setHidden(at[1].lastChild, !differs(option));
            row.classList.toggle("changed", differs(option));
            setText(at[2].firstChild, valueText(option.default));
            setText(at[3], option.origin);
            setText(at[4].firstChild, option.live ? "reload" : "restart");
            at[4].firstChild.classList.toggle("restart", !option.live);
            setText(at[5], option.help);
        });
        setText(file, options.length === 0 ? "" : config_file === null
            ? "No file: defaults, the environment and the command line."
            : `File: ${config_file}`);
        showNotes();
    }

    let config_file = null;

    function showNotes() {
        const lines = [];
        if (problem !== "") {
            lines.push({ key: "problem", kind: "problem", text: problem });
        }
        if (pending !== null && pending.problem !== null) {
            lines.push({ key: "file", kind: "problem",
                text: `The file can't be taken over: ${pending.problem}` });
        }
        for (const change of pending === null ? [] : pending.changes) {
            lines.push({ key: change.name, kind: "note", text: `${change.name} is ` +
                `${valueText(change.running)} and ${valueText(change.file)} in the file: ` +
                (change.live ? "dx config reload takes it over"
                    : "the node has to be restarted for it") });
        }
        setChildren(notes, lines, (line) => line.key, (line) => make("p", {
            class: line.kind === "note" ? "hint" : "problem" }), (node, line) =>
            setText(node, line.text));
    }

    return {
        element,
        title: "Configuration",
        async refresh() {
            const answer = await ask(API + "config");
            options = answer.options;
            config_file = answer.file;
            try {
                pending = await ask(API + "config/pending");
                problem = "";
            } catch (error) {
                if (!(error instanceof Refusal)) {
                    throw error;
                }
                problem = error.status === 0 ? "" : error.message;
            }
            show();
        },
        draw() {},
    };
}

/* ---- the node */

function makeNode(model) {
    const identity = make("dl", { class: "facts" });
    const events = make("dl", { class: "facts" });
    const network = make("dl", { class: "facts" });
    const process = make("dl", { class: "facts" });
    const addresses = make("ul", { class: "plain" });
    const reasons = make("ul", { class: "plain" });
    const verdict = make("p", { class: "verdict" });
    const element = make("section", { class: "view", "aria-labelledby": "node-title" },
        viewHead("node-title", "Node"),
        make("div", { class: "grid" },
            panel("span-4", makePanel("node-health", "Health", null, verdict, reasons)),
            panel("span-4", makePanel("node-identity", "Node", null, identity)),
            panel("span-4", makePanel("node-addresses", "Addresses", null, addresses)),
            panel("span-4", makePanel("node-events", "Events since the start", null, events)),
            panel("span-4", makePanel("node-network", "Connections", null, network)),
            panel("span-4", makePanel("node-process", "Process", null, process))));

    function showHealth() {
        const ready = model.isLive() ? model.ready : null;
        setText(verdict, ready === null ? "Not known yet." : ready.ready
            ? ready.reasons.length === 0 ? "Ready: clients may be sent here."
                : "Ready, with a warning." : "Not ready: clients should not be sent here.");
        verdict.className = `verdict ${ready === null ? "" : !ready.ready ? "bad"
            : ready.reasons.length > 0 ? "warn" : "good"}`;
        setChildren(reasons, ready === null ? [] : ready.reasons, (reason) => reason.name,
            () => make("li", {}, make("b"), " ", make("span")), (item, reason) => {
                setText(item.firstChild, reason.name);
                setText(item.lastChild, reason.message);
            });
    }

    function draw() {
        showHealth();
        const { node, numbers } = model;
        if (node === null || numbers === null) {
            return;
        }
        setDefinitions(identity, [
            ["Name", node.name], ["Id", node.id], ["Version", node.commit === "" ? node.version
                : `${node.version} (${node.commit})`], ["State", numbers.state],
            ["Started", dateTime(node.started_unix_ns / 1e6)], ["Up for", age(numbers.uptime_ns)],
            ["Shards", digits(node.shards)], ["Loops", digits(node.loops)]]);
        setChildren(addresses, [...node.addresses.map((address) => ({ address, of: "clients" })),
            { address: node.admin_address, of: "this page, metrics" }], (item) =>
            `${item.of} ${item.address}`, () => make("li", {}, make("code"), " ",
            make("span", { class: "muted" })), (row, item) => {
            setText(row.firstChild, item.address);
            setText(row.lastChild, item.of);
        });
        setDefinitions(events, [
            ...[["Published", "published"], ["Delivered", "delivered"],
                ["Redelivered", "redelivered"], ["Dropped", "dropped"], ["Refused", "refused"],
                ["Duplicates", "duplicates"], ["Dead letters", "dead"],
                ["Left out by filters", "filtered"], ["Unheard", "unheard"],
                ["Slow subscriptions", "slow_consumers"]]
                .map(([text, key]) => countFact(text, numbers, key)),
            ["Kept in memory", `${joined(bytes(numbers.retained_bytes))} of ` +
                joined(bytes(node.retained_bytes_max))]]);
        setDefinitions(network, [
            countFact("Open", numbers, "connections"),
            ...[["Accepted", "connections_accepted"], ["Refused", "connections_refused"],
                ["Failed handshakes", "handshake_failures"], ["Failed TLS", "tls_failures"],
                ["Refused tokens", "tokens_refused"], ["Refused frames", "frames_refused"]]
                .map(([text, key]) => countFact(text, node, key)),
            ["Received", bytes(numbers.bytes_in), digits(numbers.bytes_in)],
            ["Sent", bytes(numbers.bytes_out), digits(numbers.bytes_out)]]);
        const { cpu_seconds, resident_bytes, open_fds, max_fds } = numbers.process;
        setDefinitions(process, [
            ["Process", String(node.process_id)],
            ["CPU now", percent(model.history.values.cpu[model.history.length - 1])],
            ["CPU since the start", age(cpu_seconds * 1e9)],
            ["Resident memory", bytes(resident_bytes), digits(resident_bytes)],
            ["Open files", `${digits(open_fds)} of ${digits(max_fds)}`],
            ["Reloads", `${digits(numbers.config_reloads)}, ` +
                `${digits(numbers.config_reload_failures)} failed`]]);
    }

    return { element, title: "Node", async refresh() {
        model.node = await ask(API + "node");
    }, draw };
}
