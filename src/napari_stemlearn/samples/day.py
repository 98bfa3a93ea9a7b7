"""A day at the microscope without a microscope: unlabelled frames of WSe2 in one style, and one with all truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_stemlearn.imaging.labelled import LabelledMicrograph
from napari_stemlearn.imaging.settings import ImagingSettings
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.structures.settings import StructureSettings

PIXEL_SIZE = 0.2
"""Side of a pixel in angstrom."""


@dataclass(frozen=True)
class SimulatedDay:
    """What was acquired on the day.

    Parameters
    ----------
    stack
        Unlabelled frames (frame, y, x).
    labelled
        One further frame with all columns and defects.
    """

    stack: Micrograph
    labelled: LabelledMicrograph


def structure_settings(size: int = 512) -> StructureSettings:
    """The specimen of the day: one flake of WSe2, so all frames have nearly the same orientation."""
    field = size * PIXEL_SIZE
    return StructureSettings.checked(
        {
            "crystal": "WSe2",
            "field_of_view": (field, field),
            "rotation": "uniform(16, 20)",
            "defects": [
                {"kind": "vacancy1", "probability": 0.03},
                {"kind": "vacancy2", "probability": 0.003},
                {"kind": "metal_vacancy", "probability": 0.002},
                {"kind": "antisite", "sublattice": "chalcogen", "probability": 0.004, "atoms": "either"},
            ],
        }
    )


def imaging_settings(size: int = 512) -> ImagingSettings:
    """The style of the day: its aberrations and detector stay, drift, carbon and noise change from frame to frame."""
    return ImagingSettings.checked(
        {
            "shape": (size, size),
            "pixel_size": PIXEL_SIZE,
            "probe": {
                "beam_energy": 80.0,
                "convergence_semiangle": 25.0,
                "source_fwhm": 0.9,
                "rms_displacement": 0.06,
                "C10": "normal(0, 8)",
                "C12": 12.0,
                "phi12": 35.0,
                "C21": 350.0,
                "phi21": 290.0,
                "C23": 180.0,
                "phi23": 0.0,
                "C30": 2000.0,
            },
            "adf": {"inner_angle": 60.0, "outer_angle": 200.0},
            "scan": {
                "drift_y": "normal(0, 0.8)",
                "drift_x": "normal(0, 0.8)",
                "shear": 0.006,
                "line_jitter_x": 0.12,
                "wobble": 0.1,
                "flyback": 0.4,
            },
            "contamination": {
                "thickness": "uniform(1, 6)",
                "coverage": 0.5,
                "correlation_length": 35.0,
                "background": 0.001,
            },
            "detector": {
                "dose": "normal(80000, 4000)",
                "flicker": 0.01,
                "afterglow": 0.1,
                "readout_noise": 1.0,
                "bits": 16,
                "stretch": True,
                "clipped_bright": 0.0005,
            },
        }
    )


def simulated_day(seed: int = 11, frames: int = 6, size: int = 512) -> SimulatedDay:
    """Simulate the day; the same seed gives the same values.

    Parameters
    ----------
    seed
        Of specimens, scan paths and noise.
    frames
        Number of unlabelled frames.
    size
        Height and width of a frame in pixels of `PIXEL_SIZE` angstrom.
    """
    from napari_stemlearn.imaging.simulate import simulate
    from napari_stemlearn.structures.build import build

    structure, imaging = structure_settings(size), imaging_settings(size)
    # one stream of seeds for the day, so that two days share no frame
    seeds = np.random.default_rng(seed).integers(0, 2**31, size=(frames + 1, 2))
    made = [simulate(build(structure, int(atoms)), imaging, int(scan)) for atoms, scan in seeds]
    *unlabelled, labelled = made
    provenance = {
        "synthetic": True,
        "sample": "simulated WSe2 day",
        "structure": structure.record(),
        "imaging": imaging.record(),
        "seed": seed,
    }
    stack = Micrograph(
        np.stack([entry.micrograph.data for entry in unlabelled]),
        PIXEL_SIZE,
        "simulated WSe2 day",
        {**provenance, "drawn": [entry.drawn for entry in unlabelled]},
    )
    micrograph = Micrograph(
        labelled.micrograph.data,
        PIXEL_SIZE,
        "simulated WSe2 labelled",
        {**provenance, "drawn": labelled.drawn},
    )
    return SimulatedDay(stack, LabelledMicrograph(micrograph, labelled.columns, labelled.defects, labelled.drawn))
