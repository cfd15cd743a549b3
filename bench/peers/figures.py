"""What the runs of bench_peers.py mean: quartiles, ratios, targets, and the tables.

Pure functions over plain data, tested by tests/tools/test_bench_peers.py. A run is the dictionary
a program printed. Nothing here picks a best run: a variant is judged by the median of its runs.

SPDX-License-Identifier: Apache-2.0
"""


def quantile(values, fraction):
    """Linear between the two nearest of the sorted values, as spreadsheets do."""
    ordered = sorted(values)
    position = (len(ordered) - 1) * fraction
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def summary(values):
    """Median, quartiles, and spread: the distance of the quartiles in per cent of the median."""
    median = quantile(values, 0.5)
    q1, q3 = quantile(values, 0.25), quantile(values, 0.75)
    spread = 100 * (q3 - q1) / median if median else 0.0
    return {"n": len(values), "median": median, "q1": q1, "q3": q3, "spread_percent": spread}


def metric_of(run, metric):
    """The value of one run; a time is less what one reading of the clock cost in that process."""
    if metric == "rate":
        return run["events_per_second"]
    return max(1.0, run[metric] - run.get("timer_ns", 0.0))


def median_of(row, metric):
    """The median over a row's runs, or None when it has none."""
    if not row["runs"]:
        return None
    return quantile([metric_of(run, metric) for run in row["runs"]], 0.5)


def best_row(rows, families, metric):
    """The row of these families with the best median, or None. Never the best run."""
    measured = [row for row in rows if row["family"] in families and row["runs"]]
    if not measured:
        return None
    choose = max if metric == "rate" else min
    return choose(measured, key=lambda row: median_of(row, metric))


def ratio(ours, peer, metric):
    """ours / peer of the medians, or None when either was not measured."""
    if ours is None or peer is None or not ours["runs"] or not peer["runs"]:
        return None
    return median_of(ours, metric) / median_of(peer, metric)


def bound_row(target):
    """A target that is a number, as if it were a peer with one run."""
    name = "events_per_second" if target.metric == "rate" else target.metric
    return {"label": f"{target.bound:,}", "family": "bound", "runs": [{name: target.bound}]}


def check_target(target, rows, scenario_note=None, base_rows=None):
    """One line of the table of targets: status is `met`, `missed` or `not measured`."""
    line = {"text": target.text, "scenario": target.scenario, "metric": target.metric,
            "factor": target.factor, "ratio": None, "against": None, "status": "not measured",
            "reason": scenario_note}
    ours = best_row(rows, target.ours, target.metric)
    if target.bound is not None:
        peer = bound_row(target)
    else:
        peer = best_row(rows if base_rows is None else base_rows, target.families, target.metric)
    if scenario_note:
        return line
    if ours is None or peer is None:
        line["reason"] = "ours has no result" if ours is None else "the peer has no result"
        return line
    line["against"] = peer["label"]
    line["ratio"] = ratio(ours, peer, target.metric)
    higher_is_better = target.metric == "rate"
    met = line["ratio"] >= target.factor if higher_is_better else line["ratio"] <= target.factor
    line["status"] = "met" if met else "missed"
    return line


# ----------------------------------------------------------------------------------- tables ------

def millions(value):
    return f"{value / 1e6:.1f}" if value < 1e8 else f"{value / 1e6:.0f}"


def nanoseconds(value):
    return f"{value:,.0f}"


def ratio_text(value):
    return "-" if value is None else f"{value:.2f}"


TEXT_COLUMNS = {"target", "entrant", "against", "status", "note"}


def markdown_table(header, lines):
    """Columns aligned, so that the same text reads well in a terminal; numbers to the right."""
    widths = [max(len(line[i]) for line in [header, *lines]) for i in range(len(header))]
    is_text = [name in TEXT_COLUMNS for name in header]

    def render(cells):
        padded = [cell.ljust(width) if text else cell.rjust(width)
                  for cell, width, text in zip(cells, widths, is_text)]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * width if text else "-" * (width - 1) + ":"
            for width, text in zip(widths, is_text)]
    return "\n".join([render(header), "| " + " | ".join(rule) + " |", *map(render, lines)])


def status_cell(row):
    return row.get("note") or ("no valid run" if not row["runs"] else "")


def rate_lines(rows):
    ours = best_row(rows, ("ours",), "rate")
    for row in rows:
        if not row["runs"]:
            yield [row["label"], "-", "-", "-", "-", "-", "-", "-", status_cell(row)]
            continue
        s = summary([metric_of(run, "rate") for run in row["runs"]])
        batches = [run["average_batch"] for run in row["runs"] if "average_batch" in run]
        yield [row["label"], millions(s["median"]), millions(s["q1"]), millions(s["q3"]),
               f"{s['spread_percent']:.0f} %", f"{quantile(batches, 0.5):.1f}" if batches else "-",
               ratio_text(ratio(ours, row, "rate")), f"{s['n']}/{row['dropped']}", status_cell(row)]


RATE_HEADER = ["entrant", "median M/s", "q1", "q3", "spread", "average batch", "ours / peer",
               "runs/dropped", "note"]
LATENCY_HEADER = ["entrant", "p50 ns", "q1", "q3", "p99", "p99.9", "mean", "timer",
                  "ours / peer p50", "runs/dropped", "note"]


