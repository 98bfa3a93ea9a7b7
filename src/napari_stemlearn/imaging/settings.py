"""Settings of the microscope: probe, ADF detector angles, scan, contamination, detector."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from napari_stemlearn.distributions import Drawn
from napari_stemlearn.settings import Settings, quantity

ABERRATIONS: dict[str, tuple[int, int]] = {
    "C10": (1, 0),
    "C12": (1, 2),
    "C21": (2, 1),
    "C23": (2, 3),
    "C30": (3, 0),
    "C32": (3, 2),
    "C34": (3, 4),
    "C41": (4, 1),
    "C43": (4, 3),
    "C45": (4, 5),
    "C50": (5, 0),
    "C52": (5, 2),
    "C54": (5, 4),
    "C56": (5, 6),
}
"""Aberration coefficients by name: order n and symmetry m, Krivanek et al., Ultramicroscopy 78 (1999) 1."""


def _aberration(what: str) -> Any:
    return quantity(0.0, "angstrom", what, advanced=True)


def _angle(name: str) -> Any:
    return quantity(0.0, "degree", f"Azimuth of {name} in the aperture, from x towards y.", advanced=True)


class ProbeSettings(Settings):
    """The electron probe; coefficients and azimuths after Krivanek, with the signs of abTEM.

    An atom looks like the probe turned by half a turn, since it is the probe that is scanned.
    """

    beam_energy: Drawn = quantity(80.0, "keV", "Beam energy.", minimum=10, maximum=1000)
    convergence_semiangle: Drawn = quantity(25.0, "mrad", "Radius of the probe aperture.", minimum=1, maximum=150)
    source_fwhm: Drawn = quantity(
        0.8, "angstrom", "Full width at half maximum of the source's image on the specimen.", minimum=0, maximum=10
    )
    focal_spread: Drawn = quantity(
        0.0, "angstrom", "Full width at half maximum of the spread of defocus.", minimum=0, maximum=1000
    )
    rms_displacement: Drawn = quantity(
        0.0,
        "angstrom",
        "Smear of every atom by vibration: root mean square displacement along one axis.",
        minimum=0,
        maximum=1,
    )
    rms_displacement_by_element: dict[str, Drawn] = quantity(
        {}, "angstrom", "Displacement of single elements, in place of the one for all.", minimum=0, maximum=1
    )
    C10: Drawn = quantity(0.0, "angstrom", "Defocus as an aberration: negative is underfocus.")
    C12: Drawn = quantity(0.0, "angstrom", "Two-fold astigmatism.")
    phi12: Drawn = quantity(0.0, "degree", "Azimuth of C12 in the aperture, from x towards y.")
    C21: Drawn = _aberration("Axial coma.")
    phi21: Drawn = _angle("C21")
    C23: Drawn = _aberration("Three-fold astigmatism.")
    phi23: Drawn = _angle("C23")
    C30: Drawn = quantity(0.0, "angstrom", "Spherical aberration of the third order (10,000 angstrom is 1 micrometre).")
    C32: Drawn = _aberration("Star aberration.")
    phi32: Drawn = _angle("C32")
    C34: Drawn = _aberration("Four-fold astigmatism.")
    phi34: Drawn = _angle("C34")
    C41: Drawn = _aberration("Coma of the fourth order.")
    phi41: Drawn = _angle("C41")
    C43: Drawn = _aberration("Three-lobe aberration.")
    phi43: Drawn = _angle("C43")
    C45: Drawn = _aberration("Five-fold astigmatism.")
    phi45: Drawn = _angle("C45")
    C50: Drawn = _aberration("Spherical aberration of the fifth order.")
    C52: Drawn = _aberration("Star aberration of the fifth order.")
    phi52: Drawn = _angle("C52")
    C54: Drawn = _aberration("Rosette aberration.")
    phi54: Drawn = _angle("C54")
    C56: Drawn = _aberration("Six-fold astigmatism.")
    phi56: Drawn = _angle("C56")

    @field_validator("rms_displacement_by_element")
    @classmethod
    def _known_elements(cls, value: dict[str, Any]) -> dict[str, Any]:
        from ase.data import atomic_numbers

        for symbol in value:
            if symbol not in atomic_numbers or not 1 <= atomic_numbers[symbol] <= 103:
                raise ValueError(f"'{symbol}' is no chemical element between H and Lr")
        return value


class AdfSettings(Settings):
    """The angles of the annular detector."""

    inner_angle: Drawn = quantity(
        63.0,
        "mrad",
        "Inner angle of the annular detector; the direct beam, up to the convergence semiangle, is not in the image.",
        minimum=1,
        maximum=400,
    )
    outer_angle: Drawn = quantity(200.0, "mrad", "Outer angle of the annular detector.", minimum=2, maximum=500)
    z_contrast_change: Drawn = quantity(
        0.0,
        "1",
        "Cross sections of the specimen are multiplied by (Z/40) to this power: inelastic and coherent scattering "
        "flatten the contrast of low angles, which is a negative value.",
        minimum=-3,
        maximum=3,
        advanced=True,
    )
    column_coherence: Drawn = quantity(
        0.0,
        "1",
        "How far the two or three atoms of a column scatter together, as in layers MX2: 0 adds up what each does "
        "alone, 1 is multislice. At inner angles below 60 mrad, two are then more than twice as bright as one.",
        minimum=0,
        maximum=1,
        advanced=True,
    )


class ScanSettings(Settings):
    """How the probe's path differs from a perfect raster; image and sites move together."""

    drift_y: Drawn = quantity(0.0, "angstrom", "Drift along the slow axis during one frame.", minimum=-50, maximum=50)
    drift_x: Drawn = quantity(0.0, "angstrom", "Drift along the fast axis during one frame.", minimum=-50, maximum=50)
    drift_change: Drawn = quantity(
        0.0,
        "angstrom",
        "Bow of the path when the drift changes its speed during the frame, root mean square of y and x.",
        minimum=0,
        maximum=20,
        advanced=True,
    )
    shear: Drawn = quantity(0.0, "1", "Shift along x for each step along y.", minimum=-0.3, maximum=0.3)
    scale_y: Drawn = quantity(1.0, "1", "Step of the lines in units of the pixel size.", minimum=0.7, maximum=1.4)
    line_jitter_x: Drawn = quantity(
        0.0, "angstrom", "Random shift of each line along x, root mean square.", minimum=0, maximum=5
    )
    line_jitter_y: Drawn = quantity(
        0.0, "angstrom", "Random shift of each line along y, root mean square.", minimum=0, maximum=5
    )
    wobble: Drawn = quantity(
        0.0,
        "angstrom",
        "Low-frequency noise of the path, root mean square along y and along x.",
        minimum=0,
        maximum=10,
    )
    wobble_lines: Drawn = quantity(
        40.0, "lines", "Correlation length of the low-frequency noise.", minimum=2, maximum=5000, advanced=True
    )
    hum: Drawn = quantity(
        0.0, "angstrom", "Amplitude of a periodic shift of the lines along x.", minimum=0, maximum=5, advanced=True
    )
    hum_lines: Drawn = quantity(30.0, "lines", "Period of the hum in lines.", minimum=2, maximum=5000, advanced=True)
    flyback: Drawn = quantity(
        0.0,
        "angstrom",
        "Error of the position at the start of each line, after the beam has flown back.",
        minimum=-20,
        maximum=20,
    )
    flyback_length: Drawn = quantity(
        15.0, "pixel", "Length in which the flyback error falls to 1/e.", minimum=0.5, maximum=500, advanced=True
    )


