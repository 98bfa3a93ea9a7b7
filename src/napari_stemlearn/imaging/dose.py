"""How many electrons meet each pixel."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from napari_stemlearn.imaging.scan import smooth_noise

ELECTRONS_PER_PA_MICROSECOND = 6.241509074
"""Electrons in one picoampere microsecond."""


def electrons_per_pixel(drawn: Mapping[str, float], pixel_size: float) -> float:
    """Incident electrons on one pixel: from the dose in electrons per square angstrom, else from current and dwell."""
    if "dose" in drawn:
        return drawn["dose"] * pixel_size**2
    return drawn["current"] * drawn["dwell_time"] * ELECTRONS_PER_PA_MICROSECOND


def line_currents(rng: np.random.Generator, lines: int, drawn: Mapping[str, float]) -> np.ndarray:
    """Relative beam current of each line, shape (lines,)."""
    if drawn["flicker"] == 0:
        return np.ones(lines)
    if drawn["flicker_lines"] <= 1:
        noise = rng.normal(size=lines)
    else:
        noise = smooth_noise(rng, (1, lines), drawn["flicker_lines"])[0]
    return np.maximum(1 + drawn["flicker"] * noise, 0)
