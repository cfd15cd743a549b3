#!/usr/bin/env python3
"""Refuses an #include that goes against the order of the layers, and cycles inside a layer.

The order is DX_LAYERS in cmake/Layers.cmake. A file of src/<layer>/ may include

  - private headers of its own layer, as "x.h" or "<layer>/x.h";
  - private headers of the layers before it in the list, as "<layer>/x.h";
  - public headers, "disruptorx/x.h", of its own layer and of the layers before it.

A public header may include public headers only, of its own layer and of those before it. Inside a
layer no header may reach itself again.

Usage: check_layers.py [--root DIR] [--stamp FILE]
Exits with 1 after printing one line per violation, `file:line: what; fix`.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import pathlib
import re
import sys

# The layer of each public header. A new header is added here, in the commit that adds it.
PUBLIC_HEADERS = {
    "base": "platform atomic error memory thread clock histogram counters log version",
    "ring": "ring ring_block producer consumer span wait disruptor",
    "wire": "frame frame_batch",
    "trace": "trace",
    "cluster": "cluster",
    "bus": "bus",
    "workflow": "workflow",
    "node": "node config",
    "client": "client",
}
LAYER_OF_PUBLIC = {f"{stem}.h": layer for layer, stems in PUBLIC_HEADERS.items()
                   for stem in stems.split()}

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<(disruptorx/[^>]+)>)')
ORDER = re.compile(r"^set\(DX_LAYERS\s+([^)]*)\)", re.MULTILINE)


class Checker:
    def __init__(self, root):
        self.root = root
        text = (root / "cmake/Layers.cmake").read_text(encoding="utf-8")
        found = ORDER.search(text)
        if not found:
            sys.exit("cmake/Layers.cmake: no set(DX_LAYERS ...), so no order is known")
        self.layers = found.group(1).split()
        self.problems = []
        self.edges = {}  # file -> [(line, file)], within one layer only

    def refuse(self, path, line, what):
        self.problems.append(f"{path.relative_to(self.root)}:{line}: {what}")

    def run(self):
        public = self.root / "include/disruptorx"
        for path in sorted(public.glob("*.h")):
            if path.name not in LAYER_OF_PUBLIC:
                self.refuse(path, 1, f"public header {path.name} has no layer; add it to "
                            "PUBLIC_HEADERS in tools/check_layers.py")
                continue
            self.scan(path, LAYER_OF_PUBLIC[path.name], is_public=True)
        for folder in sorted(p for p in (self.root / "src").iterdir() if p.is_dir()):
            if folder.name not in self.layers:
                self.refuse(folder, 1, f"folder src/{folder.name} is no layer; add it to DX_LAYERS "
                            "in cmake/Layers.cmake at its place in the order, or move its files")
                continue
            for path in sorted([*folder.rglob("*.c"), *folder.rglob("*.h")]):
                self.scan(path, folder.name, is_public=False)
        self.find_cycles()
        return self.problems

    def scan(self, path, layer, is_public):
        text = path.read_text(encoding="utf-8")
        for number, line in enumerate(text.splitlines(), start=1):
            found = INCLUDE.match(line)
            if found:
                self.check(path, layer, is_public, number, found.group(1) or found.group(2))

    def check(self, path, layer, is_public, number, name):
        target, target_layer, target_public = self.resolve(path, name)
        if target_layer is None:
            self.refuse(path, number, f'"{name}" is no header of a layer; write "disruptorx/x.h" '
                        'for a public header, "<layer>/x.h" for a private one, and add a new '
                        "public header to PUBLIC_HEADERS in tools/check_layers.py")
            return
        if is_public and not target_public:
            self.refuse(path, number, f'a public header includes the private "{name}", which is '
                        "not installed; move what it needs into include/disruptorx/")
            return
        if self.layers.index(target_layer) > self.layers.index(layer):
            self.refuse(path, number, f'layer {layer} includes "{name}" of layer {target_layer}, '
                        f"which stands after it ({' '.join(self.layers)}); move the code down into "
                        f"{target_layer}, or let {target_layer} pass a callback")
            return
        if target_layer == layer and target is not None:
            self.edges.setdefault(path, []).append((number, target))

    def resolve(self, path, name):
        """The file an include names, its layer, and whether it is public; (None, None, False) if
        it is nothing we know."""
        if name.startswith("disruptorx/"):
            stem = name.split("/", 1)[1]
            layer = LAYER_OF_PUBLIC.get(stem)
            return self.root / "include" / name, layer, True
        beside = path.parent / name
        target = beside if beside.is_file() else self.root / "src" / name
        target = target.resolve()
        public = self.root / "include/disruptorx"
        if public in target.parents:
            return target, LAYER_OF_PUBLIC.get(target.name), True
        for layer in self.layers:
            if self.root / "src" / layer in target.parents:
                return target, layer, False
        return None, None, False

    def find_cycles(self):
        """Depth first; a file met again while it is still open closes a cycle."""
        closed, reported = set(), set()

        def visit(path, trail):
            trail.append(path)
            for number, target in self.edges.get(path, []):
                if target in trail:
                    cycle = trail[trail.index(target):]
                    if frozenset(cycle) not in reported:
                        reported.add(frozenset(cycle))
                        names = " -> ".join(p.name for p in [*cycle, target])
                        self.refuse(path, number, f"include cycle {names}; move what they share "
                                    "into a header of its own")
                elif target not in closed:
                    visit(target, trail)
            trail.pop()
            closed.add(path)

        for path in sorted(self.edges):
            if path not in closed:
                visit(path, [])


def main():
    parser = argparse.ArgumentParser(description="Check the order of the layers.")
    parser.add_argument("--root", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("--stamp", type=pathlib.Path, help="file to touch when all is well")
    arguments = parser.parse_args()
    problems = Checker(arguments.root.resolve()).run()
    for problem in problems:
        print(problem)
    if problems:
        print(f"{len(problems)} layering problem(s); the rules stand in tools/check_layers.py")
        return 1
    if arguments.stamp:
        arguments.stamp.touch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
