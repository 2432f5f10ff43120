"""The survey's Figure 4 beside the catalogue: training tokens and parameters of every model drawn."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from slm_atlas.catalog import Model, paper
from slm_atlas.survey.cells import Cell, Verdict, remark

TOKENS_CLOSE = 0.01
"""Numbers of tokens this close, relative, are the same."""

PARAMS_CLOSE = 0.05
"""Numbers of parameters this close, relative, are the same: the survey gives them to two digits."""

_SIZE = re.compile(r"(?<![0-9a-z.])([0-9]+(?:\.[0-9]+)?)([mb])([0-9]?)(?![0-9a-z])")


def figure_4(models: Iterable[Model]) -> Iterator[Cell]:
    """The numbers of Figure 4, two a model."""
    by_id = {model.id: model for model in models}
    for point in paper.fig4().points:
        if model := by_id.get(point.model_id):
            yield _tokens(point, model)
            yield _params(point, model)


def nominal_billion(model_id: str) -> float | None:
    """The size that a model's id names, in billions; None: it names none.

    >>> [nominal_billion(name) for name in ("gemma-2-2b", "bloom-1b1", "opt-350m", "phi-2")]
    [2.0, 1.1, 0.35, None]
    """
    match = _SIZE.search(model_id)
    if match is None:
        return None
    size = float(match[1]) + float(match[3] or 0) / 10
    return size if match[2] == "b" else size / 1000


def _tokens(point: paper.TokensPoint, model: Model) -> Cell:
    true = model.training.tokens_billion
    name = f"{model.id} tokens (billions)"
    same = true is not None and _close(true, point.tokens_billion, TOKENS_CLOSE)
    outcome = (Verdict.EQUAL, "") if same else remark("4", name)
    return _cell(name, point.tokens_billion, model.paper.tokens_billion or true, true, model.id, outcome)


def _params(point: paper.TokensPoint, model: Model) -> Cell:
    true, nominal = model.params / 1e9, nominal_billion(model.id)
    name = f"{model.id} parameters (billions)"
    if _close(true, point.params_billion, PARAMS_CLOSE):
        outcome = (Verdict.EQUAL, "")
    elif nominal is not None and _close(nominal, point.params_billion, PARAMS_CLOSE):
        outcome = (Verdict.EXPLAINED, "Drawn at the size in its name.")
    else:
        outcome = remark("4", name)
    return _cell(name, point.params_billion, nominal or true, true, model.id, outcome)


def _cell(
    name: str, shown: float, counted: float | None, true: float | None, model_id: str, outcome: tuple[Verdict, str]
) -> Cell:
    verdict, text = outcome
    return Cell(
        figure="4",
        cell=name,
        paper=shown,
        counted=counted,
        true=true,
        models=() if verdict is Verdict.EQUAL else (model_id,),
        verdict=verdict,
        reasons=(text,) if text else (),
    )


def _close(one: float, other: float, relative: float) -> bool:
    return abs(one - other) <= relative * abs(other)
