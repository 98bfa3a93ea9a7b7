"""From a specimen and the settings of a microscope to a labelled micrograph.

The functions are in `napari_stemlearn.imaging.simulate`; what is named here loads on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "AdfSettings": "settings",
    "ContaminationSettings": "settings",
    "DetectorSettings": "settings",
    "ImagingSettings": "settings",
    "ProbeSettings": "settings",
    "ScanSettings": "settings",
    "LabelledMicrograph": "labelled",
    "PlainSpecimen": "plain_specimen",
    "SimulatedBatch": "simulate",
    "compute_images": "computation",
    "prepare_image": "preparation",
    "simulate_batch": "simulate",
    "partial_cross_sections": "cross_sections",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
