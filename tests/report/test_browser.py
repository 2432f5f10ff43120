"""The page in a real browser: it loads quietly from disk, filters, sorts, chooses as Python does, and is accessible."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from slm_atlas.advisor.candidates import candidates, main_machine
from slm_atlas.advisor.recommend import Candidate, Query, Subject, recommend
from slm_atlas.insights.frame import Dataset, read_dataset, rows
from slm_atlas.report.registry import SURVEY
from slm_atlas.report.site import write_report
from slm_atlas.store import Store

pytestmark = pytest.mark.browser
webdriver = pytest.importorskip("selenium.webdriver", reason="the extra `dev` brings selenium")
WebDriverWait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait

AXE = "axe-core@4.14.1"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")


@pytest.fixture(scope="module")
def measured(reference_store: Path) -> Dataset:
    with Store(reference_store) as store:
        return read_dataset(store)


@pytest.fixture(scope="module")
def page(measured: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(measured, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def found(measured: Dataset) -> list[Candidate]:
    return candidates(rows(measured))


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no Chromium with its driver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield started
    started.quit()


@pytest.fixture
def browser(driver: Any, page: Path) -> Any:
    """The page, newly loaded in a desktop's light window."""
    appear(driver, width=1280, dark=False)
    driver.get("about:blank")
    driver.get(page.as_uri())
    whole = "return document.readyState === 'complete' && location.protocol === 'file:'"
    WebDriverWait(driver, 30).until(lambda at: at.execute_script(whole))
    return driver


@pytest.fixture
def drawn(browser: Any) -> Any:
    """The page when all its figures are unpacked, which takes most of its loading."""
    WebDriverWait(browser, 30).until(lambda at: at.execute_script("return !document.querySelector('figure.packed')"))
    return browser


@pytest.fixture(scope="session")
def axe() -> str:
    """The accessibility checker, fetched when it is needed; not a part of this repository."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm to fetch axe-core with")
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run([npm, "pack", AXE, "--silent"], cwd=folder, check=False, timeout=60, capture_output=True)
        fetched = list(Path(folder).glob("*.tgz"))
        if not fetched:
            pytest.skip("axe-core cannot be fetched")
        with tarfile.open(fetched[0]) as archive:
            script = archive.extractfile("package/axe.min.js")
            assert script is not None
            return script.read().decode()


def appear(driver: Any, *, width: int, dark: bool) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def type_into(browser: Any, form: str, name: str, value: str) -> None:
    """Sets a field as a user's typing would."""
    browser.execute_script(
        "const field = document.getElementById(arguments[0]).elements[arguments[1]];"
        "field.value = arguments[2]; field.dispatchEvent(new Event('input', {bubbles: true}));",
        form, name, value,
    )  # fmt: skip


def lines(browser: Any) -> list[dict[str, str]]:
    """The facts of the lines shown, in their order."""
    shown: list[dict[str, str]] = browser.execute_script(
        "return [...document.getElementById('table').tBodies[0].rows].filter(r => !r.hidden).map(r => ({...r.dataset}))"
    )
    return shown


