"""Claims of one's own: files and packages that bring them, and what is said of bad ones."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from slm_atlas.errors import UserError
from slm_atlas.insights.claims import GROUP, Data, Evidence, Verdict, all_claims, findings, load, registry
from slm_atlas.insights.claims.registry import CLAIMS

GOOD = """
from slm_atlas import stats
from slm_atlas.insights.claims import Claim, Data, Part, Result

def test(evidence):
    tested = stats.mean_above([1.0, 1.1, 0.9])
    return Result(parts=(Part(what="mean", asked="above 0", tested=tested),), summary="It is one.", n=3)

CLAIMS = [Claim(id="U1", sentence="One is above zero.", source="here", rule="As said.", tests={Data.MINE: test})]
"""


def file(folder: Path, text: str) -> Path:
    path = folder / "my_claims.py"
    path.write_text(text)
    return path


def test_a_file_of_claims_is_tested_with_the_survey_s(tmp_path: Path) -> None:
    claims = all_claims([file(tmp_path, GOOD)])
    assert [claim.id for claim in claims] == [*(claim.id for claim in CLAIMS), "U1"]
    assert findings(claims, Evidence(), Data.MINE)[-1].verdict is Verdict.HOLDS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("CLAIMS = [", r"my_claims\.py:1: SyntaxError"),
        ("x = 1\nimport nothing_of_this_name", r"my_claims\.py:2: ModuleNotFoundError"),
        ("x = 1", "it needs CLAIMS"),
        ("CLAIMS = 3", "it needs CLAIMS"),
        ("CLAIMS = [3]", "CLAIMS holds a int"),
        (GOOD.replace('"U1"', '"1 U"'), "an id is a letter"),
        (GOOD.replace("{Data.MINE: test}", "{}"), "tests is a function"),
        (GOOD.replace("{Data.MINE: test}", "{'yours': test}"), "tests is a function"),
        (GOOD.replace('"U1"', '"a1"'), "More than one claim is called a1"),
    ],
)
def test_a_bad_file_is_a_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        all_claims([file(tmp_path, text)])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("stats.mean_above([1.0, 1.1, 0.9])", "1 / 0"), "claim U1: ZeroDivisionError"),
        (GOOD.replace("    return Result(", "    return str("), "claim U1: TypeError"),
        (GOOD.replace("    return Result(", "    return dict("), "not a Result"),
    ],
)
def test_a_claim_that_breaks_is_a_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        findings(load(file(tmp_path, text)), Evidence(), Data.MINE)


def test_a_file_that_is_not_there_or_no_python_is_a_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        load(tmp_path / "none.py")
    (tmp_path / "claims.txt").write_text("CLAIMS = []")
    with pytest.raises(UserError, match="written in Python"):
        load(tmp_path / "claims.txt")


def test_packages_bring_claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file(tmp_path, GOOD)
    monkeypatch.syspath_prepend(str(tmp_path))
    points = EntryPoints([EntryPoint("mine", "my_claims:CLAIMS", GROUP)])
    monkeypatch.setattr(registry, "entry_points", lambda group: points.select(group=group))
    assert all_claims()[-1].id == "U1"
    points = EntryPoints([EntryPoint("mine", "my_claims:NONE", GROUP)])
    with pytest.raises(UserError, match="entry point mine = my_claims:NONE: AttributeError"):
        all_claims()
