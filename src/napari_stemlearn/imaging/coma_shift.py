"""Where columns are seen when the probe has coma."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def shift_by_coma(drawn: Mapping[str, float]) -> tuple[float, float]:
    """How far (y, x) in angstrom from its place an atom is seen, by the coma of both orders.

    Of a wave front with coma the part that is a tilt moves the probe. It is the tilt that leaves the least variance of
    the phase over the aperture, as Zernike's polynomials of coma do (Born and Wolf, Principles of Optics, 9.2.1); other
    aberrations have none. Nobody who looks at an image can tell such a shift from another place of the specimen.
    """
    radius = 1e-3 * drawn["convergence_semiangle"]
    y, x = 0.0, 0.0
    for name, part in (("C21", 2 / 9 * radius**2), ("C41", radius**4 / 10)):
        azimuth = np.deg2rad(drawn.get(f"phi{name[1:]}", 0.0))
        length = part * drawn.get(name, 0.0)
        y, x = y - length * np.sin(azimuth), x - length * np.cos(azimuth)
    return float(y), float(x)
