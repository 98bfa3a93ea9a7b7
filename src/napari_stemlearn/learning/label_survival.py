"""Whether atoms are still where the labels say after a translation, and whether defects are still defects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_stemlearn.finding.gaussians import fit_gaussians
from napari_stemlearn.learning.cyclegan_settings import SurvivalSettings
from napari_stemlearn.sites import inside

FloatArray = NDArray[np.float64]

BORDER = 2.0
"""Sites nearer to the rim, in angstrom, are left out."""

LIKE = 6
"""Perfect columns of the same sublattice, the nearest ones, with which a defect is compared."""

TELLING = 0.15
"""Part of the columns' height by which a defect must differ in the simulation to say anything."""


FAINT = 0.1
"""Columns lower than this part of the highest ones are not asked for: oxygen beside strontium drowns in any noise."""

HIGHEST = 0.9
"""Quantile of the heights that stands for the highest columns; a heavy adatom or two must not."""


@dataclass(frozen=True)
class LabelSurvival:
    """What became of the labels.

    Parameters
    ----------
    recall
        Part of the atom columns found again within the tolerance.
    displacement
        Mean distance between label and column in angstrom, of those found; what noise adds is taken out.
    drift_y, drift_x
        Mean shift in angstrom.
    contrast_sign
        Part of the vacancies and other dark defects that are still darker than their like (and bright ones brighter);
        NaN where the images hold none.
    defect_contrast
        Median of the defects' contrast after the translation over that before: 1 where all is kept, 0 where defects
        are painted over, negative where they are inverted. Gain and offset do not count. NaN where there is none.
    """

    recall: float
    displacement: float
    drift_y: float
    drift_x: float
    contrast_sign: float
    defect_contrast: float

    def record(self) -> dict[str, float]:
        """Plain values, named as the metrics of a training."""
        return {f"labels_{name}": value for name, value in asdict(self).items()}

    def problem(self, settings: SurvivalSettings) -> str:
        """One sentence if the translation must not be used, else an empty text."""
        if np.isnan(self.recall):
            return "No atom column can be told in the simulated images, so nobody knows whether labels survive."
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
        if self.contrast_sign < 0.5:
            return "The generator inverts the contrast of defects."
        if self.defect_contrast < settings.defect_contrast:
            return (
                f"The generator paints over defects: {100 * max(self.defect_contrast, 0):.0f} % of their contrast is "
                f"left; {100 * settings.defect_contrast:.0f} % are needed."
            )
        return ""


@dataclass(frozen=True)
class FollowedLabels:
    """Labels of one image before and after a translation.

    Parameters
    ----------
    shift
        Shift (y, x) of each column in angstrom, NaN where it is not found, shape (n, 2).
    chance
        What chance adds to the shifts, shape (n, 2): half the difference between two halves of the translations.
    before, after
        Contrast of each telling defect against its like, shape (k,).
    """

    shift: FloatArray
    chance: FloatArray
    before: FloatArray
    after: FloatArray


def translations(
    translate: Callable[[NDArray[np.float32]], NDArray[np.float32]], image: NDArray[np.float32], repeats: int
) -> NDArray[np.float32]:
    """Several translations of one image, each with noise of its own, shape (repeat, y, x)."""
    return np.stack([translate(image) for _ in range(repeats)])


def follow_labels(
    simulated: NDArray[np.floating],
    translated: NDArray[np.floating],
    columns: pd.DataFrame,
    defects: pd.DataFrame,
    pixel_size: float,
    tolerance: float,
) -> FollowedLabels:
    """Find the labels of a simulation again in its translations.

    Columns that cannot be told in the simulation itself (overlapping: the fit fails) or are `FAINT` are left out, and
    shifts are measured against the fit in the simulation, so that only what the translation does is counted. Positions
    are looked for in the mean over translations, which holds little noise; what is left of it is told by the
    difference between the means of either half.

    Parameters
    ----------
    simulated
        Shape (y, x), without noise.
    translated
        Shape (repeat, y, x), or (y, x) for one.
    columns, defects
        Site tables of the simulation; their columns ``sublattice`` and ``defect`` tell what is alike.
    pixel_size
        In angstrom.
    tolerance
        In angstrom.
    """
    stack = np.asarray(translated, dtype=float).reshape(-1, *simulated.shape)
    mean = stack.mean(axis=0)
    shape = (simulated.shape[0], simulated.shape[1])
    table = columns[inside(columns, shape, border=BORDER / pixel_size)]
    y, x = table["y"].to_numpy(dtype=float), table["x"].to_numpy(dtype=float)
    before, height = _fitted(simulated, y, x, pixel_size)
    clear = np.hypot(*(before - np.stack([y, x], axis=1)).T) * pixel_size <= tolerance
    if clear.any():
        clear &= height >= FAINT * np.quantile(height[clear], HIGHEST)
    y, x, before = y[clear], x[clear], before[clear]
    shift = (_fitted(mean, y, x, pixel_size)[0] - before) * pixel_size
    chance = np.zeros_like(shift)
    if len(stack) > 1:
        half = [_fitted(stack[first::2].mean(axis=0), y, x, pixel_size)[0] for first in (0, 1)]
        chance = 0.5 * (half[0] - half[1]) * pixel_size
    contrasts = [_contrasts(image, columns, defects, pixel_size) for image in (simulated, mean)]
    telling = np.abs(contrasts[0]) > TELLING
    # where no column stands out any more, no defect does
    return FollowedLabels(shift, chance, contrasts[0][telling], np.nan_to_num(contrasts[1][telling]))


