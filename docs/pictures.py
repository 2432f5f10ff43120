"""The pictures of the README, drawn anew from the results that come with the package: `python docs/pictures.py`.

Chromium draws all of them, since it writes WebP: a figure of ours takes 50 kB in it, and 500 as PNG.
"""

from __future__ import annotations

import base64
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from slm_atlas import home
from slm_atlas.insights.frame import Dataset, read_dataset
from slm_atlas.report.figures import Side
from slm_atlas.report.files import Form, picture
from slm_atlas.report.material import Material
from slm_atlas.report.pictures import WIDE
from slm_atlas.report.registry import entry
from slm_atlas.report.site import write_report
from slm_atlas.store import Store, import_jsonl
from slm_atlas.store.reference import reference_names, reference_path

IMAGES = Path(__file__).parent / "images"
FIGURES = {"attention": "attention", "paper-runtime": "fig7", "paper-quantization": "fig8", "paper-operators": "fig10a"}
"""Pictures of figures: the name of the file, and which."""
PARTS = {"report-choose": ("choose", 602), "report-model": ("model-smollm2-135m", 890)}
"""Pictures of parts of the report: its address, and how many pixels of its height."""
PAGE_WIDTH = 1180
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars")
"""Without scrollbars a page is laid out alike while it is photographed whole."""
MOST_BYTES = 200_000
"""A picture that weighs more makes the README slow."""
_ALL_PICTURES = "return !document.querySelector('figure.packed')"
_BOX = (
    "const box = document.querySelector(arguments[0]).getBoundingClientRect(); return [box.top + scrollY, box.height]"
)


def main() -> None:
    """Write every picture, and say how much it weighs."""
    with tempfile.TemporaryDirectory() as folder, browser() as driver:
        os.environ[home.ENVIRONMENT_VARIABLE] = folder
        dataset = measured(Path(folder))
        for name, figure in FIGURES.items():
            drawn = entry(figure).drawn(Material(lambda: dataset), Side.BOTH if figure.startswith("fig") else None)
            path = Path(folder) / f"{name}.svg"
            path.write_bytes(picture(drawn, Form.SVG, width=WIDE))
            driver.get(path.as_uri())
            save(name, shot(driver, "svg", None))
        page = write_report(dataset, Path(folder) / "report")
        for name, (place, height) in PARTS.items():
            driver.get("about:blank")
            driver.get(f"{page.as_uri()}#{place}")
            WebDriverWait(driver, 60).until(lambda at: at.execute_script(_ALL_PICTURES))
            save(name, shot(driver, f"#{place}", height))


def measured(folder: Path) -> Dataset:
    """The newest results that come with the package."""
    with Store(folder / "atlas.sqlite") as store:
        import_jsonl(store, reference_path(reference_names()[-1]))
        return read_dataset(store)


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium, twice as sharp as the page."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for flag in FLAGS:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver") or ""))
    size = {"width": PAGE_WIDTH, "height": 900, "deviceScaleFactor": 2, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        yield driver
    finally:
        driver.quit()


def shot(driver: Any, selector: str, height: float | None) -> bytes:  # noqa: ANN401  (selenium is not typed)
    """An element as a picture, as wide as the window or, of a figure, as itself; of its height no more than told."""
    top, whole = driver.execute_script(_BOX, selector)
    wide = (
        PAGE_WIDTH if height else driver.execute_script("return document.documentElement.getBoundingClientRect().width")
    )
    clip = {"x": 0, "y": top, "width": wide, "height": min(whole, height or whole), "scale": 1}
    asked = {"format": "webp", "quality": 76, "captureBeyondViewport": True, "clip": clip}
    return base64.b64decode(driver.execute_cdp_cmd("Page.captureScreenshot", asked)["data"])


def save(name: str, content: bytes) -> None:
    """Write a picture."""
    assert len(content) <= MOST_BYTES, f"{name} weighs {len(content):,} bytes"
    (IMAGES / f"{name}.webp").write_bytes(content)
    print(f"{name}.webp {len(content):,}")


if __name__ == "__main__":
    main()
