"""Simulated lattices lie and are stretched as those of the experiment, so that a critic sees no difference in them.

The Bragg spots of a frame and of the perfect crystal give the linear map between both. It splits into what a specimen
has (rotation and scale) and what a scan does to it (step of the lines, shear).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.finding.bragg_spots import FEWEST, Spots, bragg_spots
from napari_stemlearn.learning.experiment import Experiment
from napari_stemlearn.learning.likeness import SIDE, best_alignment, reference_images
from napari_stemlearn.learning.settings import MixtureSettings

FloatArray = NDArray[np.float64]

MOST_FRAMES = 12
"""Frames that are looked at, spread over the stack."""

NEAR = (0.06, 0.04, 0.025, 0.025)
"""Distances in 1/angstrom within which spots count as the same, one after the other while the map gets better."""

LARGEST_SHEAR = 0.15
"""A map that needs more is no match."""

CHANGE_OF_STEP = 0.15
"""The like for the step of the lines."""


@dataclass(frozen=True)
class Alignment:
    """How the lattice in a frame lies.

    Parameters
    ----------
    rotation
        Of the crystal in degrees, from x towards y, up to the symmetry of its spots.
    lattice_scale
        Lattice in the image over that of the crystal: other than 1 where the pixel size is not quite right.
    scale_y
        Step of the lines in units of the pixel size.
    shear
        Shift along x for each step along y.
    spots
        Bragg spots that tell so.
    """

    rotation: float
    lattice_scale: float
    scale_y: float
    shear: float
    spots: int

    def matrix(self) -> FloatArray:
        """Map (x, y) of reciprocal vectors of the crystal to those in the image."""
        scan = np.array([[1.0, self.shear], [0.0, self.scale_y]])
        return scan.T @ self.turn() / self.lattice_scale

    def turn(self) -> FloatArray:
        """Rotation (x, y) of the crystal."""
        angle = np.radians(self.rotation)
        return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def align_lattice(experiment: Spots, crystal: Spots) -> Alignment | None:
    """Find how the lattice of a crystal lies in an image; None where the spots do not tell.

    Parameters
    ----------
    experiment
        Spots of the image.
    crystal
        Spots of the perfect crystal, not turned, at the pixel size that is stated for the image.
    """
    if min(len(experiment.frequency), len(crystal.frequency)) < FEWEST:
        return None
    matrix = best_alignment(experiment, crystal)
    there, here = (spots.frequency[:, None] * _direction(spots.angle) for spots in (experiment, crystal))
    there = np.concatenate([there, -there])
    matched = 0
    for near in NEAR:
        moved = here @ matrix.T
        distance = np.linalg.norm(moved[:, None] - there[None], axis=2)
        nearest = distance.argmin(axis=1)
        same = distance[np.arange(len(here)), nearest] < near
        matched = int(same.sum())
        if matched < FEWEST or np.linalg.matrix_rank(here[same], tol=0.05) < 2:
            return None
        matrix = np.linalg.lstsq(here[same], there[nearest[same]], rcond=None)[0].T
    found = _split(matrix, matched)
    within = found is not None and abs(found.shear) <= LARGEST_SHEAR and abs(found.scale_y - 1) <= CHANGE_OF_STEP
    return found if within else None


def _direction(angle: FloatArray) -> FloatArray:
    """Unit vectors (x, y)."""
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _split(matrix: FloatArray, spots: int) -> Alignment | None:
    """Rotation, scale, step and shear of a map (x, y) of reciprocal vectors.

    The scan maps a place in the image to one on the specimen by S = [[1, shear], [0, scale_y]]; with the specimen
    scaled by s and turned by R, reciprocal vectors are mapped by S^T R / s.
    """
    turned, upper = np.linalg.qr(matrix.T)
    signs = np.sign(np.diag(upper))
    lower, rotation = (upper * signs[:, None]).T, (turned * signs).T
    if np.linalg.det(rotation) < 0 or not lower[0, 0] > 0:
        return None
    scale = 1 / lower[0, 0]
    angle = float(np.degrees(np.arctan2(rotation[1, 0], rotation[0, 0])))
    return Alignment(angle % 360, float(scale), float(lower[1, 1] * scale), float(lower[1, 0] * scale), spots)


def alignments(experiment: Experiment, structure: MixtureSettings) -> list[tuple[FloatArray, Alignment]]:
    """Frames of an experiment and how the lattice lies in them; frames that do not tell are left out."""
    size = experiment.pixel_size
    (_, image), *_ = reference_images([structure], size)
    crystal = bragg_spots(image, size)
    frames = experiment.middles(MOST_FRAMES, SIDE)
    found = [(frame, align_lattice(bragg_spots(frame, size), crystal)) for frame in frames]
    return [(np.asarray(frame, dtype=float), alignment) for frame, alignment in found if alignment is not None]
