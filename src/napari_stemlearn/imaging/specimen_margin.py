"""How much specimen must lie round the imaged area."""

from __future__ import annotations

from napari_stemlearn.distributions import Distribution
from napari_stemlearn.imaging.settings import ImagingSettings

SPECIMEN_RIM = 6.0
"""Angstrom of specimen built beyond the worst scan: more than is computed round it (`preparation.COMPUTED_RIM`)."""


def needed_margin(imaging: ImagingSettings) -> float:
    """Angstrom of specimen needed round the field of view, so that no distorted scan leaves it."""
    scan = imaging.scan
    height = imaging.shape[0] * imaging.pixel_size

    def most(value: float | Distribution, around: float = 0.0) -> float:
        low, high = value.extent() if isinstance(value, Distribution) else (value, value)
        return max(abs(low - around), abs(high - around))

    # random parts are normal with the given root mean square; the bow is 2.24 of it at the frame's edge
    random = 7.0 * most(scan.drift_change) + 4.0 * most(scan.wobble)
    y = 0.5 * most(scan.drift_y) + 0.5 * height * most(scan.scale_y, 1.0) + 4.0 * most(scan.line_jitter_y)
    x = 0.5 * most(scan.drift_x) + 0.5 * height * most(scan.shear) + 4.0 * most(scan.line_jitter_x)
    x += most(scan.hum) + most(scan.flyback)
    return SPECIMEN_RIM + random + max(y, x)
