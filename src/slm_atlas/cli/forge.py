"""`slm forge`: writes a model file with random weights."""

from __future__ import annotations

from pathlib import Path

import click

from slm_atlas.anatomy import Quantization
from slm_atlas.cli.estimate import DEFAULT, quantization_option
from slm_atlas.cli.output import json_option, print_json, say
from slm_atlas.cli.progress import StudyProgress
from slm_atlas.units import format_bytes


@click.command(epilog="Example: slm forge pythia-160m --quant Q4_K_M --output pythia.gguf")
@click.argument("model")
@quantization_option
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="The file; default: in the home folder."
)
@click.option("--seed", default=0, show_default=True, help="Seed of the random weights.")
@json_option
def command(model: str, quantization: Quantization | None, output: Path | None, seed: int, json: bool) -> None:
    """Write a model file with random weights.

    A GGUF in the shape of MODEL, a catalogue id. It costs what the real model costs in time and memory, and knows
    nothing; it has no tokenizer.
    """
    from slm_atlas import catalog
    from slm_atlas.models.fetch import forged_path
    from slm_atlas.models.forge import Order, forge

    found, mix = catalog.get(model), quantization or DEFAULT
    path = output or forged_path(found, mix, seed)
    with StudyProgress() as progress:
        forge(
            Order(found.name, found.architecture, mix, seed=seed),
            path,
            on_progress=lambda done, total: progress.preparing(found.name, done, total),
        )
    size = path.stat().st_size
    if json:
        print_json({"path": path, "size_bytes": size, "model": found.id, "quantization": mix, "seed": seed})
    else:
        say(f"{found.name} {mix}, random weights, {format_bytes(size)}:")
        click.echo(path)
