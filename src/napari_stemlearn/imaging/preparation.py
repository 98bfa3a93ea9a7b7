"""Everything about one image that is drawn before its pixels are computed; no torch, so that it runs in any process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.distributions import Distribution, draw
from napari_stemlearn.errors import SettingsError, StemlearnError
from napari_stemlearn.imaging.column_coherence import column_factors
from napari_stemlearn.imaging.contamination import CARBON, background, carbon_atoms
from napari_stemlearn.imaging.cross_sections import contrast_factor, partial_cross_sections
from napari_stemlearn.imaging.dose import line_currents
from napari_stemlearn.imaging.grid import Grid, plan_grid
from napari_stemlearn.imaging.plain_specimen import SpecimenLike
from napari_stemlearn.imaging.repeating import repeating_part
from napari_stemlearn.imaging.scan import ScanPath, scan_path
from napari_stemlearn.imaging.scattering import band_limit
from napari_stemlearn.imaging.seen_shift import seen_shift
from napari_stemlearn.imaging.settings import ImagingSettings, ProbeSettings
from napari_stemlearn.imaging.sites_in_image import SitesInImage, sites_in_image
from napari_stemlearn.settings import bounds_of

SECTIONS = ("probe", "adf", "scan", "contamination", "detector")
"""Sections of `ImagingSettings`; each image draws each from a stream of its own."""

COMPUTED_RIM = 5.0
"""Angstrom computed round the drawn scan, from which atoms shine in; less than `specimen_margin.SPECIMEN_RIM`."""

SMALLEST_FIELD = 24.0
"""Angstrom; smaller fields are computed within one of this size, so that the aperture has a round edge."""


class DrawPlan:
    """Which settings are numbers and which are drawn, found once for a batch."""

    def __init__(self, settings: ImagingSettings) -> None:
        self.fixed: dict[str, dict[str, float]] = {}
        self.random: dict[str, list[tuple[str, Distribution, float | None, float | None]]] = {}
        for section in SECTIONS:
            model = getattr(settings, section)
            self.fixed[section], self.random[section] = {}, []
            for name, entry in type(model).model_fields.items():
                value = getattr(model, name)
                if isinstance(value, Distribution):
                    self.random[section].append((name, value, *bounds_of(entry)))
                    self.fixed[section][name] = 0.0
                elif isinstance(value, (int, float)) and not isinstance(value, bool) and name != "bits":
                    self.fixed[section][name] = float(value)

    def drawn(self, section: str, rng: np.random.Generator) -> dict[str, float]:
        """Values of one section for one image."""
        values = dict(self.fixed[section])
        for name, distribution, minimum, maximum in self.random[section]:
            values[name] = draw(distribution, rng, minimum, maximum)
        return values

    def may_be(self, section: str, name: str) -> bool:
        """Whether a value can differ from zero; asked in place of the drawn ones so that a batch has no influence."""
        return self.fixed[section][name] != 0 or any(entry[0] == name for entry in self.random[section])


def drawn_scan(
    settings: ImagingSettings, seed: int, pixel_size: float, plan: DrawPlan
) -> tuple[dict[str, float], ScanPath]:
    """Values of the scan of one image, and the path that they lead along."""
    rng = _stream(seed, "scan")
    drawn = plan.drawn("scan", rng)
    return drawn, scan_path(settings.shape, pixel_size, drawn, rng)


def needed_by_image(settings: ImagingSettings, seed: int) -> float:
    """Angstrom of specimen needed round the field of view of one image, whose scan is drawn to see how far it goes.

    Mostly less than `needed_margin`, which is for every image that the settings can give.
    """
    path = drawn_scan(settings, seed, settings.pixel_size, DrawPlan(settings))[1]
    return COMPUTED_RIM + max(path.reach)


def _stream(seed: int, section: str) -> np.random.Generator:
    """Random numbers of one section for one image."""
    return np.random.default_rng((seed, SECTIONS.index(section)))


@dataclass(frozen=True)
class PreparedImage:
    """One image, drawn and ready to compute; can be sent between processes."""

    seed: int
    pixel_size: float
    drawn: dict[str, dict[str, float]]
    grid: Grid
    path: ScanPath
    places: NDArray[np.float64]
    strengths: NDArray[np.float32]
    layers: NDArray[np.int64]
    n_layers: int
    own_displacements: tuple[float, ...]
    carbon: NDArray[np.int64]
    carbon_strength: float
    may_carbon: bool
    background: NDArray[np.float32] | float
    currents: NDArray[np.float64]
    column_sites: SitesInImage
    defect_sites: SitesInImage


def prepare_image(
    specimen: SpecimenLike,
    settings: ImagingSettings,
    seed: int,
    pixel_size: float | None = None,
    plan: DrawPlan | None = None,
) -> PreparedImage:
    """Draw everything about one image that is not noise.

    Parameters
    ----------
    specimen
        Atoms and sites.
    settings
        The microscope.
    seed
        Of this image.
    pixel_size
        In angstrom, in place of the one in `settings`.
    plan
        Of the same settings, where many images share it.

    Raises
    ------
    SettingsError
        If the settings contradict each other or the seed is negative.
    """
    plan = DrawPlan(settings) if plan is None else plan
    pixel_size = settings.pixel_size if pixel_size is None else pixel_size
    if seed < 0:
        raise SettingsError(f"The seed is {seed}; it must not be negative.")
    scan, path = drawn_scan(settings, seed, pixel_size, plan)
    streams = {name: _stream(seed, name) for name in SECTIONS if name != "scan"}
    drawn = {name: scan if name == "scan" else plan.drawn(name, streams[name]) for name in SECTIONS}
    probe, adf = drawn["probe"], drawn["adf"]
    reach = path.reach
    field_size = [n * pixel_size for n in settings.shape]
    rim = (
        max(COMPUTED_RIM + reach[0], 0.5 * (SMALLEST_FIELD - field_size[0])),
        max(COMPUTED_RIM + reach[1], 0.5 * (SMALLEST_FIELD - field_size[1])),
    )
    limit = band_limit(probe["beam_energy"], probe["convergence_semiangle"])
    grid = plan_grid(settings.shape, pixel_size, highest_frequency=limit, rim=None if settings.periodic else rim)
    spacing = pixel_size / grid.oversampling
    positions = np.asarray(specimen.positions, dtype=float)
    numbers = np.asarray(specimen.numbers)
    if positions.ndim != 2 or positions.shape != (len(numbers), 3):
        raise StemlearnError(
            f"The specimen has positions of shape {positions.shape} for {len(numbers)} atoms; it must be (n, 3)."
        )
    heights, columns = positions[:, 2], specimen.atom_columns
    places = positions[:, 1::-1] / spacing + grid.rim
    period = (field_size[0], field_size[1]) if settings.periodic else None
    if period is not None:
        inside = repeating_part(specimen, specimen.column_positions, period)[columns]
        places %= grid.size
    else:
        inside = np.all((places >= 0) & (places <= np.array(grid.size) - 1), axis=1)
    places, numbers, heights, columns = places[inside], numbers[inside], heights[inside], columns[inside]
    angles = probe["beam_energy"], adf["inner_angle"], adf["outer_angle"]
    contrast = adf["z_contrast_change"]
    strengths = partial_cross_sections(numbers, *angles)
    if contrast:
        strengths = strengths * contrast_factor(numbers, contrast)
    if adf["column_coherence"]:
        strengths = strengths * column_factors(
            numbers,
            heights,
            columns,
            beam_energy=probe["beam_energy"],
            inner_angle=adf["inner_angle"],
            outer_angle=adf["outer_angle"],
            coherence=adf["column_coherence"],
        )
    by_element = settings.probe.rms_displacement_by_element
    layers = _displacement_layers(numbers, by_element)
    displacements = _drawn_displacements(by_element, streams["probe"], probe)
    may_carbon = plan.may_be("contamination", "thickness")
    shift = seen_shift(probe)
    carbon = np.zeros(0, dtype=np.int64)
    if drawn["contamination"]["thickness"] > 0:
        carbon = carbon_atoms(streams["contamination"], grid.size, spacing, drawn["contamination"])
    # the power law is one of the crystal's elements: carried on to carbon it would make much of it
    carbon_strength = float(partial_cross_sections([CARBON], *angles)[0])
    return PreparedImage(
        seed=seed,
        pixel_size=pixel_size,
        drawn=drawn,
        grid=grid,
        path=path,
        places=places,
        strengths=strengths.astype(np.float32),
        layers=layers,
        n_layers=1 + len(displacements),
        own_displacements=displacements,
        carbon=carbon,
        carbon_strength=carbon_strength,
        may_carbon=may_carbon,
        background=background(streams["contamination"], settings.shape, pixel_size, drawn["contamination"]),
        currents=line_currents(streams["detector"], settings.shape[0], drawn["detector"]),
        column_sites=sites_in_image(specimen, "columns", path, settings.shape, shift, period),
        defect_sites=sites_in_image(specimen, "defects", path, settings.shape, shift, period),
    )


def _own_layers(by_element: Mapping[str, float | Distribution]) -> dict[str, int]:
    """Layer of each element with a displacement of its own: alike for all images, whatever is drawn.

    Elements with the same number share a layer; each distribution is drawn for its element alone.
    """
    shared = sorted({value for value in by_element.values() if not isinstance(value, Distribution)})
    alone = [symbol for symbol, value in by_element.items() if isinstance(value, Distribution)]
    return {
        symbol: 1 + (len(shared) + alone.index(symbol) if isinstance(value, Distribution) else shared.index(value))
        for symbol, value in by_element.items()
    }


def _displacement_layers(
    numbers: NDArray[np.int64], by_element: Mapping[str, float | Distribution]
) -> NDArray[np.int64]:
    """Put elements with a displacement of their own on grids of their own."""
    layers = np.zeros(len(numbers), dtype=np.int64)
    if by_element:
        from ase.data import atomic_numbers

        for symbol, layer in _own_layers(by_element).items():
            layers[numbers == atomic_numbers[symbol]] = layer
    return layers


def _drawn_displacements(
    by_element: Mapping[str, float | Distribution], rng: np.random.Generator, probe: dict[str, float]
) -> tuple[float, ...]:
    """Displacement (angstrom) on each layer after the first; those of the elements are added to the drawn values."""
    bounds = bounds_of(ProbeSettings.model_fields["rms_displacement_by_element"])
    displacements: dict[int, float] = {}
    for symbol, layer in _own_layers(by_element).items():
        displacements[layer] = draw(by_element[symbol], rng, *bounds)
        probe[f"rms_displacement_by_element.{symbol}"] = displacements[layer]
    return tuple(displacements[layer] for layer in sorted(displacements))
