"""What the survey's figures say: its measurements and counts, read from the vector figures its authors published.

One JSON file a figure in `data/paper/`, each with how it was read (`method`), how exactly (`estimated_error`), and the
faults found in it (`notes`, `checks`). The survey is arXiv 2409.15790, first version (2024-09).
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any, TypeVar

import msgspec

from slm_atlas.errors import UserError

FIGURES = range(2, 12)
"""The figures that show data."""

Read = TypeVar("Read", bound="Figure")


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of every figure; keys of a file that no field names are left to `figure`."""

    what: str
    """What it shows."""
    notes: tuple[str, ...]
    """What to know before using it, faults of the figure among it."""
    method: str
    """How it was read."""


class Wedge(msgspec.Struct, frozen=True, kw_only=True):
    """A wedge of a pie of Figure 2a."""

    share_percent: float
    """Its angle, in percent of the circle."""
    printed: str | None
    """The percentage beside it."""
    count: int
    """The models it stands for: its share of the models the pie counts."""


class Fig2(Figure, frozen=True, kw_only=True):
    """Figure 2: the architectures of the survey's models; a by facet, b by facet and half-year."""

    pies: dict[str, dict[str, Wedge]]
    """Figure 2a, by facet and label."""
    periods: tuple[str, ...]
    """The half-years of Figure 2b."""
    models: tuple[int, ...]
    """How many models each half-year has."""
    bars: dict[str, dict[str, tuple[int, ...]]]
    """Figure 2b: models by facet and label, a number a half-year."""


class Fig3(Figure, frozen=True, kw_only=True):
    """Figure 3: which data sets the survey's models were trained on."""

    uses: dict[str, dict[str, int]]
    """By year and data set: how many models of the year used it."""
    total_uses: dict[str, int]
    """By year: uses of all data sets."""


class TokensPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A model in Figure 4."""

    model_id: str
    """Which model of the catalogue it is, by our reading."""
    model: str
    """What it was taken for, in words."""
    label_in_figure: str | None = None
    """The name beside it, if it has one."""
    params_billion: float
    """Its place on the axis of parameters."""
    tokens_billion: float
    """Its place on the axis of training tokens."""
    accuracy: float
    """Mean of commonsense reasoning and problem solving, from 0 to 1."""
    year: int
    """The year it is drawn with; colours can only be compared within one."""
    off_axis: bool = False
    """It lies outside the axes, and is in the file only."""
    inferred_from: str
    """How it was identified."""
    note: str | None = None
    """What is odd about it."""


class Fig4(Figure, frozen=True, kw_only=True):
    """Figure 4: training tokens against parameters, with accuracy."""

    points: tuple[TokensPoint, ...]
    """All models drawn."""


class AbilityPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A model in a panel of Figure 5."""

    date: str
    """Year and month of its release, as drawn."""
    accuracy: float
    """From 0 to 1; `PLACEHOLDER` in mathematics is probably no measurement."""
    organisation: str
    """Who made it, by the plot's own legend (the published one swaps two)."""
    params_billion: float = msgspec.field(name="params_billion_from_bubble_size")
    """Parameters in billions, from its size in the figure."""
    model: str = msgspec.field(name="inferred_model")
    """Which model it is, by our reading."""


class Ability(msgspec.Struct, frozen=True, kw_only=True):
    """A panel of Figure 5."""

    points: tuple[AbilityPoint, ...]
    """All models drawn, in the same order in every panel."""
    llama: dict[str, float] = msgspec.field(name="llama_reference_lines")
    """The accuracy of the 7B (8B) LLaMA models, in order of time."""


class Fig5(Figure, frozen=True, kw_only=True):
    """Figure 5: capability over time."""

    commonsense: Ability
    """Commonsense reasoning and understanding."""
    problem_solving: Ability
    """Problem solving."""
    math: Ability
    """Mathematics."""


PLACEHOLDER = 0.01
"""The score in mathematics of 15 models of Figure 5."""


class Growth(msgspec.Struct, frozen=True, kw_only=True):
    """A model in Figure 6b."""

    params_billion: float = msgspec.field(name="model_size_billion")
    """Its size, as drawn."""
    growth: float = msgspec.field(name="score_growth_0_to_5_shots")
    """By how much its mean score over eight tasks is higher with five examples than with none."""
    model: str = msgspec.field(name="inferred_model")
    """Which model it is, by our reading."""


class Growths(msgspec.Struct, frozen=True, kw_only=True):
    """Figure 6b."""

    points: tuple[Growth, ...]
    """All models drawn."""


class Fig6(Figure, frozen=True, kw_only=True):
    """Figure 6: in-context learning."""

    scores: dict[str, dict[str, dict[str, float]]] = msgspec.field(name="fig6a")
    """Figure 6a: by task (and their average), family and number of examples."""
    growth: Growths = msgspec.field(name="fig6b")
    """Figure 6b."""


class CostPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A model in Figure 7: what it costs on a Jetson Orin NX."""

    model_id: str
    """Which model of the catalogue it is."""
    model: str
    """Its name in the legend."""
    params_million: float
    """Parameters as drawn: a tied head is counted as well (`Model.params_untied`), rounded to ten million above 1B."""
    first_token_latency_ms: float
    """Time to the first token."""
    decode_latency_ms_per_token: float
    """Time of every further token."""
    memory_mib: float
    """Memory; the figure says MB and means MiB."""


class Fig7(Figure, frozen=True, kw_only=True):
    """Figure 7: latency and memory against parameters."""

    models: tuple[CostPoint, ...]
    """All models drawn."""


class Fig8(Figure, frozen=True, kw_only=True):
    """Figure 8: latency of one model in six formats; which model, and on what, the figure does not say."""

    prefill: dict[str, tuple[tuple[int, float], ...]] = msgspec.field(name="fig8a_prefill")
    """By format: tokens of the prompt, and milliseconds to the first token."""
    decode: dict[str, tuple[tuple[int, float], ...]] = msgspec.field(name="fig8b_decode")
    """By format: the place of a token, and the milliseconds it took."""


class Fig10(Figure, frozen=True, kw_only=True):
    """Figure 10: shares of the time by model, phase (`prefill`, `decode`) and label; those of a bar add up to 1."""

    parts: dict[str, dict[str, dict[str, float]]] = msgspec.field(name="fig10a_by_part")
    """Figure 10a: by part of the model."""
    kernels: dict[str, dict[str, dict[str, float]]] = msgspec.field(name="fig10b_by_operator")
    """Figure 10b: by kernel of llama.cpp's CUDA backend."""


class Fig9Derived(msgspec.Struct, frozen=True, kw_only=True):
    """What follows from Figure 9."""

    phone_total: tuple[tuple[int, float], ...] = msgspec.field(name="fig9b_meizu_total_ms_times_n")
    """The phone's running mean times the number of tokens: milliseconds until each token, the first counted as 0."""


class Fig9(Figure, frozen=True, kw_only=True):
    """Figure 9: one model on two devices, a Jetson's GPU and a phone's processor."""

    prefill: dict[str, tuple[tuple[int, float], ...]] = msgspec.field(name="fig9a_prefill")
    """By device: tokens of the prompt, and milliseconds to the first token."""
    decode: dict[str, tuple[tuple[int, float], ...]] = msgspec.field(name="fig9b_decode")
    """By device: the place of a token, and the milliseconds it took; of the phone, a running mean (see `notes`)."""
    derived: Fig9Derived
    """What follows from it."""


class MemoryBar(msgspec.Struct, frozen=True, kw_only=True):
    """A model in Figure 11: what its memory is used for. The figure says MB and means MiB."""

    model_id: str
    """Which model of the catalogue it is."""
    model: str
    """Its name."""
    label_in_figure: str
    """The name under its bar."""
    compute_buffer_mib: float
    """Buffers for what is computed on the way."""
    kv_cache_mib: float
    """Keys and values in FP16, of 2048 positions."""
    model_parameter_mib: float
    """Weights; from 1024 on it seems to be 1000 times the GiB, 2.4 percent too little."""
    other_mib: float
    """All else."""
    total_mib: float
    """The whole bar."""


class Fig11(Figure, frozen=True, kw_only=True):
    """Figure 11: what memory is used for."""

    models: tuple[MemoryBar, ...]
    """All models drawn, in their order."""


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of numbers in the figures that the catalogue does not give, counted as the survey counts."""

    figure: str
    """`2a`, `2b`, `3` or `4`."""
    cells: tuple[str, ...]
    """Which numbers, as `slm_atlas.survey.reproduction` names them; `*` stands for anything."""
    text: str
    """What is known of them."""
    settled: bool = False
    """It explains them; otherwise it is a guess, or says that there is none."""


class Remarks(msgspec.Struct, frozen=True, kw_only=True):
    """The file `remarks.toml`."""

    remarks: tuple[Remark, ...]
    """All of them; the first that fits a number is about it."""


@cache
def remarks() -> tuple[Remark, ...]:
    """What is known of the numbers that do not come out."""
    return msgspec.toml.decode(_file("remarks.toml"), type=Remarks).remarks


@cache
def figure(number: int) -> dict[str, Any]:
    """All that is known of a figure, as its file has it; not to be changed.

    Raises:
        UserError: there is no data of such a figure.
    """
    content: dict[str, Any] = msgspec.json.decode(_read(number))
    return content


@cache
def fig2() -> Fig2:
    """Figure 2."""
    return _typed(2, Fig2)


@cache
def fig3() -> Fig3:
    """Figure 3."""
    return _typed(3, Fig3)


@cache
def fig4() -> Fig4:
    """Figure 4."""
    return _typed(4, Fig4)


@cache
def fig5() -> Fig5:
    """Figure 5."""
    return _typed(5, Fig5)


@cache
def fig6() -> Fig6:
    """Figure 6."""
    return _typed(6, Fig6)


@cache
def fig7() -> Fig7:
    """Figure 7."""
    return _typed(7, Fig7)


@cache
def fig8() -> Fig8:
    """Figure 8."""
    return _typed(8, Fig8)


@cache
def fig9() -> Fig9:
    """Figure 9."""
    return _typed(9, Fig9)


@cache
def fig10() -> Fig10:
    """Figure 10."""
    return _typed(10, Fig10)


@cache
def fig11() -> Fig11:
    """Figure 11."""
    return _typed(11, Fig11)


def _typed(number: int, kind: type[Read]) -> Read:
    return msgspec.json.decode(_read(number), type=kind)


def _read(number: int) -> bytes:
    if number not in FIGURES:
        raise UserError(f"No data of the survey's Figure {number}: {FIGURES[0]} to {FIGURES[-1]} have some.")
    return _file(f"fig{number}.json")


def _file(name: str) -> bytes:
    return (resources.files("slm_atlas.catalog") / "data" / "paper" / name).read_bytes()
