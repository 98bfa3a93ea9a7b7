from .computation import compute_images
from .cross_sections import partial_cross_sections
from .labelled import LabelledMicrograph
from .plain_specimen import PlainSpecimen
from .preparation import prepare_image
from .settings import (
    AdfSettings,
    ContaminationSettings,
    DetectorSettings,
    ImagingSettings,
    ProbeSettings,
    ScanSettings,
)
from .simulate import SimulatedBatch, simulate_batch

__all__ = [
    "AdfSettings",
    "ContaminationSettings",
    "DetectorSettings",
    "ImagingSettings",
    "LabelledMicrograph",
    "PlainSpecimen",
    "ProbeSettings",
    "ScanSettings",
    "SimulatedBatch",
    "compute_images",
    "partial_cross_sections",
    "prepare_image",
    "simulate_batch",
]
