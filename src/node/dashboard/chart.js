/* chart.js - lines over time, as SVG of our own.
 *
 *     +- figure ------------------------------------------------+
 *     | title            legend: line, name, value   [Table]    |
 *     | y labels | plot: grid, gaps, areas, lines, crosshair    |
 *     |          | times                                        |
 *     +---------------------------------------------------------+
 *
 * The picture itself is nothing for screen readers. They get a slider that lies over the plot: its
 * value is a moment, and its text the values of all lines at that moment; arrow keys move it, and
 * the crosshair with it. And there is a table of the same numbers. Lines differ in their dashes as
 * well as in colour.
 *
 * Where there are more samples than pixels, samples are merged: `merge` says how (the largest for
 * latencies, so that no spike is lost; the mean for rates).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
const MARGIN = { left: 68, right: 10, top: 8, bottom: 22 };
const TABLE_ROWS = 20;
const WINDOW_MIN_MS = 60000;
const STEPS_S = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800];

/* Steps of 1, 2 or 5 times a power of ten (or of two, for bytes) from 0 to at least `high`. */
function linearTicks(high, wanted, binary) {
    const rough = Math.max(high, 1) / wanted;
    let step;
    if (binary) {
        step = 2 ** Math.ceil(Math.log2(rough));
    } else {
        const power = 10 ** Math.floor(Math.log10(rough));
        step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough * 0.999);
    }
    const ticks = [];
    for (let i = 0; ticks.length === 0 || ticks[ticks.length - 1] < high; i += 1) {
        ticks.push(i * step);
    }
    if (ticks.length < 2) {
        ticks.push(step);
    }
    return ticks;
}

/* Powers of ten from at most `low` to at least `high`, and what lies between where they are few. */
function logTicks(low, high) {
    const first = Math.floor(Math.log10(low));
    const last = Math.max(first + 1, Math.ceil(Math.log10(high)));
    const factors = last - first <= 2 ? [1, 2, 5] : [1];
    const ticks = [];
    for (let power = first; power < last; power += 1) {
        factors.forEach((factor) => ticks.push(factor * 10 ** power));
    }
    ticks.push(10 ** last);
    return ticks;
}

/* Samples of the times from `begin_ms` to `end_ms`, merged into at most `columns` columns:
 * [{time, from_time, values: [...]}], times of the last and the first of a column. */
function mergedSamples(history, lines, begin_ms, end_ms, columns, merge) {
    const first = history.since(begin_ms);
    const end = history.since(end_ms + 1);
    const size = Math.max(1, Math.ceil((end - first) / columns));
    const samples = [];
    // Whole columns since the beginning, so that a column does not change as time moves on.
    for (let from = first - first % size; from < end; from += size) {
        const to = Math.min(from + size, end);
        const values = lines.map(({ key }) => {
            const known = history.values[key].slice(from, to).filter((value) => value !== null);
            if (known.length === 0) {
                return null;
            }
            return merge === "max" ? Math.max(...known)
                : known.reduce((sum, value) => sum + value, 0) / known.length;
        });
        samples.push({ time: history.times[to - 1], values, from_time: history.times[from] });
    }
    return samples;
}

/* options: id, title, level (of the heading), lines [{key, name, kind}], quantity (of format.js),
 * logarithmic, binary, merge ("mean", "max"), area (key of the line that gets one).
 * Returns {element, draw(history, window_ms, now_ms)}. */
