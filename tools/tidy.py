#!/usr/bin/env python3
"""Small rules of this repository, each with its fix in the message.

Usage: tidy.py [--root DIR] [FILE...]     (default: every file git knows or would add)
Exits with 1 after printing one line per finding, `file:line: what; fix`.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys

C_SUFFIXES = {".c", ".h"}
CODE_SUFFIXES = C_SUFFIXES | {".cc", ".cpp", ".hpp", ".py", ".sh", ".cmake", ".yaml", ".yml",
                              ".java", ".rs", ".in", ".toml", ".xml", ".js", ".css", ".html"}
CODE_NAMES = {"CMakeLists.txt", "Makefile", "Dockerfile", ".clang-format", ".clang-tidy",
              ".editorconfig", ".gitignore", ".gitattributes"}
TEXT_SUFFIXES = CODE_SUFFIXES | {".md", ".txt", ".json"}
SKIPPED_FOLDERS = {".git", "build", ".venv", "__pycache__", "target", ".cache"}

COLUMNS_MAX = 100
C_LINES_MAX = 800
SPDX = "SPDX-License-Identifier: Apache-2.0"

# Written in pieces, so that this file passes its own rules.
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X"]) + r")\b")
MACHINE_PATH = re.compile(r"(?<![\w.}*~-])/(?:home|root|work|Users)/\w")
BARE_SKIP = re.compile(r"(?<!\w)skip\(\);(?!\s*\\)")
MARKDOWN_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")

# Identifiers that C reserves, where a line declares one. The feature macros are meant to be set.
RESERVED = r"(_\w+|\w+__\w*)"
GNU_KEYWORDS = {"__attribute__", "__asm__", "__volatile__", "__extension__"}
FEATURE_MACROS = {"_GNU_SOURCE", "_DEFAULT_SOURCE", "_POSIX_C_SOURCE", "_FILE_OFFSET_BITS"}
RESERVED_DECLARATIONS = [
    re.compile(r"^\s*#\s*define\s+" + RESERVED + r"\b"),
    re.compile(r"\b(?:struct|union|enum)\s+" + RESERVED + r"\s*\{"),
    re.compile(r"^\s*typedef\b.*\b" + RESERVED + r"\s*;"),
    re.compile(r"^\s*(?!return\b|else\b|case\b|goto\b)(?:\w+[\s*]+)+" + RESERVED +
               r"\s*(?:[(=;\[]|$)"),
]
COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.DOTALL)


def is_script(path):
    with path.open("rb") as file:
        return file.read(2) == b"#!"


def files_of(root):
    """Every file that git tracks or would add; without git, every file outside build folders."""
    try:
        done = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others",
                               "--exclude-standard"], capture_output=True, check=True)
        inside = subprocess.run(["git", "-C", root, "rev-parse", "--show-toplevel"],
                                capture_output=True, text=True, check=True).stdout.strip()
        if pathlib.Path(inside).resolve() == root:
            names = os.fsdecode(done.stdout).split("\0")
            return sorted({root / name for name in names if name and (root / name).is_file()})
    except (OSError, subprocess.CalledProcessError):
        pass
    return sorted(path for path in root.rglob("*") if path.is_file()
                  and not SKIPPED_FOLDERS & set(path.relative_to(root).parts))


def blank_out(match):
    """Same number of lines, no words."""
    return "\n" * match.group(0).count("\n") or " "


class Tidy:
    def __init__(self, root):
        self.root = root
        self.findings = []

    def find(self, path, line, what):
        self.findings.append(f"{path.relative_to(self.root)}:{line}: {what}")

    def check(self, path):
        code = path.suffix in CODE_SUFFIXES or path.name in CODE_NAMES
        script = not path.suffix and is_script(path)
        if not (code or script or path.suffix in TEXT_SUFFIXES):
            return
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            self.find(path, 1, "is not UTF-8; convert it")
            return
        lines = text.splitlines()
        self.check_lines(path, lines, code or script)
        if text and not text.endswith("\n"):
            self.find(path, len(lines), "no newline at the end of the file; add one")
        if (code or script) and SPDX not in text:
            self.find(path, 1, f'no licence line; add "{SPDX}" to the head comment')
        if path.suffix in C_SUFFIXES:
            self.check_c(path, text, lines)
        if path.suffix == ".md":
            self.check_links(path, lines)

    def check_lines(self, path, lines, code):
        for number, line in enumerate(lines, start=1):
            if line != line.rstrip():
                self.find(path, number, "trailing blanks; delete them")
            if code and len(line) > COLUMNS_MAX:
                self.find(path, number, f"{len(line)} columns, the limit is {COLUMNS_MAX}; wrap it")
            unfinished = UNFINISHED.search(line)
            if unfinished:
                self.find(path, number, f"{unfinished.group(1)}; do it now, or describe the limit "
                          "as it is")
            if MACHINE_PATH.search(line):
                self.find(path, number, "a path of one machine; write it relative to the "
                          "repository or take it as an argument")

    def check_c(self, path, text, lines):
        if len(lines) > C_LINES_MAX:
            self.find(path, C_LINES_MAX, f"{len(lines)} lines, the limit is {C_LINES_MAX}; split "
                      "the file along its responsibilities")
        for number, line in enumerate(lines, start=1):
            if "\t" in line:
                self.find(path, number, "a tab; use 4 spaces (make format)")
        plain = COMMENT_OR_STRING.sub(blank_out, text)
        for number, line in enumerate(plain.splitlines(), start=1):
            if BARE_SKIP.search(line):
                self.find(path, number, "skips a test without a word; SKIP_BECAUSE(reason)")
            for pattern in RESERVED_DECLARATIONS:
                found = pattern.search(line)
                if found and self.is_reserved(found.group(1)):
                    self.find(path, number, f"declares {found.group(1)}, a name C reserves; drop "
                              "the leading or double underscore (dx_, dxi_, DX_, DXI_)")
                    break

    @staticmethod
    def is_reserved(name):
        return name not in FEATURE_MACROS and name not in GNU_KEYWORDS

    def check_links(self, path, lines):
        fenced = False
        for number, line in enumerate(lines, start=1):
            fenced ^= line.lstrip().startswith("```")
            if fenced:
                continue
            for target in MARKDOWN_LINK.findall(line):
                if re.match(r"[a-z][a-z+.-]*:", target) or target.startswith("#"):
                    continue
                if not (path.parent / target.split("#")[0]).exists():
                    self.find(path, number, f"link to {target}, which does not exist; create it "
                              "or correct the link")


def main():
    parser = argparse.ArgumentParser(description="Check the small rules of this repository.")
    parser.add_argument("--root", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    root = arguments.root.resolve()
    tidy = Tidy(root)
    for path in [p.resolve() for p in arguments.files] or files_of(root):
        tidy.check(path)
    for finding in tidy.findings:
        print(finding)
    if tidy.findings:
        print(f"{len(tidy.findings)} finding(s); the rules stand in tools/tidy.py")
    return 1 if tidy.findings else 0


if __name__ == "__main__":
    sys.exit(main())
