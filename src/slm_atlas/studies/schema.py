"""What a study is: models, how their costs are measured, and the suites that say what they can do; read from TOML."""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from slm_atlas.anatomy import Quantization
from slm_atlas.bench import BenchSettings
from slm_atlas.errors import UserError
from slm_atlas.evals import Compute, ShotsOrder
from slm_atlas.store.stops import PrecisionOf


class Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of what is read from a study's file."""


class StudyModel(Struct, frozen=True):
    """One model of a study."""

    model: str
    """A catalogue id, a path, `pypi:NAME` or `hf:OWNER/REPO/FILE`."""
    quantization: Quantization | None = None
    """What a catalogue id is forged as, or a file requantized to; None: the default, or the file as it is."""
    suites: tuple[str, ...] = ()
    """Suites of tasks to evaluate it on."""
    tasks: tuple[str, ...] = ()
    """Tasks to evaluate it on beside those: of a suite, or any of lm-eval's by name."""


class Precision(Struct, frozen=True):
    """When an arm has been measured well enough."""

    half_width: Annotated[float, Meta(gt=0)] = 0.05
    """Relative half-width of the 95 % interval of prefill and decode."""
    of: PrecisionOf = PrecisionOf.ARM
    """Whose interval: each arm's own, or that of its ratio to the first arm."""
    min_runs: Annotated[int, Meta(ge=4)] = 5
    """Runs before it is first asked."""


class Study(Struct, frozen=True):
    """A set of measurements that belong together."""

    name: Annotated[str, Meta(pattern="^[^/]+$")]
    """The name on the command line, and of the report's folder."""
    title: str
    """The heading of its report."""
    description: str
    """What it is for, in a sentence or two."""
    models: Annotated[tuple[StudyModel, ...], Meta(min_length=1)]
    """What is measured."""
    runs: Annotated[int, Meta(ge=0)] = 5
    """Fresh processes a model, the statistical unit of costs; 0: no costs are measured."""
    profile_runs: Annotated[int, Meta(ge=0)] = 0
    """Fresh processes a model whose time is split by part and operator; 0: none are."""
    bench: BenchSettings = BenchSettings()
    """How a run measures costs."""
    sweep: dict[str, tuple[int | bool | str | None, ...]] = {}
    """Settings of a run that are varied, and their values: every combination is an arm."""
    noise_floor: bool = False
    """Measure the first arm twice a block, so that it is seen how far an arm differs from itself (A/A)."""
    precision: Precision | None = None
    """When to stop before all runs are done; None: not before."""
    budget_s: Annotated[float, Meta(gt=0)] | None = None
    """Seconds that the runs of costs may take, resumed ones included: no block is begun after that; None: no limit."""
    repeat: bool = True
    """Repeat a block in which something disturbed a run, half of all blocks at most; the disturbed runs are kept."""
    knee: bool = False
    """Find for each model the fewest threads that are about as fast as any, and measure it with so many."""
    oversubscribe: bool = False
    """Allow more threads than there are cores."""
    disk_bytes: Annotated[int, Meta(gt=0)] | None = None
    """Measure in groups of models whose files made here take no more than this, and remove each group's files."""
    eval_context: Annotated[int, Meta(ge=1)] = 2048
    """Tokens of context in evaluations."""
    limit: Annotated[int, Meta(ge=1)] | None = None
    """Only the first items of each task; None: all."""
    limits: dict[str, Annotated[int, Meta(ge=1)]] = {}
    """Other limits for certain tasks, by name: how many items each gets of a budget."""
    shots: Annotated[int, Meta(ge=0)] | None = None
    """Worked examples before each question, of all tasks of lm-eval's; None: each task's own number."""
    data: str | None = None
    """Folder of rows for tasks of lm-eval's, `DIR/<task>/<split>.jsonl`; None: `$SLM_ATLAS_DATA`, else the Hub."""
    allow_code: bool = False
    """Evaluate coding tasks, too: they run what the model writes, in a sandbox."""
    shots_order: ShotsOrder = ShotsOrder.LM_EVAL
    """How worked examples are chosen."""
    tokenizer: str | None = None
    """For log probabilities from a server: the folder, or the Hub's name, of the model's tokenizer."""
    compute: Compute = Compute.NATIVE
    """In which precision evaluations compute the weights."""

    def arms(self) -> tuple[BenchSettings, ...]:
        """The settings of every arm: the study's, with each combination of what is varied.

        Raises:
            UserError: what is varied is not a setting, or has a value it cannot have.
        """
        base = msgspec.to_builtins(self.bench)
        varied = [dict(zip(self.sweep, values, strict=True)) for values in product(*self.sweep.values())]
        try:
            return tuple(msgspec.convert({**base, **values}, BenchSettings) for values in varied)
        except msgspec.ValidationError as error:
            known = ", ".join(BenchSettings.__struct_fields__)
            raise UserError(f"The sweep of {self.name}: {error}.", f"vary one of {known}, within its limits") from None


def on_model(study: Study, model: str) -> Study:
    """A study of one model in several quantizations, made one of another model: the same arms, in a report of its own.

    Raises:
        UserError: it is a study of several models.
    """
    named = {found.model for found in study.models}
    if len(named) > 1:
        raise UserError(f"The study {study.name} compares {len(named)} models.", f"slm bench {model}")
    models = tuple(msgspec.structs.replace(found, model=model) for found in study.models)
    # The name is that of the report's folder as well.
    name = f"{study.name}-{re.sub(r'[^A-Za-z0-9.]+', '-', model).strip('-')}"
    return msgspec.structs.replace(study, name=name, title=f"{study.title} ({model})", models=models)


def builtin_names() -> list[str]:
    """Names of the studies that come with the package."""
    return sorted(file.name.removesuffix(".toml") for file in _folder().iterdir() if file.name.endswith(".toml"))


def load_study(name: str) -> Study:
    """A study by its name, or from a TOML file of the user's.

    Raises:
        UserError: no such study, or a file that is not one.
    """
    if name in builtin_names():
        return parse_study((_folder() / f"{name}.toml").read_text("utf-8"), f"{name}.toml")
    path = Path(name)
    if not path.is_file():
        raise UserError(f"There is no study '{name}' (known: {', '.join(builtin_names())}).", "slm study list")
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{name} is not a study: it is not text.", "slm study list --json shows the keys") from None
    except OSError as error:
        raise UserError(f"Cannot read {name}: {error.strerror}.") from error
    return parse_study(text, name)


def parse_study(text: str, filename: str) -> Study:
    """A study from the text of its file.

    Raises:
        UserError: names the file and the key that is wrong.
    """
    try:
        return msgspec.convert(tomllib.loads(text), Study)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UserError(f"{filename} is not a study: {error}.", "slm study list --json shows the keys") from None


def _folder() -> resources.abc.Traversable:
    return resources.files("slm_atlas.studies") / "builtin"
