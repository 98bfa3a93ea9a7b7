"""Acquired and virtual images with labels that nothing was trained or chosen on: for scoring only."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from napari_stemlearn.formats import read_micrograph, read_sites, read_stack
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.sites import concat_sites

UNDECIDED = "undecided"
"""Class of labels that count neither way."""


@dataclass(frozen=True)
class LabelledSet:
    """Images with labels and the rule by which they are scored.

    Parameters
    ----------
    name, what
        Short name, and one sentence.
    images, labels
        Files below the data folder, one label file an image.
    site_class, label_class
        The class as the model calls it and as the labels do; empty for all classes of the labels.
    tolerance
        In angstrom.
    border
        Pixels at the rim without labels.
    full_class, undecided
        Labels of the undisturbed column, and the part of them, the darkest, that the semi-automatic labelling left
        between full column and vacancy: they are renamed `UNDECIDED` and count neither way.
    model
        Shipped model that is scored.
    """

    name: str
    what: str
    images: tuple[str, ...]
    labels: tuple[str, ...]
    site_class: str
    label_class: str
    tolerance: float
    border: float
    full_class: str = ""
    undecided: float = 0.0
    model: str = "tmd-defects"

    def load(self, folder: Path) -> tuple[Micrograph, pd.DataFrame]:
        """Images as one stack, and the labels with one frame number an image."""
        paths = [folder / image for image in self.images]
        micrograph = read_micrograph(paths[0]) if len(paths) == 1 else read_stack(paths, name=self.name)
        tables = []
        for frame, path in enumerate(self.labels):
            table = read_sites(folder / path, pixel_size=micrograph.pixel_size, origin="hand")
            if self.undecided:
                table = undecided_renamed(table, micrograph.frame(frame), self.full_class, self.undecided)
            tables.append(table.assign(frame=frame))
        return micrograph, concat_sites(tables)

    def rule(self, micrograph: Micrograph, labels: pd.DataFrame) -> dict[str, Any]:
        """Parameters for `napari_stemlearn.scoring.score`."""
        named = [self.label_class] if self.label_class else sorted(set(labels["class"]))
        return {
            "tolerance_angstrom": self.tolerance,
            "pixel_size": micrograph.pixel_size,
            "border": self.border,
            "shape": micrograph.shape,
            "truth_class_map": dict.fromkeys(named, self.site_class),
            "classes": [self.site_class],
            "frames": list(range(len(self.labels))),
            "ignore": [UNDECIDED],
        }


def undecided_renamed(labels: pd.DataFrame, image: NDArray[Any], full_class: str, part: float) -> pd.DataFrame:
    """Rename the darkest `part` of the columns labelled `full_class` to `UNDECIDED`, by the image alone."""
    pixel_size = float((labels["y_angstrom"] / labels["y"])[labels["y"] > 0].median())
    image = np.asarray(image, dtype=float)
    spots = ndimage.gaussian_filter(image, 0.6 / pixel_size) - ndimage.gaussian_filter(image, 8.0 / pixel_size)
    level = ndimage.map_coordinates(spots, [labels["y"], labels["x"]], order=1)
    full = (labels["class"] == full_class).to_numpy()
    dark = full & (level < np.quantile(level[full], part))
    return labels.assign(**{"class": labels["class"].mask(dark, UNDECIDED)})


def _day_files(day: str, ending: str) -> tuple[str, ...]:
    return tuple(f"wse2-virtual/{day}/labelled_{number}{ending}" for number in range(3))


def _columns(
    name: str, images: tuple[str, ...], labels: tuple[str, ...], border: float, tolerance: float = 0.6
) -> LabelledSet:
    return LabelledSet(
        f"columns, {name}", "every column labelled", images, labels, "column", "", tolerance, border, model="columns"
    )


def _all_of_doped(name: str, folder: str, border: float) -> LabelledSet:
    """Columns of both sublattices, full or not; labels are whole pixels of up to 0.39 angstrom."""
    return _columns(name, (f"{folder}/{name}_adf2.tif",), (f"{folder}/{name}_labels.csv",), border, 1.0)


def _virtual_day(day: str, site_class: str = "vacancy1", label_class: str = "") -> LabelledSet:
    return LabelledSet(
        name=f"wse2-virtual {day}" + ("" if site_class == "vacancy1" else f", {site_class}"),
        what=f"WSe2, virtual {day.replace('_', ' ')}: 3 frames of 1024 by 1024 pixels with exact truth",
        images=_day_files(day, ".tif"),
        labels=_day_files(day, "_defects.csv"),
        site_class=site_class,
        label_class=label_class or site_class,
        tolerance=0.9,
        border=16,
    )


def _doped(name: str, folder: str, image: str, labels: str, what: str, border: float) -> LabelledSet:
    return LabelledSet(
        name, what, (f"{folder}/{image}",), (f"{folder}/{labels}",), "vacancy1", "V_Se", 1.0, border, "Se2", 0.025
    )


SETS: tuple[LabelledSet, ...] = (
    _virtual_day("day_a"),
    _virtual_day("day_b"),
    _doped(
        "ti2", "wse2-ti-doped-labelled", "ti2_adf2.tif", "ti2_labels.csv", "Ti-doped WSe2, low-angle ADF, measured", 10
    ),
    _doped(
        "ti25",
        "wse2-ti-doped-labelled",
        "ti25_adf2.tif",
        "ti25_labels.csv",
        "Ti-doped WSe2, low-angle ADF, measured",
        10,
    ),
    _doped(
        "cr9", "wse2-cr-doped-labelled", "cr9_adf2.tif", "cr9_labels.csv", "Cr-doped WSe2, low-angle ADF, measured", 14
    ),
    *(
        _virtual_day(day, *classes)
        for classes in (("vacancy2",), ("metal_vacancy",), ("antisite", "w_antisite"))
        for day in ("day_a", "day_b")
    ),
    _columns("wse2-virtual day_a", _day_files("day_a", ".tif"), _day_files("day_a", "_columns.csv"), 16),
    _columns("wse2-virtual day_b", _day_files("day_b", ".tif"), _day_files("day_b", "_columns.csv"), 16),
    _columns(
        "graphene",
        ("graphene-atoms-nn-labelled/gb_6nm.tif",),
        ("graphene-atoms-nn-labelled/gb_6nm_labels.csv",),
        12,
    ),
    _columns(
        "graphene, one Si",
        ("graphene-atoms-nn-labelled/si_2nm.tif",),
        ("graphene-atoms-nn-labelled/si_2nm_labels.csv",),
        12,
    ),
    _all_of_doped("ti2", "wse2-ti-doped-labelled", 10),
    _all_of_doped("ti25", "wse2-ti-doped-labelled", 10),
    _all_of_doped("cr9", "wse2-cr-doped-labelled", 14),
    _columns(
        "Au nanoparticle",
        ("au-nanoparticle-columns/au_np_crop.tif",),
        ("au-nanoparticle-columns/au_np_crop_labels.csv",),
        12,
    ),
)
"""All sets, in the order of the tables."""


def data_folder() -> Path | None:
    """Folder of the images: STEMLEARN_DATA, else ``shared/data`` beside the repository; None where there is none."""
    chosen = os.environ.get("STEMLEARN_DATA")
    folder = Path(chosen) if chosen else Path(__file__).resolve().parents[2] / "shared" / "data"
    return folder if folder.is_dir() else None
