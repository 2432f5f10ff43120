"""Numbers and their units, as people read them; every quantity in the code carries its unit in its name."""

from __future__ import annotations

import re

KIB = 1024
MIB = 1024**2
GIB = 1024**3
MOST_TOKENS = 2**31 - 1
"""Positions are int32 in engines (`llama_pos`); llama.cpp would cut a larger number to 32 bits without a word."""

_DECIMAL = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K"))
_BINARY = ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB"))
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(i?)B?\s*", re.IGNORECASE)


def format_count(value: float) -> str:
    """A count of parameters or tokens, with the field's suffixes.

    >>> format_count(134_515_008), format_count(1.5e9), format_count(6e12), format_count(512)
    ('134.5M', '1.50B', '6.00T', '512')
    """
    for size, suffix in _DECIMAL:
        if abs(value) >= size:
            scaled = value / size
            return f"{scaled:.1f}{suffix}" if abs(scaled) >= 100 else f"{scaled:.2f}{suffix}"
    return f"{value:g}"


def format_rate(value: float) -> str:
    """Tokens a second, to three digits at least.

    >>> format_rate(9.8765), format_rate(37.0), format_rate(99.97), format_rate(1163.2)
    ('9.88', '37.0', '100', '1,163')
    """
    return f"{value:#.3g}".rstrip(".") if abs(value) < 100 else f"{value:,.0f}"


def format_bytes(value: float) -> str:
    """A size in memory or on disk, in binary units.

    >>> format_bytes(91_234_567), format_bytes(3 * GIB), format_bytes(100)
    ('87.0 MiB', '3.00 GiB', '100 B')
    """
    for size, suffix in _BINARY:
        if abs(value) >= size:
            scaled = value / size
            return f"{scaled:.1f} {suffix}" if suffix != "GiB" else f"{scaled:.2f} {suffix}"
    return f"{value:.0f} B"


def format_seconds(value: float) -> str:
    """A duration, from microseconds to hours.

    >>> format_seconds(0.00123), format_seconds(12.3), format_seconds(75), format_seconds(5000)
    ('1.23 ms', '12.3 s', '1 min 15 s', '1 h 23 min')
    """
    if abs(value) < 1e-3:
        return f"{value * 1e6:.3g} µs"
    if abs(value) < 1:
        return f"{value * 1e3:.3g} ms"
    if abs(value) < 60:
        return f"{value:.3g} s"
    minutes, seconds = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    return f"{minutes // 60} h {minutes % 60} min"


def parse_bytes(text: str) -> int:
    """The number of bytes in a size such as `4GiB`, `512M` or `1000`; K, M, G, T are binary, as memory is.

    >>> parse_bytes("4GiB") == 4 * GIB, parse_bytes("512M") == 512 * MIB, parse_bytes("1000")
    (True, True, 1000)

    Raises:
        ValueError: the text is not a size.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"not a size: {text!r}")
    power = " KMGT".index(match[2].upper() or " ")
    return int(float(match[1]) * 1024**power)


def format_p(p_value: float) -> str:
    """A p value, to two digits.

    >>> format_p(0.0312), format_p(1e-9)
    ('0.031', '< 0.001')
    """
    return "< 0.001" if p_value < 0.001 else f"{p_value:.2g}"


def counted(n: int, unit: str) -> str:
    """So many of a thing, which is given in the plural.

    >>> counted(1, "models"), counted(1, "families"), counted(3000, "models")
    ('1 model', '1 family', '3,000 models')
    """
    one = f"{unit.removesuffix('ies')}y" if unit.endswith("ies") else unit.removesuffix("s")
    return f"{n:,} {one if n == 1 else unit}"
