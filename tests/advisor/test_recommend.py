"""The chooser: limits against intervals, the order of the answer, and what is said of the rest."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.advisor.recommend import Answer, Basis, Candidate, Cost, Fit, Query, Score, Subject, at_least, recommend


def cost(value: float, low: float | None = None, high: float | None = None) -> Cost:
    return Cost(value=value, low=low, high=high, text=f"{value:g}")


def sure(value: float) -> Cost:
    return cost(value, value * 0.99, value * 1.01)


def candidate(id_: str, **given: Any) -> Candidate:
    usual: dict[str, Any] = {
        "basis": Basis.MEASURED,
        "params": 1,
        "machine": "m",
        "memory": sure(1),
        "decode": sure(20),
    }
    return Candidate(**({"id": id_, "name": id_, "model": id_} | usual | given))


def scored(value: float, scale: str = "a") -> dict[str, Score]:
    return {"any": Score(value=value, scale=scale, text=f"{value:.0%}")}


def names(answer: Answer) -> list[str]:
    return [choice.name for choice in answer.choices]


def test_what_breaks_a_limit_is_not_named_and_counted() -> None:
    found = [candidate("small"), candidate("large", memory=sure(9)), candidate("slow", decode=sure(2))]
    answer = recommend(found, Query(machine="m", memory_bytes=4, decode=10))
    assert names(answer) == ["small"]
    assert answer.refused == {"decode": 1, "memory": 1}
    assert answer.suited == 1


def test_an_interval_across_a_limit_is_unsure_and_stands_after_what_is_certain() -> None:
    found = [candidate("maybe", memory=cost(3, 2, 5), scores=scored(0.9)), candidate("sure", scores=scored(0.1))]
    answer = recommend(found, Query(machine="m", memory_bytes=4))
    assert [(choice.name, choice.fit) for choice in answer.choices] == [("sure", Fit.YES), ("maybe", Fit.UNSURE)]


def test_a_number_without_interval_keeps_no_limit_for_certain() -> None:
    assert at_least(cost(20), 10) is Fit.UNSURE
    assert at_least(cost(5), 10) is Fit.NO
    answer = recommend([candidate("unknown", ttft=None)], Query(machine="m", ttft_s=1))
    assert answer.choices[0].reasons[0].text == "not known"


def test_measured_before_predicted_then_the_score_then_the_size() -> None:
    found = [
        candidate("predicted", basis=Basis.PREDICTED, scores=scored(0.9)),
        candidate("unscored", params=9), candidate("unscored small", params=3),
        candidate("good", scores=scored(0.6)), candidate("bad", scores=scored(0.4)),
    ]  # fmt: skip
    answer = recommend(found, Query(machine="m"))
    assert names(answer) == ["good", "bad", "unscored", "unscored small", "predicted"]


def test_scores_of_two_scales_are_not_mixed() -> None:
    found = [
        candidate("x", scores=scored(0.3)),
        candidate("y", scores=scored(0.2)),
        candidate("z", scores=scored(0.9, "b")),
    ]
    answer = recommend(found, Query(machine="m"))
    assert answer.scale == "a"
    assert names(answer) == ["x", "y", "z"]
    assert answer.choices[2].reasons[-1].fit is Fit.UNSURE


def test_a_model_is_named_once_by_its_best_file() -> None:
    found = [candidate("q8", model="one", decode=sure(5)), candidate("q4", model="one"), candidate("two", params=0)]
    answer = recommend(found, Query(machine="m", decode=10))
    assert names(answer) == ["q4", "two"]
    assert answer.refused == {}, "the model suits, though one of its files does not"


def at(context: int, **given: Any) -> Candidate:
    """A measurement of one file at a context, with a prompt of 50 tokens unless another is given."""
    usual: dict[str, Any] = {"model": "one", "name": "one", "file": "f", "context": context, "prompt": 50, "runs": 3}
    made = usual | given
    return candidate("", **made | {"id": f"{made['name']} {made['file']} {context} {made.get('engine', '')}"})


def fits(one: Candidate, **asked: Any) -> dict[str, Fit]:
    (choice,) = recommend([one], Query(machine="m", **asked)).choices
    return {reason.what: reason.fit for reason in choice.reasons[:-1]}


def test_of_several_measurements_of_a_file_the_nearest_counts_not_the_best() -> None:
    short, long = at(512, decode=sure(90)), at(8192, decode=sure(20))
    others = [at(512, model=f"other {i}", name=f"other {i}") for i in range(3)]
    found = [short, long, *others]

    def way(**asked: Any) -> list[str]:
        return [choice.id for choice in recommend(found, Query(machine="m", **asked)).choices if choice.name == "one"]

    assert way() == [short.id], "as most models were measured"
    assert way(context=4096) == [long.id], "one with enough context before one without"
    assert way(context=512) == [short.id]
    assert way(context=8192, decode=50) == [], "the fast measurement is of another context"


def test_files_and_engines_of_a_model_are_alternatives() -> None:
    found = [
        at(512, file="q8", decode=sure(5)),
        at(512, file="q4", decode=sure(50)),
        at(512, engine="e", decode=sure(70)),
    ]
    answer = recommend(found, Query(machine="m", decode=60))
    assert [(choice.file, choice.engine) for choice in answer.choices] == [("f", "e")]


def test_what_was_measured_at_less_than_is_asked_is_in_doubt() -> None:
    one = at(512, prompt=50, memory=sure(1), ttft=sure(1))
    assert fits(one, memory_bytes=2, context=512) == {"context": Fit.UNSURE, "memory": Fit.YES}
    assert fits(one, memory_bytes=2, context=4096)["memory"] is Fit.UNSURE
    assert fits(one, ttft_s=2, prompt=500)["ttft"] is Fit.UNSURE
    assert fits(one, ttft_s=0.5, prompt=10)["ttft"] is Fit.UNSURE, "a shorter prompt begins sooner"
    assert recommend([one], Query(machine="m", ttft_s=0.5, prompt=500)).refused == {"ttft": 1}


def test_a_model_made_for_less_context_is_refused() -> None:
    tokens = Cost(value=2048, low=2048, high=2048, text="2,048 tokens")
    answer = recommend([at(8192, made_for=tokens)], Query(machine="m", context=4096))
    assert (answer.choices, answer.refused) == ([], {"context": 1})


def test_another_machine_does_not_count() -> None:
    assert recommend([candidate("other", machine="n")], Query(machine="m")).choices == []


COSTS = st.none() | st.builds(lambda value, by: cost(value, value / by, value * by), st.floats(1, 9), st.floats(1, 3))
SCORES: st.SearchStrategy[dict[str, Score]] = st.just({}) | st.builds(scored, st.floats(0, 1), st.sampled_from("ab"))
CANDIDATES = st.lists(
    st.builds(
        lambda number, model, **given: candidate(f"{number:03}", model=model, name=model, **given),
        st.integers(0, 999), st.sampled_from("abcdefgh"), params=st.integers(0, 5), memory=COSTS, decode=COSTS,
        basis=st.sampled_from(Basis), context=st.sampled_from([0, 512, 2048]), file=st.sampled_from("xy"),
        scores=SCORES,
    ),
    unique_by=lambda found: found.id, max_size=12,
)  # fmt: skip


@given(CANDIDATES, st.none() | st.floats(1, 9), st.none() | st.floats(1, 9), st.randoms())
def test_the_answer_does_not_depend_on_the_order_of_candidates(
    found: list[Candidate], memory: float | None, decode: float | None, random: Any
) -> None:
    query = Query(machine="m", memory_bytes=memory, decode=decode)
    answer = recommend(found, query)
    shuffled = random.sample(found, len(found))
    assert recommend(shuffled, query) == answer
    assert all(choice.fit is not Fit.NO for choice in answer.choices)
    tiers = [(choice.fit is Fit.UNSURE, choice.basis is Basis.PREDICTED) for choice in answer.choices]
    assert tiers == sorted(tiers)


@given(CANDIDATES, st.floats(1, 9))
def test_a_looser_limit_never_loses_a_model(found: list[Candidate], limit: float) -> None:
    strict = recommend(found, Query(machine="m", memory_bytes=limit, most=99))
    loose = recommend(found, Query(machine="m", memory_bytes=limit + 1, most=99))
    assert set(names(strict)) <= set(names(loose))


def test_every_subject_can_be_asked() -> None:
    for subject in Subject:
        assert recommend([candidate("a")], Query(machine="m", subject=subject)).scale == ""