def test_it_loads_from_disk_without_a_complaint_and_soon(drawn: Any) -> None:
    assert [entry for entry in drawn.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    took_ms = drawn.execute_script("return performance.getEntriesByType('navigation')[0].domInteractive")
    assert took_ms < 5000, "a busy machine's limit; a quiet one needs less than one second"
    figures = (
        "return [...document.querySelectorAll('figure')].map(f => [f.id, f.querySelectorAll('.chart svg').length])"
    )
    found = dict(drawn.execute_script(figures))
    assert set(found) >= {each.id for each in SURVEY} | {"latency", "memory"}
    assert min(found.values()) >= 1
    links = "return [...document.querySelectorAll('figure a[download]')].map(a => [a.hidden, a.href.slice(0, 13)])"
    assert {tuple(link) for link in drawn.execute_script(links)} == {(False, "data:text/csv")}


def test_filters_keep_what_meets_all_of_them(browser: Any) -> None:
    everything = lines(browser)
    type_into(browser, "filters", "memory", "1")
    type_into(browser, "filters", "decode", "50")
    type_into(browser, "filters", "basis", "measured")
    kept = lines(browser)
    by_hand = [
        line for line in everything
        if line["basis"] == "measured" and float(line["memory"]) <= 2**30 and float(line["decode"] or 0) >= 50
    ]  # fmt: skip
    assert kept == by_hand
    assert 0 < len(kept) < len(everything)
    type_into(browser, "filters", "text", "smollm")
    assert all("smollm" in line["text"] for line in lines(browser))
    assert browser.execute_script("return document.getElementById('shown').textContent").startswith(
        f"{len(lines(browser))} of"
    )


@pytest.mark.parametrize(("name", "values"), [("licence", 3), ("year", 3), ("data", 3)])
def test_each_choice_of_a_filter_has_lines_of_its_own(browser: Any, name: str, values: int) -> None:
    offered = browser.execute_script(
        "return [...document.getElementById('filters').elements[arguments[0]].options].map(o => o.value)", name
    )
    assert len(offered) > values
    for value in offered[1:]:
        type_into(browser, "filters", name, value)
        assert lines(browser)
        assert all(line[name] == value for line in lines(browser))


def test_a_heading_sorts_both_ways_and_missing_numbers_stay_last(browser: Any) -> None:
    for direction in ("ascending", "descending"):
        browser.execute_script("document.querySelector('th[data-key=decode] button').click()")
        state = browser.execute_script("return document.querySelector('th[data-key=decode]').ariaSort")
        values = [float(line["decode"]) for line in lines(browser) if line["decode"]]
        assert state == direction
        assert values == sorted(values, reverse=direction == "descending")


def test_columns_come_and_go(browser: Any) -> None:
    script = "return document.querySelector('th[data-key=attention]').hidden"
    assert browser.execute_script(script) is True
    browser.execute_script("document.querySelector('#columns input[name=attention]').click()")
    assert browser.execute_script(script) is False


def test_the_chooser_answers_as_python_does(browser: Any, found: list[Candidate]) -> None:
    random_ = random.Random(6)
    queries = [Query(machine=main_machine(found)), *(query(random_, main_machine(found)) for _ in range(300))]
    asked = msgspec.json.encode(queries).decode()
    given = browser.execute_script(
        "return JSON.stringify(JSON.parse(arguments[0]).map(q => recommend(candidates, q)))", asked
    )
    ours = [msgspec.to_builtins(recommend(found, each)) for each in queries]
    for each, theirs, own in zip(queries, json.loads(given), ours, strict=True):
        assert theirs == own, each


def query(random_: random.Random, machine: str) -> Query:
    def maybe(low: float, high: float) -> float | None:
        return None if random_.random() < 0.25 else low * (high / low) ** random_.random()

    return Query(
        machine=machine, memory_bytes=maybe(1e8, 8e9), decode=maybe(1, 400), ttft_s=maybe(0.01, 3),
        subject=random_.choice(list(Subject)), most=random_.choice([3, 10, 200]),
        context=random_.choice([None, 512, 2048, 8192]), prompt=random_.choice([None, 8, 50, 1000]),
    )  # fmt: skip


def test_the_form_asks_what_it_says(browser: Any, found: list[Candidate]) -> None:
    for name, value in (
        ("memory", "4"),
        ("decode", "10"),
        ("ttft", "1"),
        ("subject", "commonsense"),
        ("context", "2048"),
    ):
        type_into(browser, "chooser", name, value)
    named = browser.execute_script("return [...document.querySelectorAll('#answer > li > a')].map(a => a.textContent)")
    asked = Query(
        machine=main_machine(found), memory_bytes=4 * 2**30, decode=10, ttft_s=1, subject=Subject.COMMONSENSE,
        context=2048,
    )  # fmt: skip
    choices = recommend(found, asked).choices
    assert named == [choice.name for choice in choices]
    ways = browser.execute_script("return [...document.querySelectorAll('#answer .way')].map(w => w.textContent)")
    assert ways == ["; ".join(filter(None, (c.file, c.engine, c.conditions))) for c in choices]


def test_two_models_stand_side_by_side(browser: Any) -> None:
    browser.execute_script(
        "document.querySelectorAll('tbody th input').forEach((box, i) => { if (i < 2) box.click(); })"
    )
    browser.execute_script("document.getElementById('compare-open').click()")
    heads = "return document.querySelectorAll('#compare thead th').length"
    assert browser.execute_script(heads) == 2
    assert browser.execute_script("return document.querySelectorAll('#compare svg.anatomy').length") == 2
    parts = "return [...document.querySelectorAll('#compare .legend li')].map(part => part.textContent.trim())"
    assert browser.execute_script(parts) == ["embedding", "attention", "feed-forward", "norms"]


def test_a_filter_that_nothing_meets_says_so(browser: Any) -> None:
    type_into(browser, "filters", "text", "no such model")
    assert lines(browser) == []
    shown = browser.execute_script("return document.getElementById('shown').textContent")
    assert shown.endswith("none meets all of these")


def test_a_name_leads_to_all_that_is_known(browser: Any) -> None:
    browser.execute_script("document.querySelector('#table tbody a').click()")
    open_ = "return [...document.querySelectorAll('.model')].filter(m => getComputedStyle(m).display !== 'none').length"
    assert browser.execute_script(open_) == 1


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_it_without_scrolling_sideways(drawn: Any, dark: bool) -> None:
    appear(drawn, width=360, dark=dark)
    drawn.execute_script("location.hash = document.querySelector('#table tbody a').hash")
    assert drawn.execute_script("return document.documentElement.scrollWidth") <= 360
    ground = drawn.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") is not dark


@pytest.mark.slow  # the checker is fetched from the network
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious(drawn: Any, axe: str, dark: bool) -> None:
    appear(drawn, width=1280, dark=dark)
    drawn.execute_script("location.hash = document.querySelector('#table tbody a').hash")
    drawn.execute_script(axe)
    result = drawn.execute_async_script(
        "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then(r => done(r.violations))"
    )
    serious = [each for each in result if each["impact"] in ("serious", "critical")]
    assert [(each["id"], [node["html"][:120] for node in each["nodes"][:3]]) for each in serious] == []