class ContaminationSettings(Settings):
    """Amorphous carbon on the specimen, and a smooth background."""

    thickness: Drawn = quantity(0.0, "angstrom", "Mean thickness of amorphous carbon.", minimum=0, maximum=500)
    coverage: Drawn = quantity(0.6, "1", "Part of the area that it covers.", minimum=0.01, maximum=1)
    correlation_length: Drawn = quantity(30.0, "angstrom", "Size of the patches.", minimum=2, maximum=1000)
    density: Drawn = quantity(
        0.1, "atoms/angstrom^3", "Carbon atoms in a volume (0.1 is 2 g/cm3).", minimum=0.01, maximum=0.2, advanced=True
    )
    background: Drawn = quantity(
        0.0, "1", "Even background as a fraction of the incident beam.", minimum=0, maximum=1, advanced=True
    )
    background_variation: Drawn = quantity(
        0.0,
        "1",
        "Smooth relative variation of the background, root mean square.",
        minimum=0,
        maximum=1,
        advanced=True,
    )


class DetectorSettings(Settings):
    """Dose and the chain from electrons to grey levels."""

    dose: Drawn | None = quantity(
        1e5, "electrons/angstrom^2", "Incident electrons; empty: from current and dwell time.", minimum=0, maximum=1e12
    )
    current: Drawn = quantity(30.0, "pA", "Beam current; used when no dose is given.", minimum=0, maximum=1e5)
    dwell_time: Drawn = quantity(
        20.0, "microseconds", "Time for each pixel; used when no dose is given.", minimum=0, maximum=1e6
    )
    counting_noise: bool = Field(True, description="Whether the electrons are counted one by one (Poisson noise).")
    flicker: Drawn = quantity(
        0.0, "1", "Relative change of the beam current from line to line, root mean square.", minimum=0, maximum=1
    )
    flicker_lines: Drawn = quantity(
        1.0, "lines", "Correlation length of the flicker.", minimum=1, maximum=5000, advanced=True
    )
    afterglow: Drawn = quantity(
        0.0, "1", "Part of the signal that arrives late, in the next pixels of the line.", minimum=0, maximum=0.95
    )
    afterglow_length: Drawn = quantity(
        1.5, "pixel", "Length in which the late signal falls to 1/e.", minimum=0.1, maximum=200, advanced=True
    )
    readout_noise: Drawn = quantity(
        0.0, "electrons", "Noise of the electronics on each pixel, root mean square.", minimum=0, maximum=1e6
    )
    gain: Drawn = quantity(1.0, "grey levels/electron", "Grey levels for each electron.", minimum=1e-9, maximum=1e9)
    offset: Drawn = quantity(0.0, "grey levels", "Grey level without electrons.", minimum=-1e9, maximum=1e9)
    stretch: bool = Field(
        False,
        description="Choose gain and offset for each image so that its grey levels fill the range of the bits, "
        "as an operator or an export does; both are recorded with the image.",
    )
    clipped_dark: Drawn = quantity(
        0.0, "1", "Part of the pixels that stretching sets to black.", minimum=0, maximum=0.5, advanced=True
    )
    clipped_bright: Drawn = quantity(
        0.0, "1", "Part of the pixels that stretching sets to white.", minimum=0, maximum=0.5, advanced=True
    )
    bits: Literal[0, 8, 10, 12, 14, 16] = Field(
        0, description="Bits of the digitiser: grey levels are rounded and cut to its range; 0 keeps real numbers."
    )


