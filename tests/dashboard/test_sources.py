#!/usr/bin/env python3
"""Rules of the page's sources, and the tool that makes one page of them. Needs no browser.

SPDX-License-Identifier: Apache-2.0
"""
import base64
import hashlib
import pathlib
import re
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "src/node/dashboard"
sys.path.insert(0, str(ROOT / "tools"))
import embed_dashboard  # noqa: E402

# D1: whatever gives a text to a parser of HTML or of scripts.
PARSERS = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|setHTML|document\s*\.\s*write|"
                     r"DOMParser|createContextualFragment|srcdoc|\beval\b|\bFunction\s*\(|"
                     r"setTimeout\s*\(\s*[\"'`]|setInterval\s*\(\s*[\"'`]")


class Sources(unittest.TestCase):
    def scripts(self):
        return [(path.name, path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.js")]

    def test_no_text_is_given_to_a_parser(self):
        self.assertTrue(self.scripts())
        for name, text in self.scripts():
            self.assertEqual(PARSERS.findall(text), [], name)

    def test_the_rule_would_find_them(self):
        for bad in ("a.innerHTML = b", "eval(x)", "new Function('x')", "setTimeout('x', 1)",
                    "document.write(x)", "x.insertAdjacentHTML('beforeend', y)"):
            self.assertTrue(PARSERS.search(bad), bad)

    def test_nothing_is_loaded_from_elsewhere(self):
        page, _ = embed_dashboard.page_of(FOLDER)
        allowed = {"http://www.w3.org/2000/svg"}
        self.assertEqual(set(re.findall(r"https?://[\w./-]+", page)) - allowed, set())
        self.assertEqual(re.findall(r"\bsrc=|@import|url\((?!#)", page), [])

    def test_a_token_is_kept_in_the_session_only(self):
        for name, text in self.scripts():
            if name != "api.js":
                self.assertNotIn("TOKEN_KEY", text, name)
            self.assertNotIn("document.cookie", text, name)
        uses = re.findall(r"(\w+)\.(?:get|set|remove)Item\(TOKEN_KEY",
                          dict(self.scripts())["api.js"])
        self.assertEqual(set(uses), {"sessionStorage"})


class Embed(unittest.TestCase):
    def folder(self, **files):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="dx-test-"))
        self.addCleanup(lambda: [path.unlink() for path in folder.iterdir()] and folder.rmdir())
        parts = {"index.html": "<p>\n@style@\n@script@\n</p>\n", "style.css": "p {}\n",
                 "a.js": "one();\n", "b.js": "two();\n", "parts.txt": "# order\nb.js\na.js\n",
                 **{name.replace("_", "."): text for name, text in files.items()}}
        for name, text in parts.items():
            (folder / name).write_text(text, encoding="utf-8")
        return folder

    def test_the_parts_stand_in_their_order_and_the_policy_has_their_hashes(self):
        page, policy = embed_dashboard.page_of(self.folder())
        style = re.search("<style>(.*?)</style>", page, re.DOTALL).group(1)
        script = re.search("<script>(.*?)</script>", page, re.DOTALL).group(1)
        self.assertLess(script.index("two"), script.index("one"))
        for kind, text in (("style-src", style), ("script-src", script)):
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            self.assertIn(f"{kind} 'sha256-{digest}';", policy)
        self.assertNotIn("unsafe", policy)

    def test_what_can_not_stand_in_a_page_is_refused(self):
        for files, said in (({"a_js": "'</script>'"}, "</script"), ({"a_js": "'<!--'"}, "<!--"),
                            ({"style_css": "</style>"}, "</style"),
                            ({"parts_txt": "a.js\n"}, "parts.txt"),
                            ({"parts_txt": "a.js\na.js\nb.js\n"}, "parts.txt"),
                            ({"index_html": "<p>"}, "@style@"),
                            ({"index_html": "@style@\n@script@\n@script@\n"}, "@script@")):
            with self.assertRaises(SystemExit) as caught:
                embed_dashboard.page_of(self.folder(**files))
            self.assertIn(said, str(caught.exception))

    def test_the_c_file_holds_the_page_byte_for_byte(self):
        page, policy = embed_dashboard.page_of(self.folder(
            style_css="p::after { content: '\u00b5' }"))
        source = embed_dashboard.source_of(page, policy)
        numbers = re.search(r"PAGE\[(\d+)\] = \{(.*?)\};", source, re.DOTALL)
        data = bytes(int(number) for number in numbers.group(2).split(",") if number.strip())
        self.assertEqual((data, len(data)), (page.encode(), int(numbers.group(1))))
        other = embed_dashboard.source_of(page.replace("one", "1"), policy)
        tag = re.compile(r'\.tag = "(.*)"')
        self.assertNotEqual(tag.search(source).group(1), tag.search(other).group(1))


if __name__ == "__main__":
    unittest.main()
