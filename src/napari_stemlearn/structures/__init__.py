"""What is in the specimen: crystals seen along a zone axis and their point defects, with the truth about every column.

``build(settings, seed)`` makes a `Specimen` from `StructureSettings`; ``describe_presets()`` lists the crystals.
"""

from __future__ import annotations

from napari_stemlearn.structures.build import build
from napari_stemlearn.structures.crystals import Crystal, crystal_of
from napari_stemlearn.structures.presets import CrystalPreset, describe_presets
from napari_stemlearn.structures.settings import DefectSettings, StructureSettings
from napari_stemlearn.structures.specimen import Specimen

__all__ = [
    "Crystal",
    "CrystalPreset",
    "DefectSettings",
    "Specimen",
    "StructureSettings",
    "build",
    "crystal_of",
    "describe_presets",
]
