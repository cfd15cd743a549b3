"""What the tests of the admin API share: asking a node over HTTP, docs/openapi.json and a check of
answers against it, a strict reader of Prometheus's text, a reader of server-sent events.

SPDX-License-Identifier: Apache-2.0
"""
import http.client
import json
import re
import socket
import urllib.parse

from dx_program import ROOT
from node_program import NodeTest

OPENAPI = json.loads((ROOT / "docs/openapi.json").read_text(encoding="utf-8"))
WRITES = {"POST", "PUT", "PATCH", "DELETE"}
ADMIN = ("--set", "admin.enabled=true", "--set", "admin.address=http://127.0.0.1:0")


class Answer:
    """What came back: status, headers (names in lower case), bytes."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        return json.loads(self.body)


class Admin:
    """Asks one node; keeps its connection."""

    def __init__(self, address, token=None, context=None):
        place = urllib.parse.urlsplit(address)
        self.host, self.port = place.hostname, place.port
        self.token = token
        if place.scheme == "https":
            self.connection = http.client.HTTPSConnection(self.host, self.port, timeout=30,
                                                          context=context)
        else:
            self.connection = http.client.HTTPConnection(self.host, self.port, timeout=30)

    def close(self):
        self.connection.close()

    def ask(self, method, path, body=None, headers=None):
        """One request. A body that is no bytes is sent as JSON."""
        sent = {}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        if method in WRITES:
            sent["X-Requested-By"] = "test"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        sent = {name: value for name, value in sent.items() if value is not None}
        self.connection.request(method, path, body=body, headers=sent)
        answer = self.connection.getresponse()
        data = answer.read()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, data)


# ------------------------------------------------------------------------------------- openapi

class SchemaError(AssertionError):
    """An answer is not what docs/openapi.json says."""


TYPES = {"object": dict, "array": list, "string": str, "boolean": bool}


def is_type(value, name):
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return value is None if name == "null" else isinstance(value, TYPES[name])


def resolve(schema):
    """The schema that a $ref stands for."""
    while "$ref" in schema:
        at = OPENAPI
        for part in schema["$ref"].lstrip("#/").split("/"):
            at = at[part]
        schema = at
    return schema


def check_object(value, schema, where):
    fields = schema.get("properties", {})
    for name in schema.get("required", []):
        if name not in value:
            raise SchemaError(f"{where}: \"{name}\" is missing")
    for name, item in value.items():
        if name in fields:
            check(item, fields[name], f"{where}.{name}")
        elif schema.get("additionalProperties") is False:
            raise SchemaError(f"{where}: \"{name}\" is not in docs/openapi.json")


def check_bounds(value, schema, where):
    if "const" in schema and value != schema["const"]:
        raise SchemaError(f"{where} is {value!r}, must be {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        raise SchemaError(f"{where} is {value!r}, must be one of {schema['enum']}")
    if "minimum" in schema and value < schema["minimum"]:
        raise SchemaError(f"{where} is {value!r}, must be at least {schema['minimum']}")
    if "maximum" in schema and value > schema["maximum"]:
        raise SchemaError(f"{where} is {value!r}, must be at most {schema['maximum']}")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        raise SchemaError(f"{where} is {value!r}, must match {schema['pattern']}")


def check(value, schema, where="answer"):
    """Raises SchemaError when a value is not what a schema says."""
    schema = resolve(schema)
    if "anyOf" in schema:
        for one in schema["anyOf"]:
            try:
                check(value, one, where)
                return
            except SchemaError as error:
                last = error
        raise SchemaError(f"{where} is none of what it may be: {last}")
    if "type" in schema and not is_type(value, schema["type"]):
        raise SchemaError(f"{where} is {value!r}, must be of type {schema['type']}")
    check_bounds(value, schema, where)
    if isinstance(value, dict):
        check_object(value, schema, where)
    elif isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            check(item, schema["items"], f"{where}[{number}]")


def operation_of(method, path):
    """The operation of docs/openapi.json that a request means."""
    path = urllib.parse.urlsplit(path).path
    for exact in (True, False):
        for name, operations in OPENAPI["paths"].items():
            pattern = re.sub(r"\{\w+\}", "[^/]+", re.escape(name).replace(r"\{", "{").replace(
                r"\}", "}"))
            if ("{" not in name) == exact and re.fullmatch(pattern, path):
                return name, operations[method.lower()]
    raise AssertionError(f"{path} is not in docs/openapi.json")


def check_answer(method, path, answer):
    """An answer as a whole: its status, type and fields."""
    name, operation = operation_of(method, path)
    responses = operation["responses"]
    if str(answer.status) not in responses:
        raise SchemaError(f"{method} {name}: {answer.status} is not in docs/openapi.json: "
                          f"{answer.body[:200]}")
    content = resolve(responses[str(answer.status)]).get("content")
    if content is None:
        if answer.body:
            raise SchemaError(f"{method} {name}: {answer.status} has a body")
        return name
    type_ = answer.headers["content-type"]
    if type_ not in content:
        raise SchemaError(f"{method} {name}: the type is {type_}, must be of {list(content)}")
    if type_ == "application/json":
        check(answer.json(), content[type_]["schema"], f"{method} {name}")
    return name


# ------------------------------------------------------------------------------------- metrics

SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(.*)\})? (\S+)")
LABEL = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)=\"((?:[^\"\\\n]|\\[\\\"n])*)\"(,|$)")


def labels_of(text):
    """The labels of a sample, as a dictionary."""
    labels, at = {}, 0
    while at < len(text):
        match = LABEL.match(text, at)
        if not match or match[1] in labels:
            raise AssertionError(f"labels can't be read: {text}")
        labels[match[1]] = match[2].replace('\\"', '"').replace("\\n", "\n").replace("\\\\", "\\")
        at = match.end()
    return labels


class Metrics:
    """Prometheus's text format 0.0.4, read strictly: HELP and TYPE before the samples of each
    metric, each metric in one piece, no sample twice, histograms that add up."""

    def __init__(self, text):
        self.types, self.helps, self.samples = {}, {}, {}
        self.seen = []
        if not text.endswith("\n"):
            raise AssertionError("the last line does not end")
        for line in text[:-1].split("\n"):
            if line.startswith("# HELP "):
                name, help_ = line[7:].split(" ", 1)
                if name in self.helps or not help_:
                    raise AssertionError(f"HELP of {name} twice, or empty")
                self.helps[name] = help_
            elif line.startswith("# TYPE "):
                name, type_ = line[7:].split(" ")
                if name in self.types or type_ not in ("counter", "gauge", "histogram"):
                    raise AssertionError(f"TYPE of {name} twice, or unknown: {type_}")
                if name not in self.helps:
                    raise AssertionError(f"TYPE of {name} without HELP")
                self.types[name] = type_
                self.seen.append(name)
            else:
                self.sample_read(line)
        self.histograms_check()

    def sample_read(self, line):
        match = SAMPLE.fullmatch(line)
        if not match:
            raise AssertionError(f"no sample: {line}")
        name, labels, value = match[1], labels_of(match[3] or ""), float(match[4])
        base = name
        if name not in self.types:
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            if self.types.get(base) != "histogram":
                raise AssertionError(f"{name} has no TYPE")
        if base != self.seen[-1]:
            raise AssertionError(f"{name} stands apart from its TYPE")
        if self.types[base] == "counter" and not (name.endswith("_total") and value >= 0):
            raise AssertionError(f"the counter {name} is {value}, or has no _total")
        key = (name, tuple(sorted(labels.items())))
        if key in self.samples:
            raise AssertionError(f"{key} is there twice")
        self.samples[key] = value

    def histograms_check(self):
        series = {}
        for (name, labels), value in self.samples.items():
            base = re.sub(r"_bucket$", "", name)
            if base != name and self.types.get(base) == "histogram":
                others = tuple(label for label in labels if label[0] != "le")
                series.setdefault((base, others), []).append((float(dict(labels)["le"]), value))
        for (name, labels), buckets in series.items():
            bounds, counts = zip(*buckets)
            if list(bounds) != sorted(bounds) or list(counts) != sorted(counts) or \
                    bounds[-1] != float("inf"):
                raise AssertionError(f"the buckets of {name} don't rise")
            if len(buckets) > 23:
                raise AssertionError(f"{name} has {len(buckets)} buckets")
            total = self.samples.get((name + "_count", labels))
            if total != counts[-1]:
                raise AssertionError(f"{name}_count is {total}, +Inf is {counts[-1]}")
        for name in (name for name, type_ in self.types.items() if type_ == "histogram"):
            if name not in {base for base, _ in series}:
                raise AssertionError(f"{name} has no buckets")

    def value(self, name, **labels):
        return self.samples[(name, tuple(sorted(labels.items())))]

    def all(self, name):
        """Values by labels."""
        return {key[1]: value for key, value in self.samples.items() if key[0] == name}


# ------------------------------------------------------------------------------------- streams

class Stream:
    """Server-sent events of a node, over a socket of its own."""

    def __init__(self, admin, headers=(), read_bytes=None):
        self.socket = socket.create_connection((admin.host, admin.port), timeout=30)
        if read_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, read_bytes)
        lines = ["GET /api/v1/events HTTP/1.1", f"Host: {admin.host}:{admin.port}", *headers]
        if admin.token:
            lines.append(f"Authorization: Bearer {admin.token}")
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.answer = http.client.HTTPResponse(self.socket)
        self.answer.begin()
        self.status = self.answer.status

    def next(self, *names):
        """The next event of one of these names (all, when none is given): name, id, data."""
        event, id_, data = "message", None, None
        while True:
            line = self.answer.readline().decode()
            if line == "":
                raise EOFError("the stream has ended")
            line = line.rstrip("\n")
            if line.startswith("event: "):
                event = line[7:]
            elif line.startswith("id: "):
                id_ = int(line[4:])
            elif line.startswith("data: "):
                data = json.loads(line[6:])
            elif line == "" and data is not None:
                if not names or event in names:
                    return event, id_, data
                event, id_, data = "message", None, None

    def close(self):
        self.answer.close()
        self.socket.close()


class AdminTest(NodeTest):
    """Each class has a node with an admin server."""
    server_options = ADMIN

    def setUp(self):
        self.admin = Admin(self.server.started["admin"])
        self.addCleanup(self.admin.close)

    def ask(self, method, path, body=None, **options):
        """One request, whose answer must be as docs/openapi.json says."""
        answer = self.admin.ask(method, path, body, **options)
        check_answer(method, path, answer)
        return answer

    def get(self, path, status=200):
        answer = self.ask("GET", path)
        self.assertEqual(answer.status, status, answer.body)
        return answer.json()

    def metrics(self):
        answer = self.ask("GET", "/metrics")
        self.assertEqual(answer.status, 200, answer.body)
        return Metrics(answer.body.decode())

