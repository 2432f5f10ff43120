"""Verdicts: how often a family of claims errs, and what a claim of several parts needs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from slm_atlas import stats
from slm_atlas.insights.claims import CLAIMS, Claim, Data, Finding, Part, Result, Verdict, judged, no_data, too_few
from slm_atlas.insights.claims.judging import p_values

TRIALS = [100, pytest.param(1000, marks=pytest.mark.slow)]
CLAIM = msgspec.structs.replace(CLAIMS[0], doubt=None)


def part(values: Sequence[float]) -> Part:
    return Part(what="mean", asked="above 0", tested=stats.mean_above(list(values)))


def result(*parts: Part) -> Result:
    return Result(parts=parts, summary="It is so.", n=10)


def verdicts(results: Sequence[Result], data: Data = Data.MINE) -> list[Finding]:
    return judged([CLAIM] * len(results), results, data)


def shared(rng: np.random.Generator, claims: int, effect: float, models: int = 15) -> list[Result]:
    """Claims tested on the same models, so that their errors go together."""
    common = rng.normal(0, 1, models)
    return [result(part((effect + 0.7 * common + 0.7 * rng.normal(0, 1, models)).tolist())) for _ in range(claims)]


@pytest.mark.parametrize("trials", TRIALS)
def test_a_family_under_the_null_errs_at_most_once_in_twenty(trials: int) -> None:
    rng = np.random.default_rng(5)
    wrong = sum(
        any(found.verdict is not Verdict.UNDECIDED for found in verdicts(shared(rng, 20, 0.0))) for _ in range(trials)
    )
    # At the border both verdicts are counted as errors, so that the bound is twice 5%.
    assert wrong / trials <= 0.1 + 3 * (0.1 * 0.9 / trials) ** 0.5


@pytest.mark.parametrize("trials", TRIALS)
def test_off_the_border_the_wrong_verdict_is_as_rare_as_said(trials: int) -> None:
    rng = np.random.default_rng(6)
    wrong = sum(any(f.verdict is Verdict.HOLDS for f in verdicts(shared(rng, 20, -0.02))) for _ in range(trials))
    assert wrong / trials <= 0.05 + 3 * (0.05 * 0.95 / trials) ** 0.5


def test_a_clear_effect_is_found_in_a_family_of_twenty() -> None:
    rng = np.random.default_rng(7)
    found = [f.verdict for _ in range(20) for f in verdicts(shared(rng, 20, 2.0))]
    assert np.mean([verdict is Verdict.HOLDS for verdict in found]) > 0.95
    found = [f.verdict for _ in range(20) for f in verdicts(shared(rng, 20, -2.0))]
    assert np.mean([verdict is Verdict.FAILS for verdict in found]) > 0.95


def test_more_claims_need_more_evidence() -> None:
    weak = result(part([0.5, 1.6, -0.2, 1.1, 0.9, 0.3, 1.9, -0.4]))
    unclear = result(part([-1.0, 1.0, 0.2, -0.2]))
    (alone,) = verdicts([weak])
    assert alone.verdict is Verdict.HOLDS
    in_company = verdicts([weak, *[unclear] * 19])[0]
    assert in_company.verdict is Verdict.UNDECIDED
    assert "alone it would be supported" in in_company.reason
    assert in_company.p_for == pytest.approx(20 * (alone.p_for or 0))


def test_claims_without_a_test_do_not_make_the_others_harder() -> None:
    weak = result(part([0.5, 1.6, -0.2, 1.1, 0.9, 0.3, 1.9, -0.4]))
    others = [no_data("Nothing.", "slm bench"), too_few("Two of three.", 2)]
    found = verdicts([weak, *others])
    assert [each.verdict for each in found] == [Verdict.HOLDS, Verdict.NO_DATA, Verdict.UNDECIDED]
    assert (found[0].family, found[1].lacking, found[2].reason) == (1, "slm bench", "Two of three.")


def test_a_claim_holds_if_all_its_parts_do_and_fails_if_one_does() -> None:
    yes, no, unclear = part([1, 1.1, 0.9, 1.05]), part([-1, -1.1, -0.9, -1.05]), part([-1, 1, 0.2, -0.2])
    found = verdicts([result(yes, yes), result(yes, unclear), result(yes, no)])
    assert [each.verdict for each in found] == [Verdict.HOLDS, Verdict.UNDECIDED, Verdict.FAILS]
    assert found[2].effect == no.tested.effect
    assert p_values([yes, no])[1] == 2 * no.tested.p_against


def test_the_survey_s_wording_is_held_against_its_own_figures_alone() -> None:
    failing = result(part([-1, -1.1, -0.9, -1.05]))
    (paper,), (mine,) = verdicts([failing], Data.PAPER), verdicts([failing], Data.MINE)
    assert (paper.wording or "").startswith("Its own figures contradict it: mean is -1.01")
    assert mine.wording is None


def test_what_alone_would_be_supported_follows_from_the_figures() -> None:
    weak = result(part([0.5, 1.6, -0.2, 1.1, 0.9, 0.3, 1.9, -0.4]))
    unclear = result(part([-1.0, 1.0, 0.2, -0.2]))
    found = verdicts([weak, *[unclear] * 19], Data.PAPER)
    assert [each.verdict for each in found[:2]] == [Verdict.UNDECIDED] * 2
    assert found[0].wording is None
    assert "leave it open" in (found[1].wording or "")


def test_what_contradicts_the_wording_is_said_even_without_a_test() -> None:
    silent = msgspec.structs.replace(too_few("Two models.", 2), contradiction="One of them is the other way.")
    (found,) = judged([CLAIM], [silent], Data.PAPER)
    assert (found.verdict, found.wording) == (Verdict.UNDECIDED, "One of them is the other way.")


def test_a_claim_without_a_test_of_a_data_set_says_what_it_needs() -> None:
    from slm_atlas.insights.claims import Evidence, findings

    claim = Claim(id="U", sentence="s", source="s", rule="r", tests={}, needs={Data.MINE: "slm bench"})
    (found,) = findings([claim], Evidence(), Data.MINE)
    assert (found.verdict, found.lacking, found.parts) == (Verdict.NO_DATA, "slm bench", ())
