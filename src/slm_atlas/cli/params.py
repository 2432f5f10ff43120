"""Types of command-line values that click does not have: counts (`1.5B`), sizes (`4GiB`), durations (`3m`), and others.

Each is a function to be given as an option's `type`; its name is what the help shows.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import click

from slm_atlas.anatomy import Quantization
from slm_atlas.units import MOST_TOKENS, parse_bytes

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([smh]?)", re.IGNORECASE)
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


def tokens(text: str | int) -> int:
    """A number of tokens: at least one.

    >>> tokens("2K")
    2000

    Raises:
        click.BadParameter: the text is not a count, or is none, or more than positions can be.
    """
    number = count(text)
    if not 0 < number <= MOST_TOKENS:
        raise click.BadParameter(f"{text!r} is not between 1 and {MOST_TOKENS}.")
    return number


def size(text: str | int) -> int:
    """A number of bytes, at least one: `512M`, `4GiB`, `1000`; the suffixes are powers of 1024.

    >>> size("4GiB")
    4294967296

    Raises:
        click.BadParameter: the text is not a size.
    """
    try:
        number = parse_bytes(str(text))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a size; write 512M or 4GiB.") from None
    if number < 1:
        raise click.BadParameter(f"{text!r} is no size: it is nothing.")
    return number


def duration(text: str | float) -> float:
    """Seconds: `90`, `90s`, `10m`, `1.5h`.

    >>> duration("10m"), duration("90")
    (600.0, 90.0)

    Raises:
        click.BadParameter: the text is not a duration, or none at all.
    """
    match = _DURATION.fullmatch(str(text).strip())
    seconds = float(match[1]) * {"m": 60, "h": 3600}.get(match[2].lower(), 1) if match else 0.0
    if not seconds:
        raise click.BadParameter(f"{text!r} is not a duration; write 90s, 10m or 1.5h.")
    return seconds


KNEE = -1
"""What `--threads knee` stands for, among numbers of threads."""


def threads(text: str | int) -> int:
    """A number of threads, or `knee`.

    >>> threads("4"), threads("knee")
    (4, -1)

    Raises:
        click.BadParameter: neither.
    """
    word = str(text).strip()
    if word == "knee":
        return KNEE
    if not word.isdecimal():
        raise click.BadParameter(f"{text!r} is neither a number of threads nor 'knee'.")
    return int(word)


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


SWEPT = {
    "quant": "quant",
    "prompt": "n_prompt",
    "generate": "n_gen",
    "depth": "depth",
    "context": "context",
    "micro-batch": "micro_batch",
    "threads": "threads",
    "kv-type": "kv_type",
    "flash-attention": "flash_attention",
}
"""What can be varied, by its name on the command line, and the setting of a run that it is."""
_WORDS = {"on": True, "off": False, "auto": None}


class Sweep(NamedTuple):
    """A setting and the values it is given."""

    name: str
    """The setting."""
    values: list[int | bool | str | None]
    """Its values."""


def sweep(text: str) -> Sweep:
    """A setting that is varied: `threads=1,2,4`, `kv-type=f16,q8_0`, `flash-attention=on,off`.

    >>> sweep("prompt=8,2K")
    Sweep(name='n_prompt', values=[8, 2000])
    >>> sweep("flash-attention=on,auto").values
    [True, None]

    Raises:
        click.BadParameter: the text is not NAME=VALUE,..., or the name is unknown.
    """
    name, equals, values = text.partition("=")
    if not equals or name not in SWEPT or not all(values.split(",")):
        raise click.BadParameter(f"{text!r} is not NAME=VALUE,... with one of {', '.join(SWEPT)}.")
    return Sweep(SWEPT[name], [_value(name, value.strip()) for value in values.split(",")])


def _value(name: str, text: str) -> int | bool | str | None:
    if name == "flash-attention":
        if text not in _WORDS:
            raise click.BadParameter(f"{text!r} is not one of {', '.join(_WORDS)}.")
        return _WORDS[text]
    return text if name in ("quant", "kv-type") else count(text)