class ImagingSettings(Settings):
    """Everything between a specimen and its ADF-STEM micrograph."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "default": {},
        "noise_free": {"detector": {"counting_noise": False, "gain": 1.0}},
        "paper": {
            "shape": (1024, 1024),
            "pixel_size": 0.2074,
            "probe": {
                "beam_energy": 80.0,
                "convergence_semiangle": 25.2,
                "source_fwhm": "normal(1.0, 0.05)",
                "C10": "normal(0, 10)",
                "C12": "normal(10, 10)",
                "phi12": "uniform(0, 360)",
                "C21": "normal(300, 600)",
                "phi21": "uniform(0, 360)",
                "C23": "normal(250, 500)",
                "phi23": "normal(90, 7.5)",
                "C30": "normal(3000, 5000)",
            },
            # shear and stretch of either sign, 0.01 on average; lines that jump by about a pixel
            "scan": {"shear": "normal(0, 0.014)", "scale_y": "normal(1, 0.014)", "line_jitter_x": 0.2074},
            "detector": {"dose": None, "current": "normal(30, 1)", "dwell_time": 20.0, "bits": 16, "stretch": True},
        },
        "to_translate": {
            "probe": {
                "beam_energy": 80.0,
                "convergence_semiangle": 25.0,
                "source_fwhm": "uniform(0.7, 1.2)",
                "C10": "normal(0, 20)",
                "C12": "normal(0, 15)",
                "phi12": "uniform(0, 180)",
                "C21": "normal(0, 300)",
                "phi21": "uniform(0, 360)",
                "C23": "normal(0, 250)",
                "phi23": "uniform(0, 120)",
                "C30": "normal(3000, 3000)",
            },
            "scan": {
                "drift_y": "normal(0, 1)",
                "drift_x": "normal(0, 1)",
                "shear": "normal(0, 0.01)",
                "scale_y": "normal(1, 0.01)",
                "line_jitter_x": "uniform(0, 0.12)",
                "wobble": "uniform(0, 0.2)",
            },
            "contamination": {
                "thickness": "uniform(0, 15)",
                "coverage": "uniform(0.2, 1)",
                "correlation_length": "log_uniform(10, 100)",
            },
            # low angles flatten it
            "adf": {"z_contrast_change": "normal(-0.1, 0.2)", "column_coherence": 1.0},
            # noise, after-glow and flicker are what a generator learns from the day's images
            "detector": {"counting_noise": False},
        },
        "varied": {
            "probe": {
                "beam_energy": "choice(60, 80, 200)",
                "convergence_semiangle": "uniform(21, 33)",
                "source_fwhm": "uniform(0.5, 1.5)",
                "focal_spread": "uniform(0, 60)",
                "rms_displacement": "uniform(0.03, 0.12)",
                "C10": "normal(0, 30)",
                "C12": "normal(0, 20)",
                "phi12": "uniform(0, 180)",
                "C21": "normal(0, 400)",
                "phi21": "uniform(0, 360)",
                "C23": "normal(0, 300)",
                "phi23": "uniform(0, 120)",
                "C30": "normal(0, 5000)",
                "C32": "normal(0, 5000)",
                "phi32": "uniform(0, 180)",
                "C34": "normal(0, 5000)",
                "phi34": "uniform(0, 90)",
            },
            "adf": {
                "inner_angle": "uniform(45, 85)",
                "outer_angle": "uniform(150, 250)",
                "z_contrast_change": "uniform(-0.5, 0.1)",
                "column_coherence": "uniform(0, 1)",
            },
            "scan": {
                "drift_y": "normal(0, 1)",
                "drift_x": "normal(0, 1)",
                "drift_change": "uniform(0, 0.5)",
                "shear": "normal(0, 0.01)",
                "scale_y": "normal(1, 0.01)",
                "line_jitter_x": "uniform(0, 0.15)",
                "line_jitter_y": "uniform(0, 0.08)",
                "wobble": "uniform(0, 0.3)",
                "wobble_lines": "log_uniform(8, 200)",
                "hum": "uniform(0, 0.1)",
                "hum_lines": "uniform(3, 60)",
                "flyback": "normal(0, 0.5)",
                "flyback_length": "uniform(3, 30)",
            },
            "contamination": {
                "thickness": "uniform(0, 15)",
                "coverage": "uniform(0.2, 1)",
                "correlation_length": "log_uniform(10, 100)",
                "background": "uniform(0, 0.003)",
                "background_variation": "uniform(0, 0.3)",
            },
            "detector": {
                "dose": "log_uniform(5e3, 3e5)",
                "flicker": "uniform(0, 0.03)",
                "flicker_lines": "uniform(1, 5)",
                "afterglow": "uniform(0, 0.4)",
                "afterglow_length": "uniform(0.3, 3)",
                "readout_noise": "uniform(0, 3)",
            },
        },
    }

    shape: tuple[int, int] = Field((256, 256), description="Height and width of the image in pixels.")
    pixel_size: float = quantity(0.2, "angstrom", "Side of a pixel.", minimum=0.01, maximum=2)
    sampling: Literal["point", "area"] = Field(
        "point",
        description="What a pixel holds: the signal with the probe at its centre (as a scan stops there), or the mean "
        "over its area (as a scan that moves on and is binned).",
    )
    periodic: bool = Field(
        False,
        description="The specimen repeats at the edges of the image, as in Kirkland's programs: its margin is left "
        "out; where there is none, atoms beyond come back on the other side.",
        json_schema_extra={"advanced": True},
    )
    probe: ProbeSettings = Field(default_factory=ProbeSettings, description="The electron probe.")
    adf: AdfSettings = Field(default_factory=AdfSettings, description="The angles of the annular detector.")
    scan: ScanSettings = Field(default_factory=ScanSettings, description="Distortions of the scan.")
    contamination: ContaminationSettings = Field(
        default_factory=ContaminationSettings, description="Amorphous carbon and background."
    )
    detector: DetectorSettings = Field(default_factory=DetectorSettings, description="Dose, noise and digitising.")

    @field_validator("shape")
    @classmethod
    def _image_shape(cls, value: tuple[int, int]) -> tuple[int, int]:
        if min(value) < 8 or max(value) > 16384:
            raise ValueError(f"an image of {value[0]} by {value[1]} pixels; allowed: 8 to 16384 pixels")
        return value
