"""The palette is told apart by those who do not see all colours, on both grounds."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from slm_atlas.report.charts import COLORS
from slm_atlas.report.survey_charts import STEPS

Color = NDArray[np.float64]

SIMULATED = {
    "all colours": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}
"""How linear RGB is seen with full protanopia and deuteranopia (Machado, Oliveira and Fernandes 2009, severity 1)."""
DISTANT = 9.0
"""Colours this far apart in CIE Lab are told apart side by side; 2.3 is just noticeable."""


def linear(color: str) -> Color:
    """A colour as linear RGB from 0 to 1 (sRGB's curve, IEC 61966-2-1)."""
    value = np.array([int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb: Color) -> Color:
    """Linear RGB in CIE Lab, D65."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratio = to_xyz @ np.clip(rgb, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def luminance(color: str) -> float:
    return float(np.array([0.2126, 0.7152, 0.0722]) @ linear(color))


@pytest.mark.parametrize("seen", SIMULATED)
def test_any_two_colours_are_told_apart(seen: str) -> None:
    eye = np.array(SIMULATED[seen])
    for one, other in [*combinations(COLORS, 2), *combinations(STEPS, 2)]:
        distance = float(np.linalg.norm(lab(eye @ linear(one)) - lab(eye @ linear(other))))
        assert distance > DISTANT, (seen, one, other)


def test_steps_get_darker() -> None:
    shades = [luminance(color) for color in STEPS]
    assert shades == sorted(shades, reverse=True)


@pytest.mark.parametrize("ground", ["#ffffff", "#14171a"])
def test_colours_show_on_both_grounds(ground: str) -> None:
    for color in COLORS:
        dark, light = sorted((luminance(color), luminance(ground)))
        assert (light + 0.05) / (dark + 0.05) > 1.7, color
