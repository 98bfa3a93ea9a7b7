"""How alike the looks of two sets of images are, in one report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.errors import MicrographError
from napari_stemlearn.learning.features import FeatureNetwork, load_features
from napari_stemlearn.scoring.realism import frechet_distance, kernel_distance_of_subsets, realism

FEWEST_FOR_KID, FEWEST_FOR_FID = 4, 2
"""Patches of a set below which there is no kernel distance; patches a dimension below which the Frechet distance says
nothing."""


@dataclass(frozen=True)
class LookReport:
    """Distances between an experiment and other images; 0 for equal looks.

    Parameters
    ----------
    spectrum, grey_levels, noise
        As of `scoring.realism.Realism`.
    kid, kid_error
        Kernel distance of the features and its standard error over disjoint subsets.
    fid
        Frechet distance of the features; NaN where there are too few patches.
    patches
        Number of patches of the experiment and of the other images.
    subset
        Patches of either side in a subset.
    network
        The feature network with layer and preprocessing in words.
    """

    spectrum: float
    grey_levels: float
    noise: float
    kid: float
    kid_error: float
    fid: float
    patches: tuple[int, int]
    subset: int
    network: str

    def record(self) -> dict[str, Any]:
        """Plain values for JSON; None where a number says nothing."""
        return {
            key: None if isinstance(value, float) and np.isnan(value) else value for key, value in asdict(self).items()
        }


def compare_looks(
    experiment: NDArray[np.floating] | Sequence[NDArray[np.floating]],
    images: NDArray[np.floating] | Sequence[NDArray[np.floating]],
    pixel_size: float,
    *,
    network: FeatureNetwork | None = None,
) -> LookReport:
    """Compare the look of images with that of an experiment.

    Parameters
    ----------
    experiment, images
        Images (y, x) of one pixel size: simulated, with noise set by hand, or generated. The images of a set share a
        shape; grey levels may differ by gain and offset. Both sets should show the same crystal.
    pixel_size
        In angstrom.
    network
        For KID and FID; None loads the usual one.

    Raises
    ------
    MicrographError
        If images are too small or too few, or have one grey level everywhere.
    """
    sets = [np.asarray(images, dtype=np.float32).reshape(-1, *np.shape(images)[-2:]) for images in (experiment, images)]
    plain = realism(*sets)
    network = network or load_features()
    measured, other = (network.features(images, pixel_size) for images in sets)
    if min(len(measured), len(other)) < FEWEST_FOR_KID:
        raise MicrographError(
            f"There are {min(len(measured), len(other))} patches to compare; at least {FEWEST_FOR_KID} of each set are "
            "needed, so take more or larger images."
        )
    kid, error, subset = kernel_distance_of_subsets(measured, other)
    enough = min(len(measured), len(other)) >= FEWEST_FOR_FID * network.dimension
    return LookReport(
        spectrum=plain.spectrum,
        grey_levels=plain.grey_levels,
        noise=plain.noise,
        kid=kid,
        kid_error=error,
        fid=frechet_distance(measured, other) if enough else float("nan"),
        patches=(len(measured), len(other)),
        subset=subset,
        network=network.description,
    )
