"""What a search may have found, class by class, and the thresholds over it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd


class Candidates:
    """The candidates of a search and the thresholds over them.

    Parameters
    ----------
    thresholds
        Of each class, in their order.
    lowest
        Score down to which candidates were kept, of each class.
    pixel_size
        In angstrom.
    frame_shape
        Shape (y, x) of a frame in pixels.
    exclusive
        Groups of classes of which a place holds only one: of those above their thresholds, the one with the highest
        score.
    min_distance
        How near to each other these are at one place, in pixels.
    """

    def __init__(
        self,
        thresholds: dict[str, float],
        lowest: dict[str, float],
        pixel_size: float,
        frame_shape: tuple[int, int],
        exclusive: Sequence[Sequence[str]] = (),
        min_distance: float = 0.0,
    ) -> None:
        self.exclusive = exclusive
        self.min_distance = min_distance
        self.thresholds = dict(thresholds)
        self.lowest = lowest
        self.hidden: set[str] = set()
        self.pixel_size = pixel_size
        self.frame_shape = frame_shape
        self.tables: list[pd.DataFrame] = []
        self.frames: list[int] = []

    @property
    def classes(self) -> list[str]:
        """Classes in the model's order."""
        return list(self.thresholds)

    def add(self, frame: int, table: pd.DataFrame) -> None:
        """Take in the candidates of a frame."""
        self.frames.append(frame)
        self.tables.append(table)

    def calibrate(self, pixel_size: float) -> None:
        """Take another pixel size; candidates stay on their pixels."""
        from napari_stemlearn.sites import recalibrated

        self.pixel_size = pixel_size
        self.tables = [recalibrated(table, pixel_size) for table in self.tables]

    def table(self) -> pd.DataFrame:
        """All candidates."""
        from napari_stemlearn.sites import concat_sites

        return concat_sites(self.tables)

    def mask(self, table: pd.DataFrame, *, visible_only: bool = True) -> NDArray[np.bool_]:
        """Mask of the sites at or above the threshold of their class, without classes that are switched off."""
        names = table["class"].to_numpy(dtype=object)
        scores = table["score"].to_numpy(dtype=float)
        kept = np.zeros(len(table), dtype=bool)
        for name, threshold in self.thresholds.items():
            kept |= (names == name) & (scores >= threshold)
        if self.exclusive:
            kept[kept] = self._keep_their_place(table[kept])
        if visible_only:
            kept &= ~np.isin(names.astype(str), list(self.hidden))
        return kept

    def _keep_their_place(self, table: pd.DataFrame) -> NDArray[np.bool_]:
        from napari_stemlearn.finding.rivals import strongest_of_rivals

        y, x = (table[axis].to_numpy(dtype=float) for axis in ("y", "x"))
        # frames beside each other, so that sites meet those of their own frame only
        y = y + table["frame"].to_numpy() * (self.frame_shape[0] + 2 * self.min_distance)
        return strongest_of_rivals(y, x, table["score"], table["class"], self.exclusive, self.min_distance)

    def counts(self, table: pd.DataFrame) -> dict[str, int]:
        """Number at or above the threshold, of each class."""
        names = table["class"].to_numpy(dtype=object)[self.mask(table, visible_only=False)]
        return {name: int(np.count_nonzero(names == name)) for name in self.classes}

    def area(self) -> float:
        """Searched area in nm², all frames together."""
        height, width = self.frame_shape
        return height * width * (self.pixel_size / 10) ** 2 * max(len(self.frames), 1)


def lowest_scores(thresholds: dict[str, float], floor: float) -> dict[str, float]:
    """Scores down to which candidates are kept: the floor, or less where a class's own threshold is less."""
    return {name: min(floor, threshold) for name, threshold in thresholds.items()}
