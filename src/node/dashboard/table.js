/* table.js - a table that the node sorts, filters and cuts into pages, because it may have a
 * million rows and a browser may not.
 *
 * A column: {key, name, help, right, sort (the API's name of the field; none: not sortable), down
 * (the first click sorts downwards), wide (shown where there is room: 1 at 700 px, 2 at 1100 px),
 * cell(td, row)}. The first column is the head of its row.
 *
 * options: id, caption, columns, sort, order, filter {label, hint, parameters(text)} or null,
 * key(row), load(parameters) -> {rows, matched, total}, noun [one, many], empty: nodes
 * that teach.
 * Returns {element, load()}: load() asks the node and shows what it says; a failure is shown above
 * the table, whose rows stay.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
const PAGE_ROWS = 50;
const FILTER_MS = 150; // after the last key

function makeTable(options) {
    const { id, columns, filter, noun } = options;
    const state = { sort: options.sort, order: options.order, text: "", offset: 0 };
    let loading = null; // the load under way
    let again = false;  // it is out of date already
    let matched = 0;

    const input = filter === null ? null : make("input", {
        type: "search", id: `${id}-filter`, class: "filter", placeholder: filter.hint,
        autocomplete: "off", spellcheck: "false",
        oninput: () => {
            clearTimeout(input.timer);
            input.timer = setTimeout(() => change({ text: input.value.trim(), offset: 0 }, true),
                FILTER_MS);
        },
    });
    const shown = make("p", { class: "muted count" });
    const problem = make("p", { class: "problem", role: "alert", hidden: true });
    const heads = columns.map((column) => headOf(column));
    const body = make("tbody");
    const empty = make("div", { class: "empty", hidden: true }, ...options.empty);
    const none = make("p", { class: "empty", hidden: true });
    const table = make("table", { id: `${id}-table` },
        make("caption", { class: "hidden" }, options.caption),
        make("thead", {}, make("tr", {}, ...heads.map((head) => head.th))), body);
    const scroller = make("div", { class: "scroller", tabindex: 0, role: "region",
        "aria-label": options.caption }, table);
    const before = pageButton("Previous", -1);
    const after = pageButton("Next", 1);
    const place = make("span", { class: "number" });
    const pager = make("nav", { class: "pager", "aria-label": `Pages of ${noun[1]}`, hidden: true },
        before, place, after);
    const bar = make("div", { class: "table-bar" }, ...(filter === null ? [] : [
        make("label", { for: `${id}-filter` }, filter.label), input]), shown);
    const element = make("div", { class: "panel table-panel" }, bar, problem, scroller, empty, none,
        pager);

    function classOf(column) {
        return [column.right ? "right" : "", column.wide ? `wide-${column.wide}` : ""].join(" ")
            .trim();
    }

    function headOf(column) {
        const th = make("th", { scope: "col", class: classOf(column), title: column.help || null });
        if (!column.sort) {
            th.append(column.name);
            return { th };
        }
        const mark = make("span", { class: "sort-mark", "aria-hidden": "true" });
        th.append(make("button", { type: "button", class: "sort", onclick: () => {
            const same = state.sort === column.sort;
            const first = column.down ? "desc" : "asc";
            const other = first === "asc" ? "desc" : "asc";
            change({ sort: column.sort, offset: 0,
                order: same && state.order === first ? other : first });
        } }, column.name, mark));
        return { th, mark };
    }

    function pageButton(name, step) {
        return make("button", { type: "button", class: "quiet", onclick: () => change({
            offset: Math.max(0, state.offset + step * PAGE_ROWS) }) }, name);
    }

    function change(difference, tell = false) {
        Object.assign(state, difference);
        showHeads();
        const done = load();
        if (tell) {
            done.then(() => announce(matched === 0 ? `No ${noun[0]} matches`
                : `${plural(matched, noun[0], noun[1])} ${matched === 1 ? "matches" : "match"}`));
        }
    }

    function showHeads() {
        columns.forEach((column, i) => {
            if (column.sort) {
                const sorted = column.sort === state.sort;
                setAttributes(heads[i].th, { "aria-sort": !sorted ? null
                    : state.order === "asc" ? "ascending" : "descending" });
                setText(heads[i].mark, !sorted ? "" : state.order === "asc" ? "\u25b2" : "\u25bc");
            }
        });
    }

    function rowOf() {
        return make("tr", {}, ...columns.map((column, i) => i === 0
            ? make("th", { scope: "row", class: classOf(column) })
            : make("td", { class: classOf(column) })));
    }

    function show({ rows, matched: of_them, total }) {
        matched = of_them;
        if (rows.length === 0 && state.offset > 0 && matched > 0) { // the page is gone
            change({ offset: Math.floor((matched - 1) / PAGE_ROWS) * PAGE_ROWS });
            return;
        }
        setChildren(body, rows, options.key, rowOf, (tr, row) => {
            columns.forEach((column, i) => column.cell(tr.children[i], row));
        });
        const nothing = matched === 0;
        const filtered = state.text !== "";
        setHidden(scroller, nothing);
        setHidden(empty, !(nothing && !filtered));
        setHidden(none, !(nothing && filtered));
        setText(none, `No ${noun[0]} matches \u201c${state.text}\u201d.`);
        setText(shown, filtered ? `${digits(matched)} of ${plural(total, noun[0], noun[1])}`
            : plural(matched, noun[0], noun[1]));
        setHidden(bar, total === 0 && !filtered);
        setHidden(pager, matched <= PAGE_ROWS);
        before.disabled = state.offset === 0;
        after.disabled = state.offset + PAGE_ROWS >= matched;
        setText(place, `${digits(state.offset + 1)}\u2013` +
            `${digits(Math.min(state.offset + PAGE_ROWS, matched))} of ${digits(matched)}`);
    }

    async function loadOnce() {
        const parameters = { sort: state.sort, order: state.order, limit: PAGE_ROWS,
                             offset: state.offset };
        if (filter !== null) {
            Object.assign(parameters, filter.parameters(state.text));
        }
        try {
            const answer = await options.load(parameters);
            setHidden(problem, true);
            if (!again) {
                show(answer);
            }
        } catch (error) {
            if (!(error instanceof Refusal)) {
                throw error;
            }
            if (error.status >= 400 && error.status !== 401) {
                setText(problem, sentenceOf(error));
                setHidden(problem, false);
            }
        }
    }

    /* One question at a time; what changes meanwhile is asked for behind it. */
    function load() {
        if (loading !== null) {
            again = true;
            return loading;
        }
        loading = (async () => {
            do {
                again = false;
                await loadOnce();
            } while (again);
        })().finally(() => { loading = null; });
        return loading;
    }

    showHeads();
    return { element, load };
}

