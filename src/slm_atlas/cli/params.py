"""Types of command-line values that click does not have: counts such as `1.5B`, sizes such as `4GiB`, quantizations.

Each is a function to be given as an option's `type`; its name is what the help shows.
"""

from __future__ import annotations

import re

import click

from slm_atlas.anatomy import Quantization
from slm_atlas.units import parse_bytes

_COUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMBT]?)", re.IGNORECASE)


def count(text: str | int) -> int:
    """A number of parameters or tokens: `135M`, `1.5B`, `4096`; the suffixes are powers of a thousand.

    >>> count("1.5B"), count("135M"), count(4096)
    (1500000000, 135000000, 4096)

    Raises:
        click.BadParameter: the text is not a count.
    """
    match = _COUNT.fullmatch(str(text).strip())
    if match is None:
        raise click.BadParameter(f"{text!r} is not a count; write 4096, 135M or 1.5B.")
    thousands = " KMBT".index(match[2].upper() or " ")
    return round(float(match[1]) * 1000.0**thousands)


def size(text: str | int) -> int:
    """A number of bytes: `512M`, `4GiB`, `1000`; the suffixes are powers of 1024.

    >>> size("4GiB")
    4294967296

    Raises:
        click.BadParameter: the text is not a size.
    """
    try:
        return parse_bytes(str(text))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a size; write 512M or 4GiB.") from None


def label(text: str) -> Quantization:
    """A quantization by its label, in capitals or not: `Q4_K_M`.

    >>> label("q4_k_m")
    <Quantization.Q4_K_M: 'Q4_K_M'>

    Raises:
        click.BadParameter: there is none so labelled.
    """
    if text.upper() not in list(Quantization):
        raise click.BadParameter(f"{text!r} is not one of {', '.join(Quantization)}.")
    return Quantization(text.upper())
