"""Refuse a specimen that cannot be built, before anything is written for it."""

from __future__ import annotations

from napari_stemlearn.structures.build import build
from napari_stemlearn.structures.settings import StructureSettings

SIDE = 20.0
"""Side in angstrom of the specimen that is built on trial."""


def check_buildable(settings: StructureSettings) -> None:
    """Build a small specimen: its CIF file is read, its sublattices and its zone axis are looked up.

    Raises
    ------
    SettingsError
        If crystal, sublattices, mixture and defects do not fit together.
    FormatError
        If the crystal is a CIF file that cannot be read.
    """
    # checked already: only the size changes, inside its bounds
    build(settings.model_copy(update={"field_of_view": (SIDE, SIDE), "margin": 0.0}), 0)
