"""The options that choose models of the catalogue, shared by the commands that show many."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, NamedTuple

import click

from slm_atlas.anatomy import Quantization
from slm_atlas.catalog import Model, Selection, runnable, select
from slm_atlas.catalog.architecture import AttentionKind
from slm_atlas.cli.params import count, label, size, tokens

DEFAULT_QUANTIZATION = Quantization.Q4_K_M
"""What a catalogued model is taken to be quantized as when nothing is said."""
DEFAULT_CONTEXT = 4096
"""Tokens of context for which memory is shown when nothing is said."""

_OPTIONS = (
    click.option("--family", help="Only models of this family, such as SmolLM."),
    click.option("--organization", help="Only models whose maker's name has this in it."),
    click.option("--license", help="Only models whose licence has this in it, such as Apache."),
    click.option("--year", type=int, help="Only models released in this year."),
    click.option("--in", "selection", type=click.Choice(["paper", "others"]), help="Only those the survey counts."),
    click.option("--min-params", type=count, help="Only models of at least so many parameters, such as 1B."),
    click.option("--max-params", type=count, help="Only models of at most so many parameters, such as 500M."),
    click.option(
        "--attention",
        type=click.Choice(list(AttentionKind), case_sensitive=False),
        help="Only models with this attention.",
    ),
    click.option("--ffn", type=click.Choice(["gated", "standard"]), help="Only models with such an FFN."),
    click.option("--dataset", help="Only models trained on this data set; `slm models datasets` lists them."),
    click.option("--algorithm", help="Only models trained so; `slm models algorithms` lists them."),
    click.option("--runnable/--not-runnable", default=None, help="Only models that llama.cpp can run, or cannot."),
)

Decorated = Callable[..., Any]


def selection_options(function: Decorated) -> Decorated:
    """The options that make a `Selection`, given to the command as its parameter `chosen`."""

    @wraps(function)
    def command(*, selection: str | None, **options: Any) -> Any:  # noqa: ANN401  (whatever the command returns)
        names = [name for name in Selection.__struct_fields__ if name in options]
        wanted = {name: options.pop(name) for name in names}
        in_paper = None if selection is None else selection == "paper"
        return function(chosen=Selection(**wanted, in_paper=in_paper), **options)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command


class Fit(NamedTuple):
    """A device's memory and how it is to be used."""

    memory_bytes: int
    """What there is."""
    context: int | None
    """Tokens of context wanted; None: `DEFAULT_CONTEXT`, or what a model was trained for where that is less."""
    quantization: Quantization
    """How the weights are stored."""

    def memory_of(self, model: Model) -> int:
        """Bytes a model needs: weights, cache, compute and output buffers."""
        from slm_atlas.anatomy import estimate

        arch = runnable(model) or model.architecture
        context = self.context or min(DEFAULT_CONTEXT, arch.context)
        return estimate(arch, self.quantization, context=context).memory_bytes

    def holds(self, model: Model) -> bool:
        """Whether a model fits in the memory, and was trained for the context."""
        long_enough = self.context is None or model.architecture.context >= self.context
        return long_enough and self.memory_of(model) <= self.memory_bytes


def fit_options(function: Decorated) -> Decorated:
    """The options `--fits`, `--context` and `--quant`, given to the command as `fit` (None: not asked)."""

    @wraps(function)
    def command(*, fits: int | None, context: int | None, quantization: Quantization, **options: Any) -> Any:  # noqa: ANN401
        if fits is None and context is not None:
            raise click.UsageError("--context chooses among what fits in a memory; give --fits too.")
        return function(fit=None if fits is None else Fit(fits, context, quantization), **options)

    for option in (
        click.option(
            "--quant",
            "quantization",
            type=label,
            default=DEFAULT_QUANTIZATION.value,
            show_default=True,
            help="For --fits: how the weights are stored.",
        ),
        click.option(
            "--context",
            type=tokens,
            help="For --fits: tokens of context, and only models trained for as many. Default: 4096, or fewer.",
        ),
        click.option("--fits", type=size, help="Only models that fit in so much memory, such as 4GiB."),
    ):
        command = option(command)
    return command


SORTS: dict[str, Callable[[Model], Any]] = {
    "name": lambda model: model.id,
    "params": lambda model: model.params,
    "release": lambda model: model.release,
    "tokens": lambda model: model.training.tokens_billion or 0.0,
    "context": lambda model: model.architecture.context,
    "vocabulary": lambda model: model.architecture.vocab,
    "depth": lambda model: model.architecture.layers,
    "width": lambda model: model.architecture.hidden,
}
"""What a list can be sorted by; what is not published counts as least."""


def sort_options(function: Decorated) -> Decorated:
    """The options `--sort` and `--descending`."""
    function = click.option("--descending", is_flag=True, help="Largest or latest first.")(function)
    return click.option("--sort", type=click.Choice(list(SORTS)), help="Default: by family, small to large.")(function)


def chosen_models(
    chosen: Selection, *, fit: Fit | None = None, sort: str | None = None, descending: bool = False
) -> list[Model]:
    """The models a command is to show, in the order asked for."""
    found: Iterable[Model] = select(chosen)
    if fit is not None:
        found = filter(fit.holds, found)
    if sort is not None:
        return sorted(found, key=SORTS[sort], reverse=descending)
    return list(found)[:: -1 if descending else 1]
