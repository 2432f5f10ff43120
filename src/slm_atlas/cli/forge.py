"""`slm forge`: writes a model file with random weights."""

from __future__ import annotations

from pathlib import Path

import click

from slm_atlas.anatomy import Quantization
from slm_atlas.catalog import Architecture
from slm_atlas.cli.estimate import quantization_option
from slm_atlas.cli.output import json_option, print_json, say
from slm_atlas.cli.progress import StudyProgress
from slm_atlas.cli.selection import DEFAULT_QUANTIZATION
from slm_atlas.units import format_bytes


@click.command(epilog="Example: slm forge pythia-160m --quant Q4_K_M --output pythia.gguf")
@click.argument("model", required=False)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="A shape of your own: a TOML file with the keys of `[models.architecture]`, or a config.json.",
)
@quantization_option
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="The file; default: in the home folder."
)
@click.option(
    "--seed", type=click.IntRange(0, 2**64 - 1), default=0, show_default=True, help="Seed of the random weights."
)
@json_option
def command(
    model: str | None,
    config: Path | None,
    quantization: Quantization | None,
    output: Path | None,
    seed: int,
    json: bool,
) -> None:
    """Write a model file with random weights.

    A GGUF in the shape of MODEL, a catalogue id, or of a shape of your own. It costs what the real model costs in time
    and memory, and knows nothing; it has no tokenizer. A model that llama.cpp cannot run is forged as the shape
    nearest to it, and what differs is said.
    """
    from slm_atlas.models.forge import Order, forge

    if (model is None) == (config is None):
        raise click.UsageError("Give a MODEL, or --config.")
    mix = quantization or DEFAULT_QUANTIZATION
    name, arch, path = _named(model, mix, seed) if model is not None else _own(Path(str(config)), mix)
    path = output or path
    with StudyProgress() as progress:
        forge(
            Order(name, arch, mix, seed=seed),
            path,
            on_progress=lambda done, total: progress.preparing(name, done, total),
        )
    size = path.stat().st_size
    if json:
        print_json({"path": path, "size_bytes": size, "model": model or name, "quantization": mix, "seed": seed})
    else:
        say(f"{name} {mix}, random weights, {format_bytes(size)}:")
        click.echo(path)


def _named(model: str, mix: Quantization, seed: int) -> tuple[str, Architecture, Path]:
    from slm_atlas import catalog
    from slm_atlas.models.fetch import forgeable, forged_path

    found = catalog.get(model)
    arch = forgeable(found)
    if found.equivalent is not None:
        say(f"{found.name} runs as {arch.gguf}. {found.equivalent.differs}")
    return found.name, arch, forged_path(found, mix, seed)


def _own(config: Path, mix: Quantization) -> tuple[str, Architecture, Path]:
    from slm_atlas.models.custom import read_architecture

    return config.stem, read_architecture(config), config.with_name(f"{config.stem}-{mix}.gguf")
