#!/usr/bin/env python3
"""Writes the dashboards of deploy/grafana from the rows below.

Usage: make_dashboards.py [--check]     --check: exits with 1 when a file is not what this writes

A panel is a title, what it means, a unit and its queries; where it stands follows from its row.
Both dashboards have the variables `datasource` and `node`, and link to each other.

SPDX-License-Identifier: Apache-2.0
"""
import json
import pathlib
import sys

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "deploy/grafana"
NODE = 'instance=~"$node"'
COLUMNS = 24
HEIGHT = 7


def metric(name, labels=""):
    """disruptorx_<name> of the chosen nodes."""
    return f"disruptorx_{name}{{{NODE}{', ' + labels if labels else ''}}}"


def rate(name, by="instance", labels=""):
    return f"sum by ({by}) (rate({metric(name, labels)}[$__rate_interval]))"


def quantile(part, name):
    return (f"histogram_quantile({part}, sum by (le) "
            f"(rate({metric(name + '_bucket')}[$__rate_interval])))")


def quantiles(name):
    return [(quantile(part, name), label)
            for part, label in ((0.5, "p50"), (0.99, "p99"), (0.999, "p99.9"))]


def lines(title, meaning, unit, *queries):
    return {"type": "timeseries", "title": title, "description": meaning, "unit": unit,
            "queries": queries}


def number(title, meaning, unit, query, bad_above=None):
    return {"type": "stat", "title": title, "description": meaning, "unit": unit,
            "queries": [(query, "")], "bad_above": bad_above}


OVERVIEW = [
    ("Health", 4, [
        number("Nodes up", "How many of the chosen nodes answer Prometheus.", "none",
               f'sum(up{{job="disruptorx", {NODE}}})'),
        number("Up since", "The node that was started last.", "dateTimeFromNow",
               f"max({metric('start_time_seconds')}) * 1000"),
        number("Connections", "Clients that are connected.", "none",
               f"sum({metric('connections')})"),
        number("Subscriptions", "Of all clients.", "none", f"sum({metric('subscriptions')})"),
        number("Fullest ring", "Used slots of the fullest ring. From 80 % on publishers soon wait.",
               "percentunit",
               f"max({metric('ring_used_slots')} / {metric('ring_capacity_slots')})", 0.8),
        number("Reload", "1: the last reload of the configuration worked.", "none",
               f"min({metric('config_last_reload_successful')})"),
    ]),
    ("Throughput", HEIGHT, [
        lines("Events received", "Publications that got a sequence.", "ops",
              (rate("messages_received_total"), "{{instance}}")),
        lines("Events delivered", "Events times subscriptions.", "ops",
              (rate("messages_delivered_total"), "{{instance}}")),
        lines("Bytes", "Of connections, both ways.", "Bps",
              (rate("network_bytes_total", "direction"), "{{direction}}")),
    ]),
    ("Latency", HEIGHT, [
        lines("Publisher to subscriber", "From the publisher's claim to the hand-over.", "s",
              *quantiles("end_to_end_duration_seconds")),
        lines("Lag", "Events that the slowest subscription of a group has not been given yet.",
              "none", (f"max by (topic) ({metric('group_lag_messages')})", "{{topic}}")),
    ]),
    ("Trouble", HEIGHT, [
        lines("Lost, given up, again, slow", "Dropped events, dead letters, redeliveries, "
              "subscriptions that fell behind. All should be 0.", "ops",
              (rate("messages_dropped_total"), "dropped {{instance}}"),
              (rate("messages_dead_lettered_total"), "dead {{instance}}"),
              (rate("messages_redelivered_total"), "again {{instance}}"),
              (rate("slow_consumers_total"), "slow {{instance}}")),
        lines("Connection errors", "Refused connections and frames, by reason.", "ops",
              (rate("connection_errors_total", "reason"), "{{reason}}")),
    ]),
    ("Resources", HEIGHT, [
        lines("CPU", "Processors in use.", "none",
              (f'rate(process_cpu_seconds_total{{job="disruptorx", {NODE}}}[$__rate_interval])',
               "{{instance}}")),
        lines("Memory", "Resident, and what topics keep of it.", "bytes",
              (f'process_resident_memory_bytes{{job="disruptorx", {NODE}}}', "{{instance}}"),
              (metric("retained_bytes"), "topics {{instance}}")),
        lines("Descriptors", "Open ones, against the limit.", "percentunit",
              (f'process_open_fds{{job="disruptorx", {NODE}}} / '
               f'process_max_fds{{job="disruptorx", {NODE}}}', "{{instance}}")),
    ]),
]

