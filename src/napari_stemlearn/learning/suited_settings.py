"""Settings of a training that suit a data set or a generator: its pixel size, its defects, its one look."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stemlearn.errors import ModelError, SettingsError
from napari_stemlearn.folder_names import folder_name
from napari_stemlearn.learning.generator_cards import BY_A_SET, knows_no_simulation, read_generator_card
from napari_stemlearn.learning.settings import MixtureSettings, SegmentationSettings
from napari_stemlearn.learning.truth_classes import ALL_COLUMNS, DEFECT_KINDS, possible

if TYPE_CHECKING:
    from napari_stemlearn.datasets.store import DataSet

CROP_STEP = 16
"""Crops that are made smaller for small images stay multiples of this many pixels."""

COLUMN = "column"
"""Class of the network where a specimen has no defects."""


def settings_for_data_set(path: str | Path, where: str = "", *, preset: str = "quick") -> SegmentationSettings:
    """Settings of a training on a data set.

    Parameters
    ----------
    path
        Folder of the set.
    where
        Query for the images to learn from; empty takes all.
    preset
        What the other settings are taken from.

    Returns
    -------
    SegmentationSettings
        With the pixel size and specimens of the set, the defects that occur in it as classes (all columns, where none
        do), and crops that fit its images. A set that a generator made has one look, so no other style is held out.

    Raises
    ------
    FormatError
        If there is no such set, or it is damaged.
    QueryError
        If the query cannot be understood.
    """
    from napari_stemlearn.datasets.store import open_data_set

    data_set = open_data_set(path)
    try:
        base = SegmentationSettings.preset(preset)
        changes = _at(data_set.pixel_size, data_set.name)
        changes["data"] = {**base.data.record(), "source": "folder", "folder": str(path), "where": where}
        changes["data"]["generator"] = ""
        changes["targets"] = {**base.targets.record(), "classes": _classes(_defects_in(data_set, where))}
        side = min(data_set.shape)
        if side < base.optimisation.crop:
            crop = max(side // CROP_STEP, 1) * CROP_STEP
            changes["optimisation"] = {**base.optimisation.record(), "crop": crop}
        if data_set.card["generator"]:
            changes["validation"] = {**base.validation.record(), "held_out_style": "unchanged"}
        with contextlib.suppress(SettingsError, KeyError, TypeError):
            changes["structures"] = [part.record() for part in _mixture(data_set.settings["structures"])]
    finally:
        data_set.close()
    return SegmentationSettings.checked({**base.record(), **changes})


def settings_for_generator(folder: str | Path, *, preset: str = "quick") -> SegmentationSettings:
    """Settings of a training that simulates what a generator learnt from, and lets it translate that, while it trains.

    Parameters
    ----------
    folder
        Of the generator.
    preset
        What the other settings are taken from.

    Raises
    ------
    ModelError
        If there is no generator, it learnt from a simulated stack, or its card does not tell what it learnt from.
    """
    card = read_generator_card(folder)
    unknown = knows_no_simulation(card, BY_A_SET)
    if unknown:
        raise ModelError(unknown)
    try:
        structures = _mixture(card["settings"]["structures"])
        pixel_size, name = float(card["pixel_size"]), str(card["name"])
    except (KeyError, TypeError, ValueError, SettingsError) as error:
        raise ModelError(f"The generator in {folder} does not tell what it learnt from: {error}.") from error
    base = SegmentationSettings.preset(preset)
    there = {defect.kind for part in structures for defect in part.structure.defects if possible(defect)}
    changes = {
        **_at(pixel_size, name),
        "structures": [part.record() for part in structures],
        "data": {**base.data.record(), "source": "simulation", "folder": "", "where": "", "generator": str(folder)},
        "targets": {**base.targets.record(), "classes": _classes([kind for kind in DEFECT_KINDS if kind in there])},
        "validation": {**base.validation.record(), "held_out_style": "unchanged"},
    }
    return SegmentationSettings.checked({**base.record(), **changes})


def _at(pixel_size: float, name: str) -> dict[str, Any]:
    # sets can have names that no folder can have
    return {"name": folder_name(name, "model"), "pixel_size": pixel_size, "acquisition_pixel_size": pixel_size}


def _mixture(parts: Any) -> list[MixtureSettings]:
    return [MixtureSettings.checked(part) for part in parts]


def _classes(defects: list[str]) -> dict[str, list[str]]:
    return {name: [name] for name in defects} or {COLUMN: [ALL_COLUMNS]}


def _defects_in(data_set: DataSet, where: str) -> list[str]:
    """Classes of defects in the images that fulfil a query, in their usual order."""
    if where:
        table = data_set.query(where)
        counts = {name: int(table[f"n_{name}"].sum()) for name in DEFECT_KINDS if f"n_{name}" in table}
    else:
        counts = data_set.table.totals().get("defect", {})
    return [name for name in DEFECT_KINDS if counts.get(name)]
