"""Whether experiment and simulations show the same crystal at the same pixel size, before anything learns from them.

The Bragg spots of both are compared as patterns over the logarithm of the frequency and the angle, where another pixel
size is a shift along one axis and a rotation a shift along the other. Noise and grey levels do not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from napari_stemlearn.distributions import middle
from napari_stemlearn.finding.bragg_spots import FEWEST, Spots, bragg_spots
from napari_stemlearn.imaging.settings import ImagingSettings
from napari_stemlearn.imaging.simulate import simulate
from napari_stemlearn.learning.experiment import Experiment
from napari_stemlearn.learning.settings import MixtureSettings
from napari_stemlearn.structures.build import build
from napari_stemlearn.structures.settings import StructureSettings

FloatArray = NDArray[np.float64]

LOOKED_AT = 4
"""Frames of the experiment that are compared at most."""

SIDE = 1024
"""Side in pixels of the middle of a frame that is looked at."""

SCORE = 0.55
"""Least likeness of the patterns; measured images give 0.6 to 0.96 with the right crystal, 0.1 to 0.45 with others."""

CALIBRATION = 0.055
"""Largest difference between stated and fitting pixel size; calibrations of scans are often wrong by 3 to 5 %."""

_STEP, _LOW, _HIGH, _ANGLES = 0.01, 0.08, 1.5, 180
_BLUR = 2.5
_DIRECTIONS = [(0.0, 0.0)] + [(stretch, turn) for stretch in (0.04, 0.08, 0.12) for turn in np.arange(6) * np.pi / 6]
_REACH = 8


@dataclass(frozen=True)
class Likeness:
    """How well the spots of an experiment fit those of the crystals that are simulated.

    Parameters
    ----------
    score
        1 for equal patterns, 0 for nothing in common; NaN where no crystal can be told.
    scale
        Frequencies of the experiment over those of the simulation; 1 where the pixel size is right.
    crystal
        The first simulated crystal that fits, else the one that comes nearest.
    fitting_scale
        Scale that fits best within a factor of 1.6, and its score in `fitting_score`.
    experiment_rings, simulation_rings
        In 1/angstrom.
    pixel_size
        As stated, in angstrom.
    """

    score: float
    scale: float
    crystal: str
    fitting_scale: float
    fitting_score: float
    experiment_rings: list[float]
    simulation_rings: list[float]
    pixel_size: float

    @property
    def judged(self) -> bool:
        """Whether both show a crystal."""
        return bool(np.isfinite(self.score))

    def problem(self) -> str:
        """One sentence if crystal or pixel size must be wrong, else an empty text."""
        if not self.judged or (self.score >= SCORE and abs(np.log(self.scale)) <= CALIBRATION):
            return ""
        there, here = (", ".join(f"{r:.2f}" for r in rings) for rings in (self.experiment_rings, self.simulation_rings))
        advice = "wrong crystal or wrong pixel size?"
        if self.fitting_score >= SCORE:
            fitting = self.pixel_size * self.fitting_scale
            advice = f"wrong crystal, or wrong pixel size ({fitting:.3g} instead of {self.pixel_size:.3g} angstrom)?"
        return (
            f"The spectra do not match: the experiment has rings at {there} 1/angstrom, the simulated {self.crystal} "
            f"at {here}; {advice} Set check_likeness to false to train all the same."
        )


def _pattern(spots: Spots, stretch: float = 0.0, direction: float = 0.0) -> FloatArray:
    """Spots as a blurred picture over log frequency and angle, of norm 1; stretched along a direction."""
    y, x = spots.frequency * np.sin(spots.angle), spots.frequency * np.cos(spots.angle)
    along, across = np.cos(direction) * x + np.sin(direction) * y, np.cos(direction) * y - np.sin(direction) * x
    along, across = along * (1 + stretch / 2), across * (1 - stretch / 2)
    frequency = np.hypot(along, across)
    angle = np.degrees(np.arctan2(across, along) + direction)
    rows = np.rint(np.log(frequency / _LOW) / _STEP).astype(int)
    columns = np.rint(angle).astype(int) % _ANGLES
    picture = np.zeros((int(np.log(_HIGH / _LOW) / _STEP), _ANGLES))
    inside = (rows >= 0) & (rows < len(picture))
    # the root, for a strong ring must not hide the others
    np.maximum.at(picture, (rows[inside], columns[inside]), np.sqrt(spots.amplitude / spots.amplitude.max())[inside])
    picture = ndimage.gaussian_filter(picture, _BLUR, mode=("constant", "wrap"))
    return picture / max(float(np.linalg.norm(picture)), 1e-12)


def _scores(experiment: Spots, simulation: Spots) -> tuple[FloatArray, FloatArray]:
    """Scales, and at each the best likeness over rotations, mirrors and small stretches."""
    # what the experiment does not resolve says nothing
    seen = simulation.frequency <= 1.2 * experiment.frequency.max()
    simulation = Spots(simulation.frequency[seen], simulation.angle[seen], simulation.amplitude[seen])
    reach = int(np.log(1.6) / _STEP)
    scales = np.exp(np.arange(-reach, reach + 1) * _STEP)
    if not len(simulation.frequency):
        return scales, np.zeros(len(scales))
    picture, patterns = _pattern(experiment), _stretched_patterns(simulation)
    best = [_products(picture, one, reach).max(axis=2) for one in (patterns, patterns[:, :, ::-1])]
    return scales, np.maximum(*best).max(axis=0)


def _stretched_patterns(spots: Spots) -> FloatArray:
    """The pattern of spots in each of `_DIRECTIONS`."""
    return np.stack([_pattern(spots, *one) for one in _DIRECTIONS])


def _products(picture: FloatArray, patterns: FloatArray, reach: int) -> FloatArray:
    """Products of a picture with patterns that are scaled by -`reach` to `reach` steps and turned.

    Shape (pattern, scale, angle).
    """
    rows = fft.next_fast_len(patterns.shape[1] + 2 * reach, real=True)
    spectra = [fft.rfft2(one.astype(np.float32), (rows, _ANGLES)) for one in (picture, patterns)]
    products = fft.irfft2(spectra[0] * np.conj(spectra[1]), (rows, _ANGLES))
    return np.concatenate([products[:, -reach:], products[:, : reach + 1]], axis=1)


def best_alignment(experiment: Spots, simulation: Spots) -> FloatArray:
    """Matrix (x, y) that turns, scales and stretches the spots of a simulation until they look most like others."""
    products = _products(_pattern(experiment), _stretched_patterns(simulation), _REACH)
    best, step, angle = np.unravel_index(products.argmax(), products.shape)
    stretch, direction = _DIRECTIONS[best]
    along = _turn(direction) @ np.diag([1 + stretch / 2, 1 - stretch / 2]) @ _turn(-direction)
    return np.exp((step - _REACH) * _STEP) * _turn(np.radians(angle)) @ along


def _turn(angle: float) -> FloatArray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def likeness(
    experiment: Sequence[NDArray[np.generic]],
    simulations: Iterable[tuple[str, NDArray[np.generic]]],
    pixel_size: float,
) -> Likeness:
    """Compare images of an experiment with an image of each crystal that is simulated.

    Parameters
    ----------
    experiment
        Images (y, x), each with a rotation of its own.
    simulations
        Names of crystals and their images, at the same pixel size; taken one after the other until one fits.
    pixel_size
        In angstrom.
    """
    seen = [spots for image in experiment for spots in [bragg_spots(image, pixel_size)]]
    seen = [spots for spots in seen if len(spots.frequency) >= FEWEST]
    best = Likeness(np.nan, np.nan, "", np.nan, np.nan, [], [], pixel_size)
    if not seen:
        return best
    clearest = max(seen, key=lambda spots: len(spots.frequency))
    for name, image in simulations:
        spots = bragg_spots(image, pixel_size)
        if len(spots.frequency) < FEWEST:
            continue
        curves = [_scores(entry, spots) for entry in seen]
        scales, curve = curves[0][0], np.median([scores for _, scores in curves], axis=0)
        near = np.where(np.abs(np.log(scales)) <= 0.15, curve, -1.0)
        found = Likeness(
            score=float(near.max()),
            scale=float(scales[near.argmax()]),
            crystal=name,
            fitting_scale=float(scales[curve.argmax()]),
            fitting_score=float(curve.max()),
            experiment_rings=clearest.rings(),
            simulation_rings=spots.rings(),
            pixel_size=pixel_size,
        )
        if not found.problem():
            return found
        if not found.score <= best.score:
            best = found
    return best


def reference_images(
    structures: Sequence[MixtureSettings], pixel_size: float
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Name and perfect, noise-free image of each crystal of a mixture."""
    side = int(np.clip(round(60 / pixel_size), 192, 512))
    imaging = ImagingSettings.checked(
        {
            "shape": (side, side),
            "pixel_size": pixel_size,
            "probe": {"source_fwhm": 0.8},
            "detector": {"counting_noise": False},
        }
    )
    known = set()
    for part in structures:
        for crystal in part.crystals or (part.structure.crystal,):
            axis = part.structure.zone_axis
            name = f"{crystal} [{' '.join(str(index) for index in axis)}]" if axis else crystal
            if name not in known:
                known.add(name)
                perfect = perfect_crystal(part.structure, crystal, side * pixel_size)
                yield name, np.asarray(simulate(build(perfect, 0), imaging).micrograph.data, dtype=np.float32)


def middle_scale(structure: StructureSettings) -> float:
    """Middle of the lattice scales that are drawn."""
    return float(np.clip(middle(structure.lattice_scale), 0.5, 2))


def perfect_crystal(structure: StructureSettings, crystal: str, extent: float) -> StructureSettings:
    """The crystal without defects and distortions, at the middle of the calibrations that are drawn."""
    return structure.changed(
        crystal=crystal,
        field_of_view=(extent, extent),
        rotation=0.0,
        displacement=0.0,
        lattice_scale=middle_scale(structure),
        lattice_anisotropy=0.0,
        tilt=0.0,
        vacuum="none",
        defects=[],
    )


def likeness_to_crystals(experiment: Experiment, structures: Sequence[MixtureSettings]) -> Likeness:
    """Compare the frames of an experiment with the crystals that are to be simulated."""
    return likeness_to_images(experiment, reference_images(structures, experiment.pixel_size))


def likeness_to_images(experiment: Experiment, images: Iterable[tuple[str, NDArray[np.generic]]]) -> Likeness:
    """Compare the frames of an experiment with named images at its pixel size."""
    return likeness(experiment.middles(LOOKED_AT, SIDE), images, experiment.pixel_size)
