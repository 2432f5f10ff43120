"""How soon a report's page can be used: `python benchmarks/page_speed.py PAGE.html [--times 5]`.

Each time in a browser process of its own, from disk: milliseconds from the navigation's start until the page's script
has run (the table and the chooser answer from then on), until everything is loaded, and until the last figure is
unpacked; and how long a question to the chooser takes until its answer is painted.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
READY = (
    "const at = performance.getEntriesByType('navigation')[0]; return [at.domContentLoadedEventEnd, at.loadEventEnd]"
)
UNPACKED = "return document.querySelector('figure.packed') ? 0 : performance.now()"
ASK = """
const done = arguments[0], start = performance.now(), field = document.getElementById('chooser').elements['memory'];
field.value = '2';
field.dispatchEvent(new Event('input', {bubbles: true}));
requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start)));
"""
COLUMNS = ("usable", "loaded", "figures unpacked", "a question")


@contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or "chromium"
    for flag in FLAGS:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def opened(page: Path) -> list[float]:
    """Milliseconds, as `COLUMNS`."""
    with browser() as driver:
        driver.get(page.resolve().as_uri())
        ready: list[float] = driver.execute_script(READY)
        unpacked: float = WebDriverWait(driver, 60, 0.02).until(lambda at: at.execute_script(UNPACKED))
        asked: float = driver.execute_async_script(ASK)
        return [*ready, unpacked, asked]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("--times", type=int, default=5)
    chosen = parser.parse_args()
    times = [opened(chosen.page) for _ in range(chosen.times)]
    print(f"{chosen.page.stat().st_size / 1e6:.2f} MB, n = {len(times)}")
    for name, of in zip(COLUMNS, zip(*times, strict=True), strict=True):
        print(f"{name}: median {statistics.median(of):.0f} ms [{min(of):.0f}, {max(of):.0f}]")


if __name__ == "__main__":
    main()
