"""A headless Chromium for the tests of the report."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@contextmanager
def browser(downloads: Path | None = None) -> Iterator[Any]:
    """Yield a browser without network; the test is skipped where there is none."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if not found or not driver:
        pytest.skip("no Chromium with chromedriver (Debian: apt-get install chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = found
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--window-size=1400,1000",
        # No smooth scrolling, which clicks would miss.
        "--force-prefers-reduced-motion",
        # Whatever the page asks of the network fails and shows in the log.
        "--host-resolver-rules=MAP * ~NOTFOUND",
    ):
        options.add_argument(argument)
    if downloads:
        folder = {"download.default_directory": str(downloads)}
        options.add_experimental_option("prefs", folder)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield chrome
    finally:
        chrome.quit()


def assert_sound(chrome: Any) -> None:
    """Check that the page has no errors, that all pictures are there, and that links work."""
    assert chrome.get_log("browser") == []
    pictures = chrome.execute_script(
        "return [...document.images].map(i => [i.complete && i.naturalWidth > 0, i.alt])"
    )
    assert pictures and all(loaded and alternative for loaded, alternative in pictures)
    dead = chrome.execute_script(
        "return [...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.hash.slice(1))"
        ".filter(id => !document.getElementById(id))"
    )
    assert dead == []
    asked = chrome.execute_script(
        "return performance.getEntriesByType('resource').map(e => e.name)"
        ".filter(name => !name.startsWith('data:'))"
    )
    assert asked == []


def set_width(chrome: Any, width: int, height: int = 1000) -> None:
    """Show the page as on a screen of this size, narrower than a window can be."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


_BROKEN = """
const found = [];
for (const cell of document.querySelectorAll("td, th")) {
  const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (node.parentElement.closest("code")) continue;
    for (const word of node.data.matchAll(/[^\\s-]*[0-9][^\\s-]*/g)) {
      const range = document.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      const lines = [...range.getClientRects()].map((box) => Math.round(box.top));
      if (new Set(lines).size > 1) found.push(word[0]);
    }
  }
}
return found;
"""


def broken_numbers(chrome: Any) -> list[str]:
    """Return the numbers in cells of tables, digests left out, that are on more than one line."""
    return [*chrome.execute_script(_BROKEN)]


@contextmanager
def paper(chrome: Any) -> Iterator[None]:
    """Show the page as on paper: A4, less the margins that its style sets."""
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    set_width(chrome, 688)
    try:
        yield
    finally:
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def overflow(chrome: Any) -> int:
    """Return by how many pixels the page is wider than the screen."""
    return int(
        chrome.execute_script(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
    )
