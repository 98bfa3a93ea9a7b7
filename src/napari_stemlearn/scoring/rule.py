"""How found and true sites are compared: what every function of scoring takes beside the two tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np

from napari_stemlearn.errors import SitesError


class RuleOptions(TypedDict, total=False):
    """Keywords of `match`, `score` and `sweep`: fields of `ScoringRule`."""

    border: float | None
    class_map: Mapping[str, str] | None
    shape: tuple[int, int] | None
    truth_class_map: Mapping[str, str] | None
    ignore: Sequence[str]
    classes: Sequence[str] | None
    frames: Sequence[int] | None
    searched_border: float
    searched_classes: Sequence[str] | None
    searched_frames: Sequence[int] | None
    labelled_classes: Sequence[str] | None
    labelled_frames: Sequence[int] | None


@dataclass(frozen=True)
class ScoringRule:
    """How found sites are matched with true ones.

    Parameters
    ----------
    tolerance_angstrom
        Largest distance of a pair; None takes `default_tolerance`.
    pixel_size
        In angstrom; None derives it from the angstrom columns of the true or the found sites.
    border
        Sites within this many pixels of the frame's edge are left out on both sides. A pair across the line is no
        error: it counts where its true site is inside and is left out where its true site is in the border. None takes
        `searched_border` and the tolerance: what lies farther in can only be missed by the search itself.
    class_map, truth_class_map
        New names for found and for true classes; several may become one.
    shape
        Shape (y, x) of a frame in pixels; needed with a border, and to tell sites that lie outside the image.
    ignore
        True classes that are undecided: found sites left over that match one of them count neither way.
    classes
        Classes to score, in this order; None scores every class of both tables but the ignored, and but those that
        `searched_classes` and `labelled_classes` leave out.
    frames
        Frames to score; None scores every frame that has a row in either table, but those that `searched_frames` and
        `labelled_frames` leave out.
    searched_border
        Within this many pixels of the edge the search gave no sites.
    searched_classes
        Classes that the search looked for, by their names before `class_map`; true sites of others are left out. None
        where that is not known. Where sites were found and no true one has the name of any of them, nothing is left
        out: then the names differ, and that shows.
    searched_frames
        Frames that were searched; None where that is not known.
    labelled_classes
        Classes that were labelled, by their names before `truth_class_map`; found sites of others are left out, since
        nobody can say whether they are false. None takes the classes of the true table where it holds labels by hand,
        and every class where it is exact (`is_exact`). Where the names differ nothing is left out, as above.
    labelled_frames
        Frames in which every site is labelled. None takes the frames of the true table where it holds labels by hand,
        and every frame where it is exact.

    Raises
    ------
    SitesError
        If the tolerance, the pixel size, the border or the shape make no sense.
    """

    tolerance_angstrom: float | None = None
    pixel_size: float | None = None
    border: float | None = None
    class_map: Mapping[str, str] | None = None
    shape: tuple[int, int] | None = None
    truth_class_map: Mapping[str, str] | None = None
    ignore: Sequence[str] = ()
    classes: Sequence[str] | None = None
    frames: Sequence[int] | None = None
    searched_border: float = 0.0
    searched_classes: Sequence[str] | None = None
    searched_frames: Sequence[int] | None = None
    labelled_classes: Sequence[str] | None = None
    labelled_frames: Sequence[int] | None = None

    def __post_init__(self) -> None:
        if self.pixel_size is not None and not _positive(self.pixel_size):
            raise SitesError(f"The pixel size is {self.pixel_size}; it must be a positive number in angstrom.")
        for border in (self.border, self.searched_border):
            if border is not None and not border >= 0:
                raise SitesError(f"The border is {border} px; it must be 0 or more.")
        if (self.searched_border if self.border is None else self.border) > 0 and self.shape is None:
            raise SitesError("A border was asked for without the shape of the frame; give shape=(y, x) in pixels.")
        if self.tolerance_angstrom is not None and not _positive(self.tolerance_angstrom):
            raise SitesError(f"The tolerance is {self.tolerance_angstrom} angstrom; it must be a positive number.")

    def border_at(self, tolerance_angstrom: float, pixel_size: float) -> float:
        """The border in pixels: the one that was given, else what the search left out and the tolerance.

        Parameters
        ----------
        tolerance_angstrom, pixel_size
            That are used, both in angstrom.
        """
        if self.border is not None:
            return float(self.border)
        return self.searched_border + tolerance_angstrom / pixel_size if self.searched_border > 0 else 0.0

    def record(self) -> dict[str, Any]:
        """Plain values, for JSON and the record."""
        return {
            "tolerance_angstrom": self.tolerance_angstrom,
            "pixel_size": self.pixel_size,
            "border": None if self.border is None else float(self.border),
            "shape": None if self.shape is None else [int(self.shape[0]), int(self.shape[1])],
            "class_map": dict(self.class_map or {}),
            "truth_class_map": dict(self.truth_class_map or {}),
            "ignore": list(self.ignore),
            "classes": None if self.classes is None else list(self.classes),
            "frames": None if self.frames is None else list(self.frames),
        }


def _positive(value: float) -> bool:
    return bool(np.isfinite(value)) and value > 0