/* ---- cells that many tables share */

function textCell(key) {
    return (td, row) => {
        td.classList.add("text");
        setText(td, row[key]);
    };
}

/* A counter: short, with all its digits for a pointer that rests on it. `loud`: marked when it is
 * not zero, because somebody lost something. */
function countCell(key, loud = false) {
    return (td, row) => {
        setQuantity(td, count(row[key]), digits(row[key]));
        td.classList.toggle("zero", row[key] === 0);
        td.classList.toggle("loud", loud && row[key] > 0);
    };
}

function quantityCell(key, quantity) {
    return (td, row) => {
        setQuantity(td, quantity(row[key]), isNumber(row[key]) ? digits(row[key]) : null);
        td.classList.toggle("zero", row[key] === 0);
    };
}

/* A time that is 0 when nothing was measured. */
function latencyCell(key) {
    return (td, row) => setQuantity(td, duration(row[key] > 0 ? row[key] : null),
        row[key] > 0 ? `${digits(row[key])} ns` : null);
}

/* A link in the head of a row. */
function linkCell(text_of, address_of) {
    return (td, row) => {
        if (td.childElementCount === 0) {
            td.append(make("a", { class: "name" }));
        }
        setName(td.firstChild, text_of(row));
        setAttributes(td.firstChild, { href: address_of(row), title: visible(text_of(row)) });
    };
}

/* A list of names and values: definitions(dl, [[name, quantity or text, exact], ...]). */
function setDefinitions(list, items) {
    setChildren(list, items.filter((item) => item !== null), ([name]) => name, ([name]) =>
        make("div", {}, make("dt", {}, name), make("dd")), (row, [, value, exact]) => {
        if (Array.isArray(value)) {
            setQuantity(row.lastChild, value, exact || null);
        } else {
            setText(row.lastChild, value);
        }
    });
}

/* A bar for a part of one, beside which its value stands as text. */
function makeBar() {
    const fill = make("span", { class: "bar-fill" });
    const element = make("span", { class: "bar", "aria-hidden": "true" }, fill);
    return { element, set(part) {
        fill.style.inlineSize = `${Math.min(100, Math.max(0, part * 100)).toFixed(1)}%`;
        element.classList.toggle("warm", part >= 0.5 && part < 0.8);
        element.classList.toggle("hot", part >= 0.8);
    } };
}
