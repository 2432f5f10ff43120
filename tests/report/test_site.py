"""The page: self-contained, escaped, complete, and the same for the same measurements."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from slm_atlas.errors import UserError
from slm_atlas.insights.frame import Dataset
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = (REAL, MODELS[1]._replace(name=HOSTILE), *MODELS[2:])
    return write_report(study(models), tmp_path_factory.mktemp("report"), title="A <study>").parent


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
    inside = [value for tag, name, value in page.attributes if (tag, name) == ("a", "href")]
    decoded = [base64.b64decode(link.partition("base64,")[2]) for link in inside if link.startswith("data:")]
    assert decoded == [(folder / "figures" / f"{name}.csv").read_bytes() for name in ("latency", "memory", "accuracy")]


def test_each_figure_is_a_picture_too(folder: Path) -> None:
    for name in ("latency", "memory", "accuracy"):
        assert (folder / "figures" / f"{name}.svg").read_text().startswith("<svg")
        assert (folder / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_a_hostile_name_is_text(page: Page) -> None:
    assert HOSTILE in page.text
    assert "A <study>" in page.text
    assert not any(name.startswith("on") for _, name, _ in page.attributes)
    assert [value for tag, name, value in page.attributes if (tag, name) == ("img", "src") and value == "x"] == []
    assert page.tags.count("script") == 3, "the candidates, the chooser, the page's own"


def test_failures_verdicts_and_provenance_are_shown(page: Page) -> None:
    for shown in ("killed by signal 9", "out of memory", "undecided", "arXiv 2409.15790", f"{0:064x}", "Some CPU"):
        assert shown in page.text
    assert "random weights" in page.text
    assert "not comparable with published scores" in page.text


def test_every_link_inside_the_page_leads_somewhere_and_no_address_is_given_twice(page: Page) -> None:
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in page.links() if link.startswith("#")} <= set(ids)


def test_the_chooser_s_data_cannot_end_its_script(folder: Path) -> None:
    inside = (folder / "index.html").read_text().split('id="candidates">')[1].split("</script>")[0]
    assert HOSTILE in [found["name"].removesuffix(" Q4_K_M") for found in json.loads(inside)]
    assert "<" not in inside


def test_every_run_is_named_with_the_model_it_measured(page: Page) -> None:
    keys = [run.key[:12] for run in study((REAL,)).runs]
    assert all(key in page.text for key in keys)


@pytest.mark.parametrize(("models", "limit"), [(20, 1_400_000), pytest.param(200, 3_000_000, marks=pytest.mark.slow)])
def test_the_catalogue_and_many_runs_stay_small(models: int, limit: int, tmp_path: Path) -> None:
    """Five runs a model."""
    measured_ones = tuple(Model(f"Model {i}", 100_000_000 + 20_000_000 * i) for i in range(models))
    assert write_report(study(measured_ones), tmp_path).stat().st_size < limit


def test_the_same_measurements_give_the_same_page(folder: Path, page: Page, tmp_path: Path) -> None:
    models = (REAL, MODELS[1]._replace(name=HOSTILE), *MODELS[2:])
    again = write_report(study(models), tmp_path, title="A <study>")
    assert again.read_text() == page.source


def test_an_empty_store_gives_a_page_that_says_so(tmp_path: Path) -> None:
    page = Page(write_report(Dataset({}, {}, [], {}), tmp_path / "new" / "folder"))
    assert "Nothing has been measured yet" in page.text
    assert "claims that these measurements do not speak to" in page.text
    assert not (tmp_path / "new" / "folder" / "figures").exists()


def test_a_report_replaces_the_last_and_leaves_other_files_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "index.html").write_text("old")
    write_report(Dataset({}, {}, [], {}), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html", "notes.txt"]
    assert "SLM Atlas" in (tmp_path / "index.html").read_text()


def test_a_folder_that_cannot_be_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_report(Dataset({}, {}, [], {}), tmp_path / "file" / "report")


def test_profiles_have_a_table_and_figures_of_their_own(tmp_path: Path) -> None:
    page = write_report(measured.profiled(), tmp_path).read_text()
    assert "Where their time goes" in page
    assert "Qwen2-0.5B: decode" in page
    assert "2 (2 forged, with random weights)" in page
    assert (tmp_path / "figures" / "profile-kinds.svg").read_text().startswith("<svg")
    assert "paper" in (tmp_path / "figures" / "profile-parts.csv").read_text()
