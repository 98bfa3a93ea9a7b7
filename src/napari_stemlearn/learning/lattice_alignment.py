"""Simulated lattices lie and are stretched as those of the experiment, so that a critic sees no difference in them.

The Bragg spots of a frame and of the perfect crystal give the linear map between both. It splits into what a specimen
has (rotation and scale) and what a scan does to it (step of the lines, shear).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.distributions import Distribution
from napari_stemlearn.imaging.settings import ImagingSettings
from napari_stemlearn.learning.experiment import Experiment
from napari_stemlearn.learning.likeness import (
    FEWEST,
    SIDE,
    Spots,
    best_alignment,
    bragg_spots,
    middle_scale,
    reference_images,
)
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

SPREAD = 0.002
"""Standard deviation of step and shear around the measured ones, at least: what the spots do not tell."""


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


def alignments(experiment: Experiment, structure: MixtureSettings) -> list[Alignment]:
    """How the lattice lies in frames of an experiment; frames that do not tell are left out."""
    size = experiment.pixel_size
    (_, image), *_ = reference_images([structure], size)
    crystal = bragg_spots(image, size)
    frames = (bragg_spots(frame, size) for frame in experiment.middles(MOST_FRAMES, SIDE))
    return [found for spots in frames if (found := align_lattice(spots, crystal)) is not None]


def aligned_settings(
    structures: Sequence[MixtureSettings], imaging: ImagingSettings, experiment: Experiment
) -> tuple[tuple[MixtureSettings, ...], ImagingSettings, str]:
    """Turn and stretch the lattices of simulations as in the experiment.

    Parameters
    ----------
    structures
        Only a single crystal can be aligned; a mixture of several is left as it is.
    imaging
        Its step of the lines and its shear become the measured ones.
    experiment
        The frames.

    Returns
    -------
    structures, imaging, remark
        What was measured, or why nothing was changed, in one sentence.
    """
    given = tuple(structures)
    crystals = {crystal for part in given for crystal in part.crystals or (part.structure.crystal,)}
    if len(crystals) > 1:
        return given, imaging, "Simulated lattices keep their own rotations: there is more than one crystal."
    found = alignments(experiment, given[0])
    if not found:
        return given, imaging, "Simulated lattices keep their own rotations: the frames do not tell theirs."
    # spots look the same from behind, atoms do not
    rotations = [round((entry.rotation + half) % 360, 3) for entry in found for half in (0.0, 180.0)]
    # the reference has the middle of the scales that the settings draw
    scale = middle_scale(given[0].structure) * float(np.median([entry.lattice_scale for entry in found]))
    parts = tuple(
        part.model_copy(
            update={
                "structure": part.structure.changed(
                    rotation=Distribution(kind="choice", values=tuple(rotations)),
                    lattice_scale=round(float(np.clip(scale, 0.5, 2)), 5),
                    lattice_anisotropy=0.0,
                )
            }
        )
        for part in given
    )
    scan = imaging.scan.changed(
        scale_y=_around([entry.scale_y for entry in found]), shear=_around([entry.shear for entry in found])
    )
    turned = ", ".join(f"{angle:.0f}" for angle in sorted({round(entry.rotation % 180) for entry in found})[:6])
    remark = (
        f"Simulated lattices are turned by {turned} degrees, scaled by {scale:.3f}, and scanned with lines "
        f"{np.median([entry.scale_y for entry in found]):.3f} pixels apart, as in the experiment."
    )
    return parts, imaging.model_copy(update={"scan": scan}), remark


def _around(values: Sequence[float]) -> Distribution:
    spread = max(float(np.std(values)), SPREAD)
    return Distribution(kind="normal", values=(round(float(np.mean(values)), 5), round(spread, 5)))