INTERNALS = [
    ("Rings", HEIGHT, [
        lines("Used", "Part of each ring's slots.", "percentunit",
              (f"{metric('ring_used_slots')} / {metric('ring_capacity_slots')}", "{{ring}}")),
        lines("Published", "Events a second.", "ops",
              (rate("ring_published_events_total", "ring"), "{{ring}}")),
        lines("Publishers wait", "Seconds a second that publishers waited for room.", "s",
              (rate("ring_claim_wait_seconds_total", "ring"), "{{ring}}")),
    ]),
    ("Loops and consumers", HEIGHT, [
        lines("Busy", "Part of the time that a loop had work.", "percentunit",
              (metric("consumer_busy_ratio"), "{{consumer}}")),
        lines("Lag", "Events that a shard is behind.", "none",
              (metric("consumer_lag_events"), "{{ring}}")),
        lines("Longest turn", "Of each loop, in the last second: whatever else it serves waited so "
              "long.", "s", (metric("loop_turn_max_seconds"), "{{loop}}")),
    ]),
    ("Topics", HEIGHT, [
        lines("Received", "The ten busiest topics.", "ops",
              (f"topk(10, {rate('messages_received_total', 'topic')})", "{{topic}}")),
        lines("Delivered", "The ten busiest topics.", "ops",
              (f"topk(10, {rate('messages_delivered_total', 'topic')})", "{{topic}}")),
        lines("Payload", "Bytes of events.", "Bps",
              (rate("message_bytes_total", "direction"), "{{direction}}")),
    ]),
    ("Publishing", HEIGHT, [
        lines("Publication", "From the publisher's claim to its receipt.", "s",
              *quantiles("publish_duration_seconds")),
        lines("Refused", "Publications that were not taken, or found no room.", "ops",
              (rate("messages_refused_total"), "not taken {{instance}}"),
              (rate("ring_refused_claims_total"), "no room {{instance}}")),
    ]),
    ("Network", HEIGHT, [
        lines("Waiting to be sent", "Bytes in the node's sending rings.", "bytes",
              (f"sum by (instance) ({metric('network_send_queue_bytes')})", "{{instance}}")),
        lines("Connections", "By kind.", "none",
              (f"sum by (kind) ({metric('connections')})", "{{kind}}")),
        lines("Failed handshakes", "Of TLS.", "ops",
              (rate("tls_handshake_errors_total"), "{{instance}}")),
    ]),
    ("Tracing", HEIGHT, [
        lines("Spans", "By what became of them. Nothing, where nothing is traced.", "ops",
              (rate("trace_spans_total", "result"), "{{result}}")),
    ]),
]


def thresholds(bad_above):
    steps = [{"color": "green", "value": None}]
    if bad_above is not None:
        steps.append({"color": "red", "value": bad_above})
    return {"mode": "absolute", "steps": steps}


def panel(identity, row, place):
    targets = [{"refId": chr(ord("A") + i), "expr": query, "legendFormat": legend,
                "datasource": {"type": "prometheus", "uid": "${datasource}"}}
               for i, (query, legend) in enumerate(row["queries"])]
    return {"id": identity, "type": row["type"], "title": row["title"],
            "description": row["description"], "gridPos": place,
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "fieldConfig": {"defaults": {"unit": row["unit"], "min": 0,
                                         "thresholds": thresholds(row.get("bad_above"))},
                            "overrides": []},
            "targets": targets}


def panels(rows):
    made, top = [], 0
    for title, height, members in rows:
        made.append({"id": len(made) + 1, "type": "row", "title": title, "collapsed": False,
                     "panels": [], "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1}})
        width = COLUMNS // len(members)
        for i, member in enumerate(members):
            made.append(panel(len(made) + 1, member, {"x": i * width, "y": top + 1, "w": width,
                                                      "h": height}))
        top += 1 + height
    return made


def dashboard(name, rows, other):
    return {
        "uid": f"disruptorx-{name}", "title": f"DisruptorX {name.capitalize()}",
        "tags": ["disruptorx"], "editable": True, "schemaVersion": 39, "version": 1,
        "refresh": "10s", "time": {"from": "now-30m", "to": "now"}, "timezone": "browser",
        "links": [{"type": "link", "title": f"DisruptorX {other.capitalize()}",
                   "url": f"/d/disruptorx-{other}", "keepTime": True, "includeVars": True}],
        "templating": {"list": [
            {"name": "datasource", "label": "Data source", "type": "datasource",
             "query": "prometheus"},
            {"name": "node", "label": "Node", "type": "query", "multi": True, "includeAll": True,
             "current": {"text": "All", "value": "$__all"}, "refresh": 2,
             "datasource": {"type": "prometheus", "uid": "${datasource}"},
             "query": "label_values(disruptorx_build_info, instance)"},
        ]},
        "panels": panels(rows),
    }


def main():
    check = sys.argv[1:] == ["--check"]
    stale = 0
    for name, rows, other in (("overview", OVERVIEW, "internals"),
                              ("internals", INTERNALS, "overview")):
        path = FOLDER / f"{name}.json"
        text = json.dumps(dashboard(name, rows, other), indent=1) + "\n"
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            print(f"{path} is not what tools/make_dashboards.py writes; run it")
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())
