"""Labels lie where columns are seen, also where the probe is not symmetric."""

from __future__ import annotations

import numpy as np
import pytest
from microscopes import atoms, microscope
from numpy.typing import NDArray
from scipy.optimize import curve_fit

from napari_stemlearn.imaging.seen_shift import seen_shift
from napari_stemlearn.imaging.simulate import PlainSpecimen, simulate, simulate_batch

PIXEL_SIZE = 0.1
ATOM = (6.45, 6.3)


def place_of_the_peak(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centre (y, x) of a Gaussian fitted to the brightest spot, in angstrom."""
    y, x = np.indices(image.shape) * PIXEL_SIZE
    top = np.array(np.unravel_index(image.argmax(), image.shape)) * PIXEL_SIZE
    near = np.hypot(y - top[0], x - top[1]) < 0.9

    def spot(_: object, height: float, y0: float, x0: float, width: float, ground: float) -> NDArray[np.float64]:
        return (height * np.exp(-((y - y0) ** 2 + (x - x0) ** 2) / 2 / width**2) + ground)[near]

    found, _ = curve_fit(spot, None, image[near], [image.max(), *top, 0.5, 0.0])
    return found[1:3]


COMA_BESIDE_ASTIGMATISM = {
    **{"C10": -18.6, "C12": 66.9, "phi12": 72.4, "C21": 1644.0, "phi21": 165.4},
    **{"C23": 831.0, "phi23": 45.8, "C30": 3000.0},
}
"""Sums to a probe whose brightest point lies on the other side than that of its coma alone."""


@pytest.mark.parametrize("source_fwhm", [0.5, 0.9])
@pytest.mark.parametrize(
    "aberrations",
    [
        {"C21": 2000.0},
        {"C21": 2000.0, "phi21": 40.0},
        {"C21": -1000.0, "phi21": 90.0},
        {"C41": 3e6, "phi41": 215.0},
        COMA_BESIDE_ASTIGMATISM,
    ],
)
def test_a_column_is_labelled_where_it_is_seen(aberrations: dict[str, float], source_fwhm: float) -> None:
    probe = {"beam_energy": 80.0, "source_fwhm": source_fwhm, "convergence_semiangle": 25.2, **aberrations}
    settings = microscope((128, 128), PIXEL_SIZE, probe=probe)
    image = simulate_batch([atoms(ATOM)], settings, [0]).images[0].double().numpy()
    seen = place_of_the_peak(image) - ATOM
    assert np.hypot(*seen) > 0.1
    np.testing.assert_allclose(seen_shift(probe), seen, atol=0.03)
    specimen = PlainSpecimen(np.array([[ATOM[1], ATOM[0], 0.0]]), np.array([74]))
    columns = simulate(specimen, settings, seed=0).columns
    np.testing.assert_allclose(columns[["y_angstrom", "x_angstrom"]].to_numpy()[0], ATOM + seen, atol=0.03)


def test_symmetric_probes_move_nothing() -> None:
    probe = {"beam_energy": 80.0, "convergence_semiangle": 30.0, "C10": 50.0, "C12": 90.0, "phi12": 20.0, "C30": 1e4}
    assert seen_shift(probe) == (0.0, 0.0)
    y, x = seen_shift({**probe, "C12": 0.0, "C10": 0.0, "C23": 400.0})
    assert np.hypot(y, x) < 0.005