def latency_lines(rows):
    ours = best_row(rows, ("ours",), "p50_ns")
    for row in rows:
        if not row["runs"]:
            yield [row["label"]] + ["-"] * 9 + [status_cell(row)]
            continue
        s = summary([run["p50_ns"] for run in row["runs"]])

        def middle(name, runs=row["runs"]):
            return nanoseconds(quantile([run[name] for run in runs], 0.5))

        yield [row["label"], nanoseconds(s["median"]), nanoseconds(s["q1"]), nanoseconds(s["q3"]),
               middle("p99_ns"), middle("p999_ns"), middle("mean_ns"), middle("timer_ns"),
               ratio_text(ratio(ours, row, "p50_ns")), f"{s['n']}/{row['dropped']}",
               status_cell(row)]


def typical(row, name):
    """The median of one figure over a row's runs; 0 where no run has it."""
    values = [run[name] for run in row["runs"] if name in run]
    return quantile(values, 0.5) if values else 0.0


BROKER_RATE_HEADER = ["entrant", "events/s", "q1", "q3", "spread", "ours / peer", "ns a delivery",
                      "broker CPU", "publisher", "subscriber", "lost", "broker MB",
                      "runs/dropped", "note"]
BROKER_LATENCY_HEADER = ["entrant", "p50 us", "q1", "q3", "p90", "p99", "p99.9", "max",
                         "ours / peer p50", "ours / peer p99", "sender late p99", "lost",
                         "broker MB", "runs/dropped", "note"]


def broker_rate_lines(rows):
    ours = best_row(rows, ("ours",), "rate")
    for row in rows:
        if not row["runs"]:
            yield [row["label"]] + ["-"] * (len(BROKER_RATE_HEADER) - 2) + [status_cell(row)]
            continue
        s = summary([metric_of(run, "rate") for run in row["runs"]])
        times = [nanoseconds(typical(row, name)) for name in
                 ("delivery_ns", "broker_cpu_ns", "publisher_cpu_ns", "subscriber_cpu_ns")]
        yield [row["label"], nanoseconds(s["median"]), nanoseconds(s["q1"]), nanoseconds(s["q3"]),
               f"{s['spread_percent']:.0f} %", ratio_text(ratio(ours, row, "rate")), *times,
               nanoseconds(sum(run["lost"] for run in row["runs"])),
               f"{typical(row, 'broker_rss_bytes') / 1e6:.0f}", f"{s['n']}/{row['dropped']}",
               status_cell(row)]


def microseconds(value):
    return f"{value / 1e3:,.1f}"


def broker_latency_lines(rows):
    ours = best_row(rows, ("ours",), "p50_ns")
    for row in rows:
        if not row["runs"]:
            yield [row["label"]] + ["-"] * (len(BROKER_LATENCY_HEADER) - 2) + [status_cell(row)]
            continue
        s = summary([run["p50_ns"] for run in row["runs"]])
        tail = [microseconds(typical(row, name))
                for name in ("p90_ns", "p99_ns", "p999_ns", "max_ns")]
        ratios = [ratio_text(ratio(best_row(rows, ("ours",), metric), row, metric))
                  for metric in ("p50_ns", "p99_ns")] if ours else ["-", "-"]
        yield [row["label"], microseconds(s["median"]), microseconds(s["q1"]),
               microseconds(s["q3"]), *tail, *ratios, microseconds(typical(row, "late_p99_ns")),
               nanoseconds(sum(run["lost"] for run in row["runs"])),
               f"{typical(row, 'broker_rss_bytes') / 1e6:.0f}", f"{s['n']}/{row['dropped']}",
               status_cell(row)]


# By `kind` of a result, or by its metric.
TABLES = {"rate": (RATE_HEADER, rate_lines), "p50_ns": (LATENCY_HEADER, latency_lines),
          "broker-rate": (BROKER_RATE_HEADER, broker_rate_lines),
          "broker-latency": (BROKER_LATENCY_HEADER, broker_latency_lines)}


def scenario_section(result):
    """The table of one scenario, or the sentence why there is none."""
    head = f"## {result['title']} (`{result['key']}`)\n\n"
    if result["note"]:
        return head + f"Not measured: {result['note']}.\n"
    header, lines = TABLES[result.get("kind") or result["metric"]]
    return head + markdown_table(header, list(lines(result["rows"]))) + "\n"


def targets_section(lines):
    body = []
    for line in lines:
        factor = (">= " if line["metric"] == "rate" else "<= ") + f"{line['factor']:g}"
        status = line["status"] + (f" ({line['reason']})" if line["reason"] else "")
        body.append([line["text"], factor, ratio_text(line["ratio"]), line["against"] or "-",
                     status])
    header = ["target", "asked", "ratio", "against", "status"]
    return "## Targets\n\n" + markdown_table(header, body) + "\n"


def bullets(title, facts):
    lines = [f"- {name}: {value}" for name, value in facts.items()]
    return f"## {title}\n\n" + "\n".join(lines) + "\n"


HOW_TO_READ = """\
Every entrant ran once per round, one after the other, round after round. Each figure is the median
of the runs with its quartiles; `spread` is the distance of the quartiles in per cent of the median.
A run in which other processes and the hypervisor took more than the limit was dropped and repeated;
no other run was left out. Rates are events handled and verified per second, in millions. Times
contain one reading of the clock (`timer`); ratios of times are taken without it. `ours / peer`
above 1 is good for a rate, below 1 for a time. Method and limits: `bench/peers/README.md`.
"""


def report(results, targets, machine, settings, title="DisruptorX and its peers",
           how_to_read=HOW_TO_READ):
    """The whole report as Markdown."""
    parts = [f"# {title}\n", how_to_read, targets_section(targets)]
    parts += [scenario_section(result) for result in results]
    parts += [bullets("Machine", machine), bullets("Settings", settings)]
    return "\n".join(parts)