function makeChart(options) {
    const { id, title, lines, quantity } = options;
    const heading = make(`h${options.level || 3}`, { id: `${id}-title` }, title);
    const legend_values = lines.map(() => make("b", { class: "number" }, UNKNOWN));
    const legend = make("div", { class: "legend" }, ...lines.map((line, i) => make(
        "span", { class: "legend-item" },
        makeSvg("svg", { class: "legend-line", width: 20, height: 8, "aria-hidden": "true" },
            makeSvg("line", { x1: 0, x2: 20, y1: 4, y2: 4, class: `line ${line.kind}` })),
        line.name, " ", legend_values[i])));
    const toggle = make("button", {
        type: "button", class: "quiet", "aria-pressed": "false", "aria-label": `${title} as table`,
        onclick: () => showTable(toggle.getAttribute("aria-pressed") === "false"),
    }, "Table");

    const svg = makeSvg("svg", { class: "plot", "aria-hidden": "true" });
    const hatch = makeSvg("pattern", { id: `${id}-hatch`, width: 6, height: 6,
        patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
        makeSvg("line", { x1: 0, x2: 0, y1: 0, y2: 6, class: "hatch" }));
    const gaps = makeSvg("g");
    const grid = makeSvg("g", { class: "axes" });
    const area = makeSvg("path", { class: `area ${(lines.find((line) =>
        line.key === options.area) || lines[0]).kind}` });
    const paths = lines.map((line) => makeSvg("path", { class: `line ${line.kind}` }));
    const dots = lines.map((line) => makeSvg("circle", { class: `dot ${line.kind}`, r: 2.5,
        visibility: "hidden" }));
    const cross = makeSvg("line", { class: "cross", visibility: "hidden" });
    const cross_time = makeSvg("text", { class: "cross-time", visibility: "hidden" });
    const cross_dots = lines.map((line) => makeSvg("circle", { class: `dot ${line.kind}`, r: 3.5,
        visibility: "hidden" }));
    svg.append(makeSvg("defs", {}, hatch), gaps, grid, area, ...paths.toReversed(), ...dots, cross,
        cross_time, ...cross_dots);
    const slider = make("input", {
        type: "range", class: "scrub", min: 0, max: 0, step: 1, value: 0,
        "aria-label": `Moment in the chart ${title}`,
        oninput: () => pointAt(drawn.samples[Number(slider.value)]),
        onfocus: () => {
            slider.value = slider.max;
            pointAt(drawn.samples[Number(slider.value)]);
        },
        onblur: () => pointAt(undefined),
    });
    const empty = make("p", { class: "plot-empty" }, "Collecting the first samples.");
    const plot = make("div", {
        class: "plot-box",
        onpointermove: (event) => pointAt(sampleNear(event)),
        onpointerdown: (event) => pointAt(sampleNear(event)),
        onpointerleave: () => {
            if (document.activeElement !== slider) {
                pointAt(undefined);
            }
        },
    }, svg, slider, empty);
    const table_body = make("tbody");
    const table = make("div", { class: "plot-table scroller", tabindex: 0, role: "region",
        "aria-label": `${title}, table`, hidden: true },
        make("table", {}, make("caption", { class: "hidden" }, `${title} over time`),
            make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Time"),
                ...lines.map((line) => make("th", { scope: "col", class: "right" }, line.name)))),
            table_body));
    const element = make("figure", { class: "chart", "aria-labelledby": `${id}-title`, id },
        make("figcaption", { class: "panel-head" }, heading, legend, toggle), plot, table);

    let pointed = null; // the time that the crosshair stands at
    let drawn = { samples: [], x: () => 0, y: () => 0, height: 0 };
    let size = { width: 0, height: 0 };
    let last = null; // what was drawn last, for a new size

    new ResizeObserver(([entry]) => {
        size = { width: Math.floor(entry.contentRect.width),
                 height: Math.floor(entry.contentRect.height) };
        if (last !== null) {
            draw(...last);
        }
    }).observe(plot);

    function showTable(shown) {
        setAttributes(toggle, { "aria-pressed": String(shown) });
        setHidden(table, !shown);
        setHidden(plot, shown);
        if (last !== null) {
            draw(...last);
        }
    }

    function sampleNear(event) {
        const x = event.clientX - svg.getBoundingClientRect().left;
        let best;
        for (const sample of drawn.samples) {
            if (best === undefined ||
                Math.abs(drawn.x(sample.time) - x) < Math.abs(drawn.x(best.time) - x)) {
                best = sample;
            }
        }
        return best;
    }

    function pointAt(sample) {
        pointed = sample === undefined ? null : sample.time;
        showValues();
    }

    /* The legend: of the moment that is pointed at, or of now. */
    function showValues() {
        const { samples, x, y } = drawn;
        const at = samples.findIndex((one) => one.time === pointed);
        const sample = at >= 0 ? samples[at] : undefined;
        const shown = sample || { values: drawn.newest || lines.map(() => null) };
        lines.forEach((line, i) => {
            setText(legend_values[i], joined(quantity(shown.values[i])));
            const visible = sample !== undefined && sample.values[i] !== null;
            setAttributes(cross_dots[i], visible ? { visibility: "visible", cx: x(sample.time),
                cy: y(sample.values[i]) } : { visibility: "hidden" });
        });
        setAttributes(cross, sample === undefined ? { visibility: "hidden" } : {
            visibility: "visible", x1: x(sample.time), x2: x(sample.time), y1: MARGIN.top,
            y2: size.height - MARGIN.bottom });
        setAttributes(cross_time, sample === undefined ? { visibility: "hidden" } : {
            visibility: "visible", y: MARGIN.top + 9,
            x: x(sample.time) + (x(sample.time) > size.width / 2 ? -6 : 6),
            "text-anchor": x(sample.time) > size.width / 2 ? "end" : "start" });
        if (sample !== undefined) {
            setText(cross_time, clockTime(sample.time));
            slider.value = at;
        }
        setAttributes(slider, { "aria-valuetext": sample === undefined ? "now"
            : `${clockTime(sample.time)}: ` + lines.map((line, i) =>
                `${line.name} ${joined(quantity(sample.values[i]))}`).join(", ") });
    }

    /* "4.00 M/s" says no more than "4 M/s" beside a line of the grid. */
    function tickText([number, unit]) {
        return joined([number.replace(/\.0+$|(\.\d*[1-9])0+$/, "$1"), unit]);
    }

    function drawGrid(ticks, y, x, begin_ms, end_ms) {
        const nodes = [];
        for (const tick of ticks) {
            const at = Math.round(y(tick)) + 0.5;
            nodes.push(makeSvg("line", { x1: MARGIN.left, x2: size.width - MARGIN.right, y1: at,
                y2: at }));
            nodes.push(makeSvg("text", { x: MARGIN.left - 8, y: at + 3.5, "text-anchor": "end" },
                tickText(quantity(tick))));
        }
        const wide = size.width - MARGIN.left - MARGIN.right;
        const step_ms = 1000 * (STEPS_S.find((step) =>
            (end_ms - begin_ms) / 1000 / step <= Math.max(2, wide / 90)) || 3600);
        for (let time = Math.ceil(begin_ms / step_ms) * step_ms; time <= end_ms; time += step_ms) {
            const at = x(time);
            nodes.push(makeSvg("line", { x1: at, x2: at, y1: size.height - MARGIN.bottom,
                y2: size.height - MARGIN.bottom + 4 }));
            if (at > MARGIN.left + 12 && at < size.width - 28) {
                nodes.push(makeSvg("text", { x: at, y: size.height - 5, "text-anchor": "middle" },
                    step_ms % 60000 === 0 ? clockTime(time).slice(0, 5) : clockTime(time)));
            }
        }
        grid.replaceChildren(...nodes);
    }

    function drawGaps(samples, x, begin_ms, end_ms) {
        const holes = [];
        for (let i = 1; i < samples.length; i += 1) {
            if (samples[i].from_time - samples[i - 1].time > GAP_MS) {
                holes.push([samples[i - 1].time, samples[i].from_time]);
            }
        }
        const newest = samples[samples.length - 1].time;
        if (end_ms - newest > GAP_MS) {
            holes.push([newest, end_ms]);
        }
        gaps.replaceChildren(...holes.map(([from, to]) => makeSvg("rect", {
            x: x(Math.max(from, begin_ms)), y: MARGIN.top,
            width: Math.max(0, x(to) - x(Math.max(from, begin_ms))),
            height: size.height - MARGIN.top - MARGIN.bottom, fill: `url(#${id}-hatch)` })));
    }

    /* The line of the samples as a path; with a `floor`, the area under it. */
    function pathOf(samples, at, x, y, floor) {
        let text = "";
        let start = null;
        let before = null;
        const close = () => {
            if (floor !== undefined && before !== null) {
                text += `L${x(before).toFixed(1)} ${floor}L${x(start).toFixed(1)} ${floor}Z`;
            }
        };
        for (const sample of samples) {
            const value = sample.values[at];
            const hole = before !== null && sample.from_time - before > GAP_MS;
            if (value === null || hole) {
                close();
                before = null;
            }
            if (value !== null) {
                start = before === null ? sample.time : start;
                text += `${before === null ? "M" : "L"}${x(sample.time).toFixed(1)} ` +
                    y(value).toFixed(1);
                before = sample.time;
            }
        }
        close();
        return text;
    }

    function scaleOf(samples) {
        const all = samples.flatMap((sample) => sample.values).filter((value) => value !== null);
        const room = size.height - MARGIN.top - MARGIN.bottom;
        const bottom = size.height - MARGIN.bottom;
        if (options.logarithmic) {
            const positive = all.filter((value) => value > 0);
            const ticks = positive.length === 0 ? logTicks(1e3, 1e6)
                : logTicks(Math.min(...positive), Math.max(...positive));
            const low = Math.log10(ticks[0]);
            const high = Math.log10(ticks[ticks.length - 1]);
            return { ticks, y: (value) => bottom -
                room * Math.max(0, (Math.log10(Math.max(value, 1)) - low) / (high - low)) };
        }
        const ticks = linearTicks(Math.max(...all, 0), Math.max(2, Math.floor(room / 48)),
            options.binary);
        const high = ticks[ticks.length - 1];
        return { ticks, y: (value) => bottom - room * value / high };
    }

    /* A young history fills the plot, from a minute on; it grows until the window is full. */
    function drawPlot(history, wanted_ms, now_ms) {
        const known_ms = history.length === 0 ? 0 : now_ms - history.times[0];
        const window_ms = Math.min(wanted_ms, Math.max(WINDOW_MIN_MS, known_ms));
        const begin_ms = now_ms - window_ms;
        const wide = size.width - MARGIN.left - MARGIN.right;
        const samples = mergedSamples(history, lines, begin_ms, now_ms, Math.max(50, wide),
            options.merge);
        setHidden(empty, samples.length > 1);
        setAttributes(svg, { viewBox: `0 0 ${size.width} ${size.height}` });
        const x = (time) => MARGIN.left + wide * (time - begin_ms) / window_ms;
        const { ticks, y } = scaleOf(samples);
        drawn = { samples, x, y, newest: newestOf(history, now_ms) };
        drawGrid(ticks, y, x, begin_ms, now_ms);
        if (samples.length > 0) {
            drawGaps(samples, x, begin_ms, now_ms);
        } else {
            gaps.replaceChildren();
        }
        lines.forEach((line, i) => {
            setAttributes(paths[i], { d: pathOf(samples, i, x, y) });
            const newest = samples[samples.length - 1];
            const there = newest !== undefined && newest.values[i] !== null;
            setAttributes(dots[i], there ? { visibility: "visible", cx: x(newest.time).toFixed(1),
                cy: y(newest.values[i]).toFixed(1) } : { visibility: "hidden" });
            if (line.key === options.area) {
                setAttributes(area, { d: pathOf(samples, i, x, y, size.height - MARGIN.bottom) });
            }
        });
        setAttributes(slider, { max: Math.max(0, samples.length - 1) });
    }

    function newestOf(history, now_ms) {
        const at = history.since(now_ms + 1) - 1;
        return at >= 0 && now_ms - history.times[at] < GAP_MS
            ? lines.map(({ key }) => history.values[key][at]) : lines.map(() => null);
    }

    function drawTable(history, window_ms, now_ms) {
        const samples = mergedSamples(history, lines, now_ms - window_ms, now_ms, TABLE_ROWS,
            options.merge).reverse();
        drawn = { ...drawn, samples: [], newest: newestOf(history, now_ms) };
        setChildren(table_body, samples, (sample) => sample.from_time, () => make("tr", {},
            make("th", { scope: "row" }), ...lines.map(() => make("td", { class: "right" }))),
        (row, sample) => {
            setText(row.children[0], clockTime(sample.time));
            sample.values.forEach((value, i) => setText(row.children[i + 1],
                joined(quantity(value))));
        });
    }

    function draw(history, window_ms, now_ms) {
        last = [history, window_ms, now_ms];
        if (!table.hidden) {
            drawTable(...last);
        } else if (size.width > 0) {
            drawPlot(...last);
        }
        showValues();
    }
    return { element, draw };
}

/* A small line without axes, for the eye only: {element, draw(values)}. The newest value stands at
 * the right; `slots` values fill the width. */
function makeSpark(kind, slots = 60) {
    const wide = 120;
    const high = 26;
    const area = makeSvg("path", { class: `area ${kind}` });
    const line = makeSvg("path", { class: `line ${kind}` });
    const element = makeSvg("svg", { class: "spark", viewBox: `0 0 ${wide} ${high}`,
        preserveAspectRatio: "none", "aria-hidden": "true" }, area, line);
    function draw(values) {
        const shown = values.slice(-slots);
        const top = Math.max(...shown.map((value) => value || 0), 1e-9);
        let text = "";
        let start = null;
        let end = 0;
        shown.forEach((value, i) => {
            const x = wide - (shown.length - 1 - i) * wide / (slots - 1);
            if (value !== null) {
                text += `${text === "" ? "M" : "L"}${x.toFixed(1)} ` +
                    (high - 2 - (high - 4) * value / top).toFixed(1);
                start = start === null ? x : start;
                end = x;
            }
        });
        setAttributes(line, { d: text });
        setAttributes(area, { d: text === "" ? "" : `${text}L${end} ${high}L${start} ${high}Z` });
    }
    return { element, draw };
}