def label_survival(followed: Sequence[FollowedLabels], tolerance: float) -> LabelSurvival:
    """Sum up what became of the labels of several images.

    Parameters
    ----------
    followed
        One for each image.
    tolerance
        In angstrom.
    """
    shift = np.concatenate([entry.shift for entry in followed])
    chance = np.concatenate([entry.chance for entry in followed])
    before = np.concatenate([entry.before for entry in followed])
    after = np.concatenate([entry.after for entry in followed])
    distance = np.hypot(*shift.T)
    found = distance <= tolerance
    displacement, drift = float("nan"), (float("nan"), float("nan"))
    if found.any():
        by_chance = np.hypot(*chance[found].T)
        by_chance = by_chance[by_chance <= tolerance]
        noise = float(by_chance.mean()) if len(by_chance) else 0.0
        displacement = float(np.sqrt(max(distance[found].mean() ** 2 - noise**2, 0.0)))
        drift = float(shift[found, 0].mean()), float(shift[found, 1].mean())
    return LabelSurvival(
        recall=float(found.mean()) if len(found) else float("nan"),
        displacement=displacement,
        drift_y=drift[0],
        drift_x=drift[1],
        contrast_sign=float(np.mean(np.sign(before) == np.sign(after))) if len(before) else float("nan"),
        defect_contrast=float(np.median(after / before)) if len(before) else float("nan"),
    )


def _fitted(
    image: NDArray[np.floating], y: FloatArray, x: FloatArray, pixel_size: float
) -> tuple[FloatArray, FloatArray]:
    """Positions (y, x) of columns in pixels, NaN where none is found, and their heights."""
    fits = fit_gaussians(image, y, x, sigma=0.45 / pixel_size, radius=max(0.8 / pixel_size, 2.0))
    good = fits.converged & (fits.amplitude > 0)
    return np.where(good[:, None], np.stack([fits.y, fits.x], axis=1), np.nan), fits.amplitude


def _contrasts(
    image: NDArray[np.floating], columns: pd.DataFrame, defects: pd.DataFrame, pixel_size: float
) -> FloatArray:
    """How much brighter each defect is than its like nearby, in heights of a column of its kind; NaN where none is."""
    shape = (image.shape[0], image.shape[1])
    defects = defects[inside(defects, shape, border=BORDER / pixel_size)]
    regular = columns[inside(columns, shape, border=BORDER / pixel_size)]
    if "defect" in regular:
        regular = regular[regular["defect"] == ""]
    smooth = ndimage.gaussian_filter(np.asarray(image, dtype=float), 0.4 / pixel_size)
    # the darkest place within half a cell is the ground on which a column stands
    ground = ndimage.minimum_filter(smooth, size=max(round(3.5 / pixel_size), 3))

    def read(picture: FloatArray, table: pd.DataFrame) -> FloatArray:
        places = [table["y"].to_numpy(dtype=float), table["x"].to_numpy(dtype=float)]
        return np.asarray(ndimage.map_coordinates(picture, places, order=1), dtype=float)

    level, contrast = read(smooth, defects), np.full(len(defects), np.nan)
    kinds = [table.get("sublattice", pd.Series("", table.index)).astype(str) for table in (defects, regular)]
    for sublattice in kinds[0].unique():
        own, like = (kinds[0] == sublattice).to_numpy(), regular[kinds[1] == sublattice]
        if len(like) < LIKE or not own.any():
            continue
        like_level = read(smooth, like)
        height = np.median(like_level - read(ground, like))
        if not height > 0:
            continue
        _, nearest = cKDTree(like[["y", "x"]].to_numpy(dtype=float)).query(
            defects.loc[own, ["y", "x"]].to_numpy(dtype=float), k=LIKE
        )
        contrast[own] = (level[own] - np.median(like_level[nearest], axis=1)) / height
    return contrast
