"""Simple microscopes and specimens that several tests look through."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.imaging.settings import ImagingSettings
from napari_stemlearn.imaging.simulate import PlainSpecimen

FRACTION = {"counting_noise": False, "dose": 1e4}
"""A detector without noise."""

SHARP = {"convergence_semiangle": 30.0, "source_fwhm": 0.0}
BROAD = {"convergence_semiangle": 25.0, "source_fwhm": 1.5, "C12": 30.0, "phi12": 20.0}


def atoms(*places: tuple[float, float], number: int = 74) -> PlainSpecimen:
    """Atoms of one element at (y, x) in angstrom."""
    positions = np.array([(x, y, 0.0) for y, x in places])
    return PlainSpecimen(positions, np.full(len(places), number))


def random_atoms(seed: int, n: int, extent: tuple[float, float], margin: float = 5.0) -> PlainSpecimen:
    """Atoms of several elements anywhere over a field (y, x) in angstrom and its margin."""
    rng = np.random.default_rng(seed)
    y = rng.uniform(-margin, extent[0] + margin, n)
    x = rng.uniform(-margin, extent[1] + margin, n)
    return PlainSpecimen(np.column_stack([x, y, rng.uniform(0, 5, n)]), rng.choice([6, 34, 74], n))


def microscope(shape: tuple[int, int] = (64, 64), pixel_size: float = 0.2, **sections: Any) -> ImagingSettings:
    """A microscope without noise, with changed sections."""
    return ImagingSettings(shape=shape, pixel_size=pixel_size, **{"detector": FRACTION, **sections})


def fractions(image: NDArray[np.float32], settings: ImagingSettings) -> NDArray[np.float64]:
    """Image of `microscope` as fraction of the incident beam."""
    return image.astype(float) / (1e4 * settings.pixel_size**2)
