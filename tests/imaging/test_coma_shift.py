"""Labels lie where columns are seen, also where coma moves the probe."""

from __future__ import annotations

import numpy as np
import pytest
from microscopes import atoms, microscope
from numpy.typing import NDArray
from scipy.optimize import curve_fit

from napari_stemlearn.imaging.coma_shift import shift_by_coma
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


@pytest.mark.parametrize("azimuth", [0.0, 40.0, 90.0, 215.0])
@pytest.mark.parametrize(("name", "value"), [("C21", 2000.0), ("C21", -1000.0), ("C41", 3e6)])
def test_a_column_is_labelled_where_it_is_seen(name: str, value: float, azimuth: float) -> None:
    probe = {"source_fwhm": 0.8, "convergence_semiangle": 25.2, name: value, f"phi{name[1:]}": azimuth}
    settings = microscope((128, 128), PIXEL_SIZE, probe=probe)
    image = simulate_batch([atoms(ATOM)], settings, [0]).images[0].double().numpy()
    seen = place_of_the_peak(image) - ATOM
    assert np.hypot(*seen) > 0.1
    np.testing.assert_allclose(shift_by_coma(probe), seen, atol=0.02)
    specimen = PlainSpecimen(np.array([[ATOM[1], ATOM[0], 0.0]]), np.array([74]))
    columns = simulate(specimen, settings, seed=0).columns
    np.testing.assert_allclose(columns[["y_angstrom", "x_angstrom"]].to_numpy()[0], ATOM + seen, atol=0.02)


def test_other_aberrations_move_nothing() -> None:
    probe = {"convergence_semiangle": 30.0, "C10": 50.0, "C12": 40.0, "phi12": 20.0, "C23": 900.0, "C45": 1e5}
    assert shift_by_coma(probe) == (0.0, 0.0)
