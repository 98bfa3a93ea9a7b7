"""Mean unit cells as the simulator images them: over contrast of the elements, blur and aberrations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from napari_stemlearn.distributions import Distribution, draw, middle
from napari_stemlearn.imaging.column_coherence import column_factors
from napari_stemlearn.imaging.cross_sections import contrast_factor, partial_cross_sections
from napari_stemlearn.imaging.probe import transfer_functions
from napari_stemlearn.imaging.scattering import band_limit
from napari_stemlearn.imaging.settings import ABERRATIONS, ImagingSettings
from napari_stemlearn.settings import bounds_of
from napari_stemlearn.structures.specimen import Specimen

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

FARTHEST = 2.0
"""Standard deviations that the contrast may lie from what was known: beyond, light and heavy change places."""

PLAIN = ("contrast", "source_fwhm", "line_jitter_x", "C10", "C12 cos", "C12 sin")
"""What a plain probe leaves to be fitted."""

_FIELD, _SPACING, _DRAWS = 36.0, 0.25, 512


@dataclass(frozen=True)
class Contents:
    """Fourier coefficients of the atoms of a perfect crystal, not turned.

    Parameters
    ----------
    numbers
        Atomic number of each element, shape (elements,).
    coefficients
        Shape (elements, n).
    """

    numbers: NDArray[np.int64]
    coefficients: ComplexArray


def contents_of(
    specimen: Specimen, reciprocal: FloatArray, indices: NDArray[np.int64], imaging: ImagingSettings
) -> Contents:
    """Sum up the atoms of a specimen of a perfect crystal for the reflections of its lattice."""
    x, y = specimen.positions[:, :2].T.astype(float)
    height, width = specimen.field_of_view
    window = np.where(
        (x > 0) & (x < width) & (y > 0) & (y < height), np.sin(np.pi * x / width) * np.sin(np.pi * y / height), 0.0
    )
    numbers, element = np.unique(specimen.numbers, return_inverse=True)
    waves = np.exp(-2j * np.pi * (np.stack([x, y], axis=1) @ (indices @ reciprocal).T)) * (window**2)[:, None]
    sums = np.zeros((len(numbers), len(indices)), dtype=complex)
    np.add.at(sums, element.ravel(), _interference(specimen, imaging)[:, None] * waves)
    return Contents(numbers.astype(np.int64), sums / (window**2).sum())


def _interference(specimen: Specimen, imaging: ImagingSettings) -> FloatArray:
    """Factors on the cross sections of the atoms for what they scatter in phase, at the middle of what is drawn."""
    adf = {name: middle(getattr(imaging.adf, name)) for name in type(imaging.adf).model_fields}
    return column_factors(
        specimen.numbers,
        specimen.positions[:, 2],
        specimen.atom_columns,
        beam_energy=middle(imaging.probe.beam_energy),
        inner_angle=adf["inner_angle"],
        outer_angle=adf["outer_angle"],
        coherence=adf["column_coherence"],
    )


class CellModel:
    """Mean cells over the settings that are drawn.

    Parameters
    ----------
    imaging
        The microscope.
    contents
        Of the crystal.
    frequencies
        Of the reflections on the specimen as it lies under the beam, (x, y) in 1/angstrom, shape (n, 2).
    plain
        Leave aberrations but focus and astigmatism at their means.
    """

    def __init__(
        self, imaging: ImagingSettings, contents: Contents, frequencies: FloatArray, *, plain: bool = False
    ) -> None:
        self.contents, self.frequencies = contents, frequencies
        rng = np.random.default_rng(0)
        self._draws = {name: _draws(getattr(imaging, name), rng) for name in ("probe", "adf", "scan")}
        known = {
            section: {name: float(values.mean()) for name, values in drawn.items()}
            for section, drawn in self._draws.items()
        }
        probe = {name: value for name, value in known["probe"].items() if not name.startswith("phi")}
        self.energy, self.semiangle = probe["beam_energy"], probe["convergence_semiangle"]
        self.probe, self.known = probe, known
        self.names: list[str] = []
        mean, spread = [], []

        def add(name: str, values: FloatArray) -> None:
            if values.std() > 0:
                self.names.append(name)
                mean.append(float(values.mean()))
                spread.append(float(values.std()))

        add("contrast", self._draws["adf"]["z_contrast_change"])
        add("source_fwhm", self._draws["probe"]["source_fwhm"])
        add("line_jitter_x", self._draws["scan"]["line_jitter_x"])
        for name, (_, m) in ABERRATIONS.items():
            size = self._draws["probe"][name]
            if m == 0:
                add(name, size)
                continue
            turned = np.deg2rad(self._draws["probe"][f"phi{name[1:]}"]) * m
            add(f"{name} cos", size * np.cos(turned))
            add(f"{name} sin", size * np.sin(turned))
        self.mean, self.spread = np.array(mean), np.array(spread)
        self.free = [index for index, name in enumerate(self.names) if not plain or name in PLAIN]
        adf = known["adf"]
        sections = partial_cross_sections(contents.numbers, self.energy, adf["inner_angle"], adf["outer_angle"])
        self.strengths = sections / sections.max()

    def drawn(self, section: str) -> list[str]:
        """Names of the settings of a section that are drawn."""
        return [name for name, values in self._draws[section].items() if values.std() > 0]

    @cached_property
    def _grid(self) -> tuple[int, int]:
        """Points of the grid, and frequency steps of the aperture on it."""
        points = round(_FIELD / _SPACING)
        radius = 0.5 * band_limit(self.energy, self.semiangle) * _SPACING * points
        return points, min(4 * int(np.ceil((radius + 1) / 4)), (points - 1) // 4)

    def begin(self, contrast: float) -> FloatArray:
        """A place where a fit can begin: the middle, but for the contrast in standard deviations."""
        return np.array([contrast if self.names[index] == "contrast" else 0.0 for index in self.free])

    @cached_property
    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest places; the contrast stays within what is drawn."""
        low, high = np.full(len(self.free), -np.inf), np.full(len(self.free), np.inf)
        for place, index in enumerate(self.free):
            if self.names[index] == "contrast":
                drawn = (self._draws["adf"]["z_contrast_change"] - self.mean[index]) / self.spread[index]
                low[place], high[place] = max(drawn.min(), -FARTHEST), min(drawn.max(), FARTHEST)
        return low, high

    def values(self, places: FloatArray) -> dict[str, FloatArray]:
        """Settings at places of the free ones in standard deviations from the middle, shape (batch, free)."""
        found = np.tile(self.mean, (len(places), 1))
        found[:, self.free] += self.spread[self.free] * places
        return dict(zip(self.names, found.T, strict=True))

    def cells(self, places: FloatArray, half_turn: bool) -> ComplexArray:
        """Coefficients of cells, shape (batch, n)."""
        values = self.values(places)
        zeros = np.zeros(len(places))
        contrast = values.get("contrast", zeros + self.known["adf"]["z_contrast_change"])
        strengths = self.strengths * contrast_factor(self.contents.numbers, contrast[:, None])
        waves = self.contents.coefficients.conj() if half_turn else self.contents.coefficients
        atoms = strengths @ waves
        jitter = values.get("line_jitter_x", zeros + self.known["scan"]["line_jitter_x"])
        smear = np.exp(-2 * np.pi**2 * jitter[:, None] ** 2 * self.frequencies[:, 0] ** 2)
        return atoms * smear * self._transfer(values, len(places))

    def _transfer(self, values: Mapping[str, FloatArray], count: int) -> ComplexArray:
        points, half = self._grid
        probes = [self.probe_at({name: float(of[index]) for name, of in values.items()}) for index in range(count)]
        found = transfer_functions(
            probes, spacings=[_SPACING] * count, grid=(points, points), half=(half, half), field=_FIELD
        ).numpy()
        # frequency zero in the middle; what is to the left of it is the conjugate of what is to the right
        right = np.fft.fftshift(found, axes=1)
        whole = np.concatenate([np.conj(right[:, ::-1, :0:-1]), right], axis=2)
        at = (self.frequencies[:, ::-1] * _SPACING * points + 2 * half).T
        vibration = np.exp(-2 * np.pi**2 * self.probe.get("rms_displacement", 0.0) ** 2 * (self.frequencies**2).sum(1))
        return vibration * np.array([map_coordinates(one, at, order=3, mode="nearest") for one in whole])

    def probe_at(self, values: Mapping[str, float]) -> dict[str, float]:
        """A probe as the simulator takes it."""
        probe = dict(self.probe)
        for name in ("source_fwhm", *ABERRATIONS):
            m = ABERRATIONS.get(name, (0, 0))[1]
            if name in values:
                probe[name] = max(values[name], 0.0) if name == "source_fwhm" else values[name]
            elif f"{name} cos" in values:
                cosine, sine = values[f"{name} cos"], values[f"{name} sin"]
                probe[name] = float(np.hypot(cosine, sine))
                probe[f"phi{name[1:]}"] = float(np.rad2deg(np.arctan2(sine, cosine)) / m)
            elif m and probe.get(name):
                probe[f"phi{name[1:]}"] = self.known["probe"][f"phi{name[1:]}"]
        return probe


def _draws(section: Any, rng: np.random.Generator) -> dict[str, FloatArray]:
    """Values of each setting of a section: many where it is drawn, one where it is a number."""
    drawn = {}
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Distribution):
            drawn[name] = np.array([draw(value, rng, *bounds_of(field)) for _ in range(_DRAWS)])
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            drawn[name] = np.array([float(value)])
    return drawn
