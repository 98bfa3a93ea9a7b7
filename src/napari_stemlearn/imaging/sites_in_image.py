"""The truth about one image: which of a specimen's sites it shows, and where."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_stemlearn.imaging.plain_specimen import SpecimenLike
from napari_stemlearn.imaging.repeating import copies, repeating_part
from napari_stemlearn.imaging.scan import ScanPath, places_in_image
from napari_stemlearn.sites import COLUMNS, make_sites


@dataclass(frozen=True, eq=False)
class SitesInImage:
    """Sites inside one image as plain arrays; `table` makes the site table on first use.

    Parameters
    ----------
    positions
        (y, x) in pixels, shape (n, 2).
    classes
        Shape (n,), text.
    pixel_size
        In angstrom.
    rows
        Which of the specimen's sites these are, shape (n,).
    specimen
        Holds the table with what else is known about the sites.
    kind
        Which of its tables.
    """

    positions: NDArray[np.float64]
    classes: NDArray[Any]
    pixel_size: float
    rows: NDArray[np.int64]
    specimen: SpecimenLike = field(repr=False)
    kind: Literal["columns", "defects"]

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def table(self) -> pd.DataFrame:
        """Site table with the further columns of the specimen's table."""
        source = getattr(self.specimen, self.kind)
        known = {*COLUMNS, "column"}
        extra = {name: source[name].to_numpy()[self.rows] for name in source.columns if name not in known}
        y, x = self.positions.T
        return make_sites(y, x, self.classes, pixel_size=self.pixel_size, origin="truth", extra=extra)


def sites_in_image(
    specimen: SpecimenLike,
    kind: Literal["columns", "defects"],
    path: ScanPath,
    shape: tuple[int, int],
    shift: tuple[float, float] = (0.0, 0.0),
    period: tuple[float, float] | None = None,
) -> SitesInImage:
    """Sites of a specimen that are seen inside the image.

    Parameters
    ----------
    specimen
        Whose sites.
    kind
        Which of its tables.
    path
        Of the probe.
    shape
        (y, x) of the image in pixels.
    shift
        (y, x) in angstrom by which everything is seen away from its place.
    period
        Height and width in angstrom after which the specimen repeats; None where it does not.
    """
    if kind == "columns":
        places, classes = specimen.column_positions, specimen.column_class
    else:
        places, classes = specimen.defect_positions, specimen.defect_class
    rows = np.arange(len(places))
    if period is not None:
        rows = np.flatnonzero(repeating_part(specimen, places, period))
        # half a pixel of the image lies before its first place
        reach = [far + abs(away) + path.pixel_size for far, away in zip(path.reach, shift, strict=True)]
        places, taken = copies(places[rows], period, (reach[0], reach[1]))
        rows = rows[taken]
    y, x = places_in_image(path, places[:, 0] + shift[0], places[:, 1] + shift[1])
    seen = (y >= -0.5) & (y < shape[0] - 0.5) & (x >= -0.5) & (x < shape[1] - 0.5)
    rows, positions = rows[seen], np.stack([y[seen], x[seen]], axis=1)
    return SitesInImage(positions, classes[rows], path.pixel_size, rows, specimen, kind)
