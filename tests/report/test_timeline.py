"""The survey's Figure 1: every model once, the survey's at the dates it gives."""

from __future__ import annotations

from slm_atlas.catalog import models
from slm_atlas.report.figures import Side
from slm_atlas.report.timeline import IN_SURVEY, NOT_IN_SURVEY, timeline_figure


def test_all_models_stand_there_and_the_surveys_are_marked() -> None:
    figure = timeline_figure(models(), Side.BOTH)
    assert figure is not None
    marked = [row["model"] for row in figure.rows if row["source"] == IN_SURVEY]
    assert sorted(marked) == sorted(model.name for model in models() if model.paper.v1)
    assert len(figure.rows) == len(models())
    assert {row["source"] for row in figure.rows} == {IN_SURVEY, NOT_IN_SURVEY}
    assert figure.caption.startswith(f"{len(models())} models of {len({m.family for m in models()})} families")


def test_the_survey_has_its_own_dates() -> None:
    theirs, ours = timeline_figure(models(), Side.PAPER), timeline_figure(models(), Side.MINE)
    assert theirs is not None
    assert ours is not None
    assert len(theirs.rows) == sum(model.paper.v1 for model in models())
    (model, *_) = (m for m in models() if m.paper.v1 and m.paper.release and m.paper.release != m.release)
    dates = [next(row["release"] for row in fig.rows if row["model"] == model.name) for fig in (theirs, ours)]
    assert dates == [model.paper.release, model.release]


def test_families_stand_in_the_order_of_their_first_release() -> None:
    figure = timeline_figure(models(), Side.MINE)
    assert figure is not None
    order = figure.spec["encoding"]["y"]["sort"]
    first = {family: min(m.release for m in models() if m.family == family) for family in order}
    assert list(first.values()) == sorted(first.values())
    assert timeline_figure([], Side.MINE) is None
