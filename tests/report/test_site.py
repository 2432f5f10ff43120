"""The page: self-contained, escaped, complete, and the same for the same measurements."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from slm_atlas.errors import UserError
from slm_atlas.insights.analyses import INSIGHTS
from slm_atlas.insights.claims import CLAIMS
from slm_atlas.insights.frame import Dataset
from slm_atlas.report.claims import HEADINGS
from slm_atlas.report.registry import SURVEY
from slm_atlas.report.site import write_report

from . import measured
from .measured import MODELS, REAL, Model, study

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&{{ 7*7 }}"


class Page(HTMLParser):
    """The tags and attributes of a page, its text, and its styles."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.source = path.read_text()
        self._inside: list[str] = []
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None:
            self.text += data

    def links(self) -> Iterator[str]:
        """Every address the page could follow or load."""
        for _, name, value in self.attributes:
            if name in {"src", "href", "srcset", "action", "data", "poster"}:
                yield value


def many(count: int) -> tuple[Model, ...]:
    """So many models, which `study` measures five times each."""
    return tuple(Model(f"Model {i}", 100_000_000 + 20_000_000 * i) for i in range(count))


SHOWN = (REAL, MODELS[1]._replace(name=HOSTILE), *MODELS[2:], *many(20))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(study(SHOWN), tmp_path_factory.mktemp("report"), title="A <study>").parent


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page(folder / "index.html")


def test_nothing_is_loaded_from_anywhere(page: Page) -> None:
    assert all(link.startswith(("data:", "#")) for link in page.links())
    assert not {"link", "iframe", "object", "embed", "base"} & set(page.tags)
    styles = re.findall(r"<style>(.*?)</style>", page.source, re.DOTALL)
    assert styles
    assert not any("url(" in style or "@import" in style for style in styles)
    assert "default-src 'none'" in page.source


def test_the_data_inside_the_page_is_the_file_beside_it(folder: Path, page: Page) -> None:
    found = unpacked(page)
    assert list(found)[:3] == ["latency", "memory", "accuracy"]
    assert set(found) >= {each.id for each in SURVEY}
    for name, content in found.items():
        assert content["csv"] == (folder / "figures" / f"{name}.csv").read_text()
        pictures = [picture for when, picture in content.items() if when != "csv"]
        assert pictures
        assert all(ElementTree.fromstring(picture).get("role") == "img" for picture in pictures)


def unpacked(page: Page) -> dict[str, dict[str, str]]:
    """What is packed in the page, by figure."""
    packed = re.findall(r'<figure id="([^"]+)".*?<script type="text/plain">([^<]*)</script>', page.source, re.DOTALL)
    return {name: json.loads(gzip.decompress(base64.b64decode(text))) for name, text in packed}


def test_each_figure_is_a_picture_too(folder: Path) -> None:
    for name in ("latency", "memory", "accuracy"):
        assert (folder / "figures" / f"{name}.svg").read_text().startswith("<svg")


def test_a_hostile_name_is_text(page: Page) -> None:
    assert HOSTILE in page.text
    assert "A <study>" in page.text
    assert not any(name.startswith("on") for _, name, _ in page.attributes)
    assert [value for tag, name, value in page.attributes if (tag, name) == ("img", "src") and value == "x"] == []
    plain = sum((name, value) == ("type", "text/plain") for _, name, value in page.attributes)
    assert page.tags.count("script") == 5 + plain, (
        "the candidates, their scores, the chooser, the page's own, that of the figures"
    )
    assert plain == len(unpacked(page))


def test_failures_verdicts_and_provenance_are_shown(page: Page) -> None:
    for shown in ("killed by signal 9", "out of memory", "undecided", "arXiv 2409.15790", f"{0:064x}", "Some CPU"):
        assert shown in page.text
    assert "random weights" in page.text
    assert "not comparable with published scores" in page.text


def test_every_link_inside_the_page_leads_somewhere_and_no_address_is_given_twice(page: Page) -> None:
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in page.links() if link.startswith("#")} <= set(ids)


def test_each_claim_has_its_rule_and_a_verdict_of_each_data_set(page: Page) -> None:
    for claim in CLAIMS:
        assert claim.rule in page.text
        assert ("id", f"claim-{claim.id}") in {(name, value) for _, name, value in page.attributes}
    for where in HEADINGS.values():
        assert page.text.count(f"{where} ") >= len(CLAIMS)
    assert "The survey's wording does not follow from its figures." in page.text
    assert "running mean which counts the first token as 0 ms" in page.text


def test_each_insight_has_a_figure_and_its_numbers(page: Page) -> None:
    for insight in INSIGHTS:
        assert insight.question in page.text
        assert any(value.startswith(f"insight-{insight.id}") for tag, name, value in page.attributes
                   if (tag, name) == ("figure", "id"))  # fmt: skip


def test_the_chooser_s_data_cannot_end_its_script(folder: Path) -> None:
    inside = (folder / "index.html").read_text().split('id="candidates">')[1].split("</script>")[0]
    assert HOSTILE in [found["name"].removesuffix(" Q4_K_M") for found in json.loads(inside)]
    assert "<" not in inside


def test_every_run_is_named_with_the_model_it_measured(page: Page) -> None:
    keys = [run.key[:12] for run in study((REAL,)).runs]
    assert all(key in page.text for key in keys)


def test_the_catalogue_and_many_runs_stay_small(folder: Path) -> None:
    assert (folder / "index.html").stat().st_size < 1_400_000


@pytest.mark.slow
def test_the_catalogue_and_a_thousand_runs_stay_small(tmp_path: Path) -> None:
    assert write_report(study(many(200)), tmp_path).stat().st_size < 3_000_000


def test_the_same_measurements_give_the_same_page(page: Page, tmp_path: Path) -> None:
    assert write_report(study(SHOWN), tmp_path, title="A <study>").read_text() == page.source


def test_an_empty_store_gives_a_page_that_says_so(tmp_path: Path) -> None:
    page = Page(write_report(Dataset({}, {}, [], {}), tmp_path / "new" / "folder"))
    assert "Nothing has been measured yet" in page.text
    assert "In these measurements no data" in page.text
    assert "Needs slm study run paper-runtime" in page.text
    drawn = {path.stem for path in (tmp_path / "new" / "folder" / "figures").glob("*.csv")}
    assert {name for name in drawn if not name.startswith("insight-")} == {each.id for each in SURVEY}


def test_a_report_replaces_the_last_and_leaves_other_files_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "index.html").write_text("old")
    write_report(Dataset({}, {}, [], {}), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figures", "index.html", "notes.txt"]
    assert "SLM Atlas" in (tmp_path / "index.html").read_text()


def test_a_folder_that_cannot_be_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_report(Dataset({}, {}, [], {}), tmp_path / "file" / "report")


def test_profiles_have_a_table_and_figures_of_their_own(tmp_path: Path) -> None:
    page = write_report(measured.profiled(), tmp_path).read_text()
    assert "Where their time goes" in page
    assert "2 (2 forged, with random weights)" in page
    assert (tmp_path / "figures" / "fig10b.csv").read_text().startswith("model,")
    assert "the survey" in (tmp_path / "figures" / "fig10a.csv").read_text()
