"""The survey's Figure 8 beside ours: formats by length, ours with intervals, and what orders them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from slm_atlas.anatomy import Quantization
from slm_atlas.catalog import paper
from slm_atlas.insights.frame import Row
from slm_atlas.report.figures import HERE, JETSON, Side
from slm_atlas.report.paper_quantization import quantization_figure
from slm_atlas.stats import Estimate

MS = {"F16": 60.0, "Q8_0": 40.0, "Q6_K": 42.0, "Q5_K_M": 35.0, "Q4_K_M": 31.0, "Q4_0": 20.0, "Q3_K_M": 34.0}
"""Of a token, by format: ordered as in the survey, Q4_0 aside, which it has not."""


def row(label: str, tokens: int, ms: float, **changes: Any) -> Row:
    def measured(value: float) -> Estimate:
        return Estimate(value=value, low=0.9 * value, high=1.1 * value, n=3, method="order statistics")

    metrics = {"prefill_s": measured(tokens * ms / 1e4), "decode_s": measured(ms / 1e3)}
    told: dict[str, Any] = {
        "artifact": label, "name": "Model", "architecture": "llama", "params": 1000, "quantization": label,
        "forged": True, "host": "h", "engine": "e", "settings": {"n_prompt": tokens, "n_gen": 8}, "n_runs": 3,
        "metrics": metrics, "scores": {}, "failures": (),
    }  # fmt: skip
    return Row(**(told | changes))


def sweep(ms: Mapping[str, float] = MS, lengths: Sequence[int] = (8, 50), **changes: Any) -> list[Row]:
    return [row(label, tokens, value, **changes) for label, value in ms.items() for tokens in lengths]


def test_both_have_a_latency_for_each_format_and_length() -> None:
    figure = quantization_figure(sweep())
    assert figure is not None
    ours = {(each["phase"], each["format"], each["tokens"]): each for each in figure.rows if each["source"] == HERE}
    assert len(ours) == 2 * len(MS) * 2
    prefill = ours["prefill", "Q8_0", 50]
    assert [prefill[key] for key in ("ms", "low", "high", "n")] == [
        pytest.approx(200.0), pytest.approx(180.0), pytest.approx(220.0), 3,
    ]  # fmt: skip
    theirs = {(each["phase"], each["format"], each["tokens"]): each for each in figure.rows if each["source"] == JETSON}
    fig = paper.fig8()
    assert theirs["prefill", "Q3_K_M", 8]["ms"] == fig.prefill["Q3_K"][0][1]
    assert theirs["decode", "F16", 50]["ms"] == fig.decode["FP16"][-1][1]
    assert len(theirs) == 2 * 6 * 43


def test_the_caption_says_what_is_fastest_and_whether_the_order_is_the_same() -> None:
    figure = quantization_figure(sweep())
    assert figure is not None
    assert "Model (random weights) in 7 formats" in figure.caption
    assert "Decode: the fastest is Q4_0 (33% of F16's time) here and Q4_K_M (46% of F16's time) there" in figure.caption
    assert figure.caption.count("of the 6 formats in both is 1.00 (1: one order)") == 2
    other = quantization_figure(sweep({**MS, "Q3_K_M": 99.0}))
    assert other is not None
    assert "is 1.00" not in other.caption


def test_few_formats_in_common_have_no_order() -> None:
    figure = quantization_figure(sweep({"Q4_1": 2.0, "Q8_0": 3.0}))
    assert figure is not None
    assert "Prefill: the fastest is Q4_1 here and Q4_K_M" in figure.caption
    assert "Spearman" not in figure.caption


def test_a_file_and_what_was_made_from_it_are_one_sweep() -> None:
    made: dict[str, Any] = {"name": "Model (from Q4_1)", "requantized_from": "Q4_1", "forged": False}
    rows = [*sweep({"Q4_1": 3.0}, forged=False), *sweep({"Q8_0": 4.0, "F16": 7.0}, **made)]
    figure = quantization_figure(rows)
    assert figure is not None
    assert {each["format"] for each in figure.rows if each["source"] == HERE} == {"Q4_1", "Q8_0", "F16"}
    assert "Model (requantized from Q4_1) in 3 formats" in figure.caption


@pytest.mark.parametrize(
    "rows",
    [
        [],
        sweep({"Q4_0": 1.0}),
        sweep(lengths=[50]),
        [*sweep({"Q4_0": 1.0}, lengths=[8]), *sweep({"Q8_0": 1.0}, lengths=[50], name="Another")],
        [*sweep({"Q4_0": 1.0}), *sweep({"Q8_0": 1.0}, host="another")],
    ],
)
def test_without_a_sweep_there_is_no_figure(rows: list[Row]) -> None:
    assert quantization_figure(rows) is None


def test_of_several_models_the_one_measured_most_is_drawn() -> None:
    figure = quantization_figure([*sweep({"Q4_0": 1.0, "Q8_0": 2.0}, name="Small"), *sweep(name="Large", params=2)])
    assert figure is not None
    assert figure.caption.startswith("Large (")


def test_each_side_alone() -> None:
    mine, theirs = quantization_figure(sweep(), Side.MINE), quantization_figure([], Side.PAPER)
    assert mine is not None
    assert theirs is not None
    assert {each["source"] for each in mine.rows} == {HERE}
    assert {each["source"] for each in theirs.rows} == {JETSON}
    assert "Spearman" not in mine.caption + theirs.caption
    assert "there" not in mine.caption


def test_every_format_has_a_colour_and_form_of_its_own() -> None:
    figure = quantization_figure(sweep({label: 1.0 + place for place, label in enumerate(Quantization)}))
    assert figure is not None
    scales = {channel: _scale(figure.spec, channel) for channel in ("color", "shape")}
    assert scales["color"]["domain"] == scales["shape"]["domain"] == list(Quantization)
    looks = list(zip(scales["color"]["range"], scales["shape"]["range"], strict=True))
    assert len(set(looks)) == len(looks) == len(Quantization)


def _scale(spec: Any, channel: str) -> Any:
    """The first scale of a channel in a chart."""
    if isinstance(spec, dict):
        found = spec.get(channel)
        if isinstance(found, dict) and "scale" in found:
            return found["scale"]
        spec = list(spec.values())
    return next(filter(None, (_scale(each, channel) for each in spec)), None) if isinstance(spec, list) else None
