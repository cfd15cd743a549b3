"""What the tests of the dashboard share: one headless Chromium, driven by Selenium.

Without a browser, its driver or Python's Selenium the tests are skipped (exit code 77) and say so.

SPDX-License-Identifier: Apache-2.0
"""
import pathlib
import shutil
import sys
import time
import unittest

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
except ImportError:
    print("skipped: python3-selenium is not installed (tools/setup.sh test)")
    sys.exit(77)

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "src/node/dashboard"

# Runs in each page before its own script: what the policy refused, and what was thrown.
WATCH = """
window.violations = [];
addEventListener("securitypolicyviolation",
    (event) => violations.push(event.violatedDirective + " " + event.blockedURI));
addEventListener("error", (event) => violations.push("error " + event.message));
addEventListener("unhandledrejection", (event) => violations.push("rejected " + event.reason));
window.skew_ms = 0;
Date.now = ((now) => () => now() + skew_ms)(Date.now);
"""


def wait_for(holds, what, seconds=20):
    """Waits for a condition, never for a time; returns what it was."""
    until = time.monotonic() + seconds
    while True:
        answer = holds()
        if answer:
            return answer
        if time.monotonic() > until:
            raise AssertionError(f"it never came to this: {what}")
        time.sleep(0.01)


def start():
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        print("skipped: chromium or chromium-driver is not installed (tools/setup.sh test)")
        sys.exit(77)
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox",  # root may not have one
                     "--disable-dev-shm-usage", "--disable-gpu", "--disable-extensions",
                     "--disable-background-networking", "--no-first-run", "--window-size=1440,900",
                     "--proxy-server=direct://", "--disable-component-update",
                     "--force-color-profile=srgb", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(service=Service(driver), options=options)
    browser.set_script_timeout(20)
    browser.set_page_load_timeout(20)
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
    return browser


class BrowserTest(unittest.TestCase):
    """All classes share the browser; each test opens pages in its one tab."""
    browser = None
    expected_in_console = ()  # parts of lines that a test may cause

    @classmethod
    def setUpClass(cls):
        if BrowserTest.browser is None:
            BrowserTest.browser = start()
            unittest.addModuleCleanup(BrowserTest.browser.quit)

    def setUp(self):
        self.console_allows = set()
        self.size(1440, 900)
        self.emulate()

    def tearDown(self):
        """Whatever a test does: nothing is thrown, refused by the policy or said as an error."""
        problems = list(self.script("return window.violations || []"))
        for line in self.browser.get_log("browser"):
            if line["level"] in ("SEVERE", "WARNING") and not any(
                    part in line["message"] for part in self.console_allows):
                problems.append(line["message"])
        self.browser.get("about:blank")
        self.assertEqual(problems, [])

    # ---- the browser

    def script(self, text, *arguments):
        return self.browser.execute_script(text, *arguments)

    def emulate(self, scheme="dark", motion="no-preference"):
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": motion}]})

    def size(self, width, height):
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})

    # ---- the page

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector):
        """What a person sees of an element, blanks of all kinds as one; "" when it is not shown."""
        return self.script("""
            const node = document.querySelector(arguments[0]);
            return node === null || !node.checkVisibility() ? ""
                : node.innerText.replace(/\\s+/g, " ").trim();""", selector)

    def texts(self, selector):
        """The texts of all that are shown."""
        return self.script("""
            return [...document.querySelectorAll(arguments[0])]
                .filter((node) => node.checkVisibility())
                .map((node) => node.innerText.replace(/\\s+/g, " ").trim());""", selector)

    def shows(self, selector, part, seconds=20):
        wait_for(lambda: part in self.text(selector),
                 f"{selector} shows {part!r}; it shows {self.text(selector)!r}", seconds)

    def go(self, view):
        self.script("location.hash = arguments[0]", f"#/{view}")

    def has_content(self, view):
        wait_for(lambda: len(self.text(".view:not([hidden])")) > 60, f"{view} has a content")

    def press(self, *keys):
        actions = ActionChains(self.browser, duration=0)
        for key in keys:
            actions.send_keys(key)
        actions.perform()

    def active(self):
        """The focused element, in words: its tag and its text or name."""
        return self.script("""
            const node = document.activeElement;
            return [node.tagName.toLowerCase(), node.id, (node.getAttribute("aria-label") ||
                node.innerText || "").replace(/\\s+/g, " ").trim()];""")

    def tab_to(self, wanted, most=80, key=Keys.TAB):
        """Presses Tab until the focused element's id or text is `wanted`."""
        for _ in range(most):
            self.press(key)
            if wanted in self.active()[1:]:
                return
        raise AssertionError(f"no way by Tab to {wanted!r}; the last was {self.active()}")
