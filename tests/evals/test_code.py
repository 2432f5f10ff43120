"""Coding tasks: off unless allowed, pass@k by enumeration, and the benchmarks' own solutions in our sandbox."""

from __future__ import annotations

import itertools
import json
import os
import statistics
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.errors import UserError
from slm_atlas.evals import code
from slm_atlas.evals.code import allow_code, chance_of_k, judge, pass_at_k, require_allowed
from slm_atlas.evals.sandbox import LAYERS, Layers, Outcome, layers

isolated = pytest.mark.skipif(bool(layers().missing), reason=f"no isolation here: {layers().describe()}")

ROWS = Path(os.environ.get("SLM_TEST_EVALDATA", Path(__file__).parents[3] / "shared" / "evaldata"))
"""Real rows in lm-eval's schemas; they are not part of the repository."""


@given(data=st.data(), n=st.integers(1, 8))
def test_the_estimate_is_the_mean_over_all_choices(data: st.DataObject, n: int) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    passed = [True] * c + [False] * (n - c)
    enumerated = statistics.fmean(any(choice) for choice in itertools.combinations(passed, k))
    assert chance_of_k(n, c, k) == pytest.approx(enumerated, abs=1e-12)


@given(n=st.integers(1, 3000), data=st.data())
def test_the_estimate_is_a_chance_and_grows_with_k(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    assert chance_of_k(n, c, 1) == pytest.approx(c / n)
    assert 0 <= chance_of_k(n, c, max(1, k - 1)) <= chance_of_k(n, c, k) <= 1


@pytest.mark.parametrize(("n", "c", "k"), [(0, 0, 1), (3, 4, 1), (3, -1, 1), (3, 1, 4), (3, 1, 0)])
def test_what_cannot_be_is_refused(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="programs"):
        chance_of_k(n, c, k)


def test_no_program_runs_unless_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "run", lambda *_, **__: pytest.fail("it ran"))
    for action in (require_allowed, lambda: judge(["x = 1"]), lambda: pass_at_k(["y"], [["x"]], [1])):
        with pytest.raises(UserError, match="--allow-code"):
            action()
    with allow_code():
        pass
    with pytest.raises(UserError, match="--allow-code"):
        require_allowed()


def test_allowed_but_without_isolation_says_why_and_what_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "layers", lambda: Layers(in_force=(), lacking=dict.fromkeys(LAYERS, "needs Linux")))
    with allow_code(), pytest.raises(UserError, match=r"files.*: needs Linux.*apparmor"):
        require_allowed()
    with allow_code(isolated=False):
        assert require_allowed() is False


@isolated
def test_pass_at_k_counts_programs_that_pass() -> None:
    tests = ["assert f(1) == 2", "assert f(1) == 2\nassert f(2) == 3"]
    right, wrong, broken = "def f(x): return x + 1", "def f(x): return 0", "def f(x:"
    with allow_code():
        scores = pass_at_k(tests, [[right, wrong, wrong], [wrong, wrong, broken]], [1, 2, 4])
        assert scores == {"pass@1": pytest.approx(1 / 6), "pass@2": pytest.approx(1 / 3)}
        assert pass_at_k(tests[:1], [[right, wrong, wrong, wrong]], [4]) == {"pass@4": 1.0}
        assert [one.outcome for one in judge([right, "assert 0"])] == [Outcome.PASSED, Outcome.FAILED]


@pytest.mark.parametrize(("references", "predictions"), [([], []), (["x"], [[]]), (["x"], [["a"], ["b"]])])
def test_lists_that_do_not_fit_are_refused(references: list[str], predictions: list[list[str]]) -> None:
    with pytest.raises(ValueError, match=r"pass@k|argument"):
        pass_at_k(references, predictions, [1])


# ---- real rows ------------------------------------------------------------------------------------------------------


def rows(task: str) -> list[dict[str, Any]]:
    path = ROWS / task / "test.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is not on this disk")
    return [json.loads(line) for line in path.read_text().splitlines()]


def humaneval(row: dict[str, Any], answer: str) -> str:
    return f"{row['prompt']}{answer}\n{row['test']}\ncheck({row['entry_point']})"


def mbpp(row: dict[str, Any], answer: str) -> str:
    return "\n".join([row["test_setup_code"], answer, *row["test_list"]])


@isolated
@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "program", "solution"), [("humaneval", humaneval, "canonical_solution"), ("mbpp", mbpp, "code")]
)
def test_each_own_solution_passes_and_none_fails(task: str, program: Any, solution: str) -> None:
    items = rows(task)
    with allow_code():
        own = judge([program(row, row[solution]) for row in items])
        empty = judge([program(row, "") for row in items])
    wrong = [(row["task_id"], verdict) for row, verdict in zip(items, own, strict=True) if verdict.outcome != "passed"]
    assert not wrong
    assert not [verdict for verdict in empty if verdict.outcome is Outcome.PASSED]
