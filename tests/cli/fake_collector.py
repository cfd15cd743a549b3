"""A collector of spans for tests: takes OTLP/HTTP JSON, checks it by the rules of its schema, keeps
the spans, and misbehaves when it is told to.

SPDX-License-Identifier: Apache-2.0
"""
import http.server
import json
import re
import threading

# An attribute's value: exactly one of these, and its type in JSON. 64-bit numbers are texts.
VALUES = {"stringValue": str, "boolValue": bool, "intValue": str, "doubleValue": float}
KINDS = {1: "INTERNAL", 4: "PRODUCER", 5: "CONSUMER"}


class Refused(Exception):
    """What the schema does not allow."""


def need(holds, what):
    if not holds:
        raise Refused(what)


def attributes_of(items):
    result = {}
    for item in items:
        need(set(item) == {"key", "value"} and item["key"], f"an attribute is {item}")
        need(len(item["value"]) == 1, f"{item['key']} has {item['value']}")
        [(kind, value)] = item["value"].items()
        need(isinstance(value, VALUES.get(kind, ())), f"{item['key']} is {item['value']}")
        need(item["key"] not in result, f"{item['key']} is there twice")
        result[item["key"]] = int(value) if kind == "intValue" else value
    return result


def check_span(span, resource):
    """One span by the rules of the schema; returns it with its attributes as a dict."""
    known = {"traceId", "spanId", "parentSpanId", "flags", "name", "kind", "startTimeUnixNano",
             "endTimeUnixNano", "attributes", "status"}
    need(set(span) <= known, f"unknown fields: {set(span) - known}")
    need(re.fullmatch("[0-9a-f]{32}", span["traceId"]) and int(span["traceId"], 16), "traceId")
    need(re.fullmatch("[0-9a-f]{16}", span["spanId"]) and int(span["spanId"], 16), "spanId")
    parent = span.get("parentSpanId", "")
    need(parent == "" or re.fullmatch("[0-9a-f]{16}", parent), f"parentSpanId is {parent}")
    need(span["kind"] in KINDS, f"kind is {span['kind']}")
    times = [span["startTimeUnixNano"], span["endTimeUnixNano"]]
    need(all(isinstance(time, str) and re.fullmatch("[0-9]{19}", time) for time in times),
         f"times are {times}")
    need(int(times[0]) <= int(times[1]), f"it ends before it begins: {times}")
    need(span["status"].get("code", 0) in (0, 1, 2), "status")
    attributes = attributes_of(span["attributes"])
    need(attributes["messaging.system"] == "disruptorx", "messaging.system")
    need(span["name"] == f"{attributes['messaging.operation.name']} "
                         f"{attributes['messaging.destination.name']}", f"name is {span['name']}")
    return {"trace": span["traceId"], "id": span["spanId"], "parent": parent, "name": span["name"],
            "kind": KINDS[span["kind"]], "start": int(times[0]), "end": int(times[1]),
            "failed": span["status"].get("code", 0) == 2, "attributes": attributes,
            "service": resource["service.name"]}


def check_request(body):
    spans = []
    need(set(body) == {"resourceSpans"} and body["resourceSpans"], "resourceSpans")
    for of_resource in body["resourceSpans"]:
        resource = attributes_of(of_resource["resource"]["attributes"])
        for key in ("service.name", "service.instance.id", "service.version"):
            need(resource.get(key), f"the resource has no {key}")
        for of_scope in of_resource["scopeSpans"]:
            need(of_scope["scope"]["name"], "the scope has no name")
            need(of_scope["spans"], "a scope has no spans")
            spans += [check_span(span, resource) for span in of_scope["spans"]]
    return spans


class Collector:
    """Listens on a port of its own. `status` answers with that; `hang`: not at all."""

    def __init__(self, port=0):
        self.spans, self.faults, self.headers, self.requests = [], [], [], 0
        self.status, self.answer, self.hang = 200, b"{}", threading.Event()
        self.hang.set()
        self.gone = False
        self.lock = threading.Lock()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                collector.take(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def take(self, request):
        text = request.rfile.read(int(request.headers["Content-Length"]))
        self.hang.wait()
        if self.gone:  # on a connection that was kept
            request.close_connection = True
            return
        with self.lock:
            self.requests += 1
            self.headers.append(dict(request.headers))
            if self.status == 200:
                self.keep(request, text)
        try:
            request.send_response(self.status)
            request.send_header("Content-Type", "application/json")
            request.send_header("Content-Length", str(len(self.answer)))
            request.end_headers()
            request.wfile.write(self.answer)
        except OSError:
            pass  # who asked did not wait

    def keep(self, request, text):
        try:
            need(request.path == "/v1/traces", f"the path is {request.path}")
            need(request.headers["Content-Type"] == "application/json", "Content-Type")
            self.spans += check_request(json.loads(text))
        except (Refused, ValueError, KeyError, TypeError) as fault:
            self.faults.append(f"{fault!r} in {text[:2000]!r}")

    def close(self):
        self.gone = True
        self.hang.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def trees(self):
        """The spans of each trace, by trace id."""
        with self.lock:
            traces = {}
            for span in self.spans:
                traces.setdefault(span["trace"], []).append(span)
            return traces
