#!/usr/bin/env python3
"""Lists the public functions that no example uses. Each must be used or excused with a reason.

SPDX-License-Identifier: Apache-2.0
"""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Headers whose functions are for the inline code of other headers and not for applications.
EXCUSED_HEADERS = {
    "atomic.h": "the vocabulary of the inline hot path; an application has <stdatomic.h>",
}
EXCUSED = {
    "dx_ring_block": "for the inline functions, and for tools that look at the layout",
    "dx_histogram_clamp": "the out-of-range half of dx_histogram_record_n(), which calls it",
}

COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.DOTALL)
DECLARATION = re.compile(r"\b(?:DX_API|DX_INLINE)\b[^;{]*?\b(dx_\w+)\s*\(")


def plain(text):
    """The code without comments and strings."""
    return COMMENT_OR_STRING.sub(" ", text)


def declared(header_text):
    return set(DECLARATION.findall(plain(header_text)))


def used(example_text):
    return set(re.findall(r"\bdx_\w+", plain(example_text)))


def public_functions():
    """Name -> header."""
    found = {}
    for header in sorted((ROOT / "include/disruptorx").glob("*.h")):
        for name in declared(header.read_text(encoding="utf-8")):
            found[name] = header.name
    return found


class ExamplesCoverApi(unittest.TestCase):
    def setUp(self):
        self.functions = public_functions()
        self.used = set()
        for example in (ROOT / "examples").glob("[0-9]*_*.c"):
            self.used |= used(example.read_text(encoding="utf-8"))

    def test_every_public_function_is_used_by_an_example(self):
        missing = sorted(f"{name} ({header})" for name, header in self.functions.items()
                         if name not in self.used and name not in EXCUSED
                         and header not in EXCUSED_HEADERS)
        self.assertFalse(missing, "no example uses these; show each in one of examples/*.c, or "
                         "excuse it in this test with a reason:\n  " + "\n  ".join(missing))

    def test_no_excuse_is_out_of_date(self):
        for name in EXCUSED:
            self.assertIn(name, self.functions, "excused, but no header declares it")
            self.assertNotIn(name, self.used, "excused, but an example uses it: drop the excuse")
        for header in EXCUSED_HEADERS:
            self.assertIn(header, self.functions.values(), "excused, but it declares nothing")

    def test_a_declaration_is_found_in_each_of_its_forms(self):
        text = """
            /* DX_API int dx_comment(void); */
            DX_API DX_NODISCARD int dx_plain(const dx_type_t *options,
                                             dx_error_t *error);
            DX_API DX_PRINTF(3, 4) void dx_write(dx_log_t *log, const char *format, ...);
            DX_API const char *dx_pointer(int code);
            DX_INLINE DX_NODISCARD int dx_body(dx_producer_t *producer) { dx_called(producer); }
            DX_API int dxi_private(void);
            typedef int (*dx_callback_t)(void *context);
        """
        self.assertEqual(declared(text), {"dx_plain", "dx_write", "dx_pointer", "dx_body"})

    def test_a_name_in_a_comment_or_a_string_is_no_use(self):
        text = '/* dx_comment() */ int a = dx_call(); puts("dx_string"); // dx_line()'
        self.assertEqual(used(text), {"dx_call"})


if __name__ == "__main__":
    unittest.main()
