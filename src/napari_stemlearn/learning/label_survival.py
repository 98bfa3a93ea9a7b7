"""Whether atoms are still where the labels say after a translation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from napari_stemlearn.finding.gaussians import fit_gaussians
from napari_stemlearn.learning.cyclegan_settings import SurvivalSettings
from napari_stemlearn.sites import inside


@dataclass(frozen=True)
class LabelSurvival:
    """What became of the labels.

    Parameters
    ----------
    recall
        Part of the atom columns found again within the tolerance.
    displacement
        Mean distance between label and column in angstrom, of those found.
    drift_y, drift_x
        Mean shift in angstrom.
    contrast_sign
        Part of the vacancies and other dark defects that are still darker than their like (and bright ones brighter);
        NaN where the images hold none.
    """

    recall: float
    displacement: float
    drift_y: float
    drift_x: float
    contrast_sign: float

    def record(self) -> dict[str, float]:
        """Plain values, named as the metrics of a training."""
        return {f"labels_{name}": value for name, value in asdict(self).items()}

    def problem(self, settings: SurvivalSettings) -> str:
        """One sentence if the translation must not be used, else an empty text."""
        if self.recall < settings.recall:
            return (
                f"The generator moves or hides atoms: {100 * self.recall:.1f} % are found within "
                f"{settings.tolerance:g} angstrom of their labels; {100 * settings.recall:.1f} % are needed."
            )
        if self.displacement > settings.displacement:
            return (
                f"The generator moves atoms by {self.displacement:.3f} angstrom on average; at most "
                f"{settings.displacement:g} is allowed."
            )
        if np.isfinite(self.contrast_sign) and self.contrast_sign < 0.5:
            return "The generator inverts the contrast of defects."
        return ""


def averaged_translation(
    translate: Callable[[NDArray[np.float32]], NDArray[np.float32]], image: NDArray[np.float32], repeats: int
) -> NDArray[np.float32]:
    """Mean of several translations of one image: the noise of each is not taken for a shift of the atoms."""
    return np.mean([translate(image) for _ in range(repeats)], axis=0)


def label_survival(
    simulated: NDArray[np.floating],
    translated: NDArray[np.floating],
    columns: pd.DataFrame,
    defects: pd.DataFrame,
    pixel_size: float,
    tolerance: float,
) -> LabelSurvival:
    """Compare a translated image with the labels of the simulation it was made from.

    Columns that cannot be told in the simulation itself (too faint, overlapping: the fit fails) are left out, and
    shifts are measured against the fit in the simulation, so that only what the translation does is counted.

    Parameters
    ----------
    simulated, translated
        Shape (y, x), the mean over noise.
    columns, defects
        Site tables of the simulation.
    pixel_size
        In angstrom.
    tolerance
        In angstrom.
    """
    table = columns[inside(columns, (simulated.shape[0], simulated.shape[1]), border=2.0 / pixel_size)]
    y, x = table["y"].to_numpy(dtype=float), table["x"].to_numpy(dtype=float)
    before = _fitted(simulated, y, x, pixel_size)
    clear = np.isfinite(before[0]) & (np.hypot(before[0] - y, before[1] - x) * pixel_size <= tolerance)
    if not clear.any():
        return LabelSurvival(np.nan, np.nan, np.nan, np.nan, np.nan)
    y, x = y[clear], x[clear]
    after = _fitted(translated, y, x, pixel_size)
    shift_y = (after[0] - before[0][clear]) * pixel_size
    shift_x = (after[1] - before[1][clear]) * pixel_size
    distance = np.hypot(shift_y, shift_x)
    found = np.isfinite(distance) & (distance <= tolerance)
    return LabelSurvival(
        recall=float(found.mean()),
        displacement=float(distance[found].mean()) if found.any() else float("nan"),
        drift_y=float(shift_y[found].mean()) if found.any() else float("nan"),
        drift_x=float(shift_x[found].mean()) if found.any() else float("nan"),
        contrast_sign=_contrast_sign(simulated, translated, columns, defects, pixel_size),
    )


def _fitted(
    image: NDArray[np.floating], y: NDArray[np.float64], x: NDArray[np.float64], pixel_size: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    fits = fit_gaussians(image, y, x, sigma=0.45 / pixel_size, radius=max(0.8 / pixel_size, 2.0))
    good = fits.converged & (fits.amplitude > 0)
    return np.where(good, fits.y, np.nan), np.where(good, fits.x, np.nan)


def _contrast_sign(
    simulated: NDArray[np.floating],
    translated: NDArray[np.floating],
    columns: pd.DataFrame,
    defects: pd.DataFrame,
    pixel_size: float,
) -> float:
    """Part of the defects that differ from the usual column of their kind in the same direction before and after."""
    shape = (simulated.shape[0], simulated.shape[1])
    defects = defects[inside(defects, shape, border=2.0 / pixel_size)]
    regular = columns[inside(columns, shape, border=2.0 / pixel_size)]
    if defects.empty or regular.empty:
        return float("nan")
    smooth = [
        ndimage.gaussian_filter(np.asarray(image, dtype=float), 0.4 / pixel_size) for image in (simulated, translated)
    ]

    def levels(image: NDArray[np.floating], table: pd.DataFrame) -> NDArray[np.float64]:
        places = [table["y"].to_numpy(dtype=float), table["x"].to_numpy(dtype=float)]
        return np.asarray(ndimage.map_coordinates(image, places, order=1))

    usual = [np.median(levels(image, regular)) for image in smooth]
    change = [levels(image, defects) - level for image, level in zip(smooth, usual, strict=True)]
    # a defect as bright as the usual column says nothing about the sign
    telling = np.abs(change[0]) > 0.3 * np.std(levels(smooth[0], regular))
    if not telling.any():
        return float("nan")
    return float(np.mean(np.sign(change[0][telling]) == np.sign(change[1][telling])))
