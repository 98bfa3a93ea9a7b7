"""Specimens and settings to labelled ADF-STEM micrographs, in batches.

The model is incoherent: every atom contributes its partial cross section times the probe's intensity (Kirkland 2020,
section 5.5; Jones and Nellist, Microsc. Microanal. 19 (2013) 1050). The image is a fraction of the incident beam;
summed over pixels times their area it is the sum of the cross sections.

Each image draws its parameters, scan path, carbon and flicker from generators on the CPU seeded by its own seed, so
these do not depend on the batch, its order or the device. On the CPU every image is computed by itself, so the same
seed gives the same pixels in any batch. On a GPU the noise has a generator for each image too, but another one than the
CPU's: noise-free images agree with the CPU to single precision, noisy ones in their statistics only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import hypot, inf
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from napari_stemlearn.distributions import Distribution, draw
from napari_stemlearn.errors import SettingsError, StemlearnError
from napari_stemlearn.imaging.contamination import CARBON, background, carbon_atoms
from napari_stemlearn.imaging.cross_sections import partial_cross_sections
from napari_stemlearn.imaging.detector import detect, line_currents
from napari_stemlearn.imaging.labelled import LabelledMicrograph
from napari_stemlearn.imaging.probe import SIGMA_OF_FWHM, band_limit, gaussian_transfer, transfer_functions
from napari_stemlearn.imaging.rendering import Grid, plan_grid, sample, spectrum, spread_atoms
from napari_stemlearn.imaging.scan import ScanPath, places_in_image, scan_path
from napari_stemlearn.imaging.settings import ImagingSettings
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.settings import Settings, bounds_of
from napari_stemlearn.sites import COLUMNS, make_sites

SECTIONS = ("probe", "adf", "scan", "contamination", "detector")
"""Sections of `ImagingSettings`; each image draws each from a stream of its own."""

RIM = 5.0
"""Angstrom computed round the scanned area, from which atoms still shine in."""

SMALLEST_FIELD = 24.0
"""Angstrom; smaller fields are computed within one of this size, so that the aperture has a round edge."""

PROBE_FIELD = 48.0
"""Angstrom; in larger fields the probe is computed within this width, its far tails folded into it."""

_GPU_PIXELS = 64 * 512 * 512  # grid points computed at once on a GPU


class SpecimenLike(Protocol):
    """What is imaged, in angstrom: atoms as x, y, z and atomic numbers, and sites as (y, x) and classes.

    The tables `columns` and `defects` have the same rows as the arrays; they are only read when a table is asked for.
    """

    @property
    def positions(self) -> NDArray[np.float64]: ...
    @property
    def numbers(self) -> NDArray[Any]: ...
    @property
    def column_positions(self) -> NDArray[np.float64]: ...
    @property
    def column_class(self) -> NDArray[Any]: ...
    @property
    def defect_positions(self) -> NDArray[np.float64]: ...
    @property
    def defect_class(self) -> NDArray[Any]: ...
    @property
    def columns(self) -> pd.DataFrame: ...
    @property
    def defects(self) -> pd.DataFrame: ...


@dataclass(frozen=True, eq=False)
class PlainSpecimen:
    """Atoms without a crystal: every atom is a column of its own, nothing is a defect.

    Parameters
    ----------
    positions
        x, y, z in angstrom, shape (n, 3); the centre of the first pixel is (0, 0).
    numbers
        Atomic numbers, shape (n,).
    """

    positions: NDArray[np.float64]
    numbers: NDArray[Any]
    defect_positions: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)), init=False)
    defect_class: NDArray[Any] = field(default_factory=lambda: np.zeros(0, dtype=object), init=False)

    @property
    def column_positions(self) -> NDArray[np.float64]:
        """y, x of every atom, shape (n, 2)."""
        return np.asarray(self.positions, dtype=float)[:, 1::-1]

    @cached_property
    def column_class(self) -> NDArray[Any]:
        """Chemical symbols, shape (n,)."""
        from ase.data import chemical_symbols

        return np.array(chemical_symbols, dtype=object)[np.asarray(self.numbers)]

    @property
    def columns(self) -> pd.DataFrame:
        """Every atom with its symbol."""
        return _plain_table(self.column_positions, self.column_class)

    @property
    def defects(self) -> pd.DataFrame:
        """None."""
        return _plain_table(self.defect_positions, self.defect_class)


def _plain_table(positions: NDArray[np.float64], classes: NDArray[Any]) -> pd.DataFrame:
    """Positions (y, x) in angstrom and classes as a table."""
    return pd.DataFrame({"y_angstrom": positions[:, 0], "x_angstrom": positions[:, 1], "class": classes})


@dataclass(frozen=True, eq=False)
class SitesInImage:
    """Sites inside one image as plain arrays; `table` makes the site table on first use.

    Parameters
    ----------
    positions
        (y, x) in pixels, shape (n, 2).
    classes
        Shape (n,), text.
    pixel_size
        In angstrom.
    rows
        Which of the specimen's sites these are, shape (n,).
    specimen
        Holds the table with what else is known about the sites.
    kind
        Which of its tables.
    """

    positions: NDArray[np.float64]
    classes: NDArray[Any]
    pixel_size: float
    rows: NDArray[np.int64]
    specimen: SpecimenLike = field(repr=False)
    kind: Literal["columns", "defects"]

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def table(self) -> pd.DataFrame:
        """Site table with the further columns of the specimen's table."""
        source = getattr(self.specimen, self.kind)
        known = {*COLUMNS, "column"}
        extra = {name: source[name].to_numpy()[self.rows] for name in source.columns if name not in known}
        y, x = self.positions.T
        return make_sites(y, x, self.classes, pixel_size=self.pixel_size, origin="truth", extra=extra)


@dataclass(frozen=True)
class SimulatedBatch:
    """Images with their truth; unpacks as ``images, columns, defects, drawn`` with site tables.

    Parameters
    ----------
    images
        Grey levels, shape (image, y, x), single precision, on the device.
    column_sites, defect_sites
        Sites in each image as arrays; no table is made until it is asked for.
    drawn
        Values drawn for each image, by section.
    pixel_sizes
        Of each image in angstrom.
    """

    images: torch.Tensor
    column_sites: list[SitesInImage]
    defect_sites: list[SitesInImage]
    drawn: list[dict[str, Any]]
    pixel_sizes: list[float]

    @property
    def columns(self) -> list[pd.DataFrame]:
        """Site tables of all columns."""
        return [sites.table for sites in self.column_sites]

    @property
    def defects(self) -> list[pd.DataFrame]:
        """Site tables of all defects."""
        return [sites.table for sites in self.defect_sites]

    def __iter__(self) -> Iterator[Any]:
        return iter((self.images, self.columns, self.defects, self.drawn))


def simulate(
    specimen: SpecimenLike, settings: ImagingSettings, seed: int = 0, device: str = "cpu"
) -> LabelledMicrograph:
    """Simulate one labelled micrograph.

    Parameters
    ----------
    specimen
        A `Specimen`, or anything with positions, numbers and site tables.
    settings
        The microscope.
    seed
        Same seed, same micrograph.
    device
        ``cpu``, ``cuda`` or ``cuda:1``.

    Returns
    -------
    LabelledMicrograph
        Image as 8- or 16-bit numbers where the detector has bits, else single precision.

    Raises
    ------
    SettingsError
        If the settings contradict each other.
    """
    batch = simulate_batch([specimen], settings, [seed], device)
    data = batch.images[0].cpu().numpy()
    bits = settings.detector.bits
    if bits:
        data = data.astype(np.uint8 if bits == 8 else np.uint16)
    provenance = {"synthetic": True, "imaging": settings.record(), "seed": int(seed), "drawn": batch.drawn[0]}
    recorded = getattr(specimen, "settings", None)
    if recorded is not None:
        provenance["structure"] = recorded.record() if isinstance(recorded, Settings) else recorded
    micrograph = Micrograph(data, settings.pixel_size, name=f"simulated {seed}", provenance=provenance)
    return LabelledMicrograph(micrograph, batch.columns[0], batch.defects[0], batch.drawn[0])


def simulate_batch(
    specimens: Sequence[SpecimenLike],
    settings: ImagingSettings,
    seeds: Sequence[int],
    device: str | torch.device = "cpu",
    *,
    pixel_sizes: Sequence[float] | None = None,
) -> SimulatedBatch:
    """Simulate many images of one shape.

    Parameters
    ----------
    specimens
        One for each image.
    settings
        The microscope; distributions are drawn anew for each image.
    seeds
        One for each image.
    device
        Where to compute and leave the images.
    pixel_sizes
        In angstrom, one for each image, in place of the one in `settings`.

    Returns
    -------
    SimulatedBatch
        Images, sites, drawn values.

    Raises
    ------
    SettingsError
        If the settings contradict each other or the numbers of specimens and seeds differ.
    """
    if len(specimens) != len(seeds):
        raise SettingsError(f"There are {len(specimens)} specimens and {len(seeds)} seeds; each image needs both.")
    device = torch.device(device)
    sizes = [settings.pixel_size] * len(seeds) if pixel_sizes is None else [float(size) for size in pixel_sizes]
    plan = _DrawPlan(settings)
    prepared = [_prepare(s, settings, plan, int(seed), p) for s, seed, p in zip(specimens, seeds, sizes, strict=True)]
    images = torch.empty((len(prepared), *settings.shape), device=device)
    for members in _groups(prepared, device):
        group = [prepared[index] for index in members]
        images[members] = _compute(group, settings, device)
    return SimulatedBatch(
        images,
        [one.column_sites for one in prepared],
        [one.defect_sites for one in prepared],
        [one.drawn for one in prepared],
        sizes,
    )


class _DrawPlan:
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


@dataclass(frozen=True)
class _Prepared:
    """One image, drawn on the CPU and ready to compute."""

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


def _prepare(
    specimen: SpecimenLike, settings: ImagingSettings, plan: _DrawPlan, seed: int, pixel_size: float
) -> _Prepared:
    """Draw everything about one image that is not noise."""
    if seed < 0:
        raise SettingsError(f"The seed is {seed}; it must not be negative.")
    streams = {name: np.random.default_rng((seed, place)) for place, name in enumerate(SECTIONS)}
    drawn = {name: plan.drawn(name, streams[name]) for name in SECTIONS}
    probe, adf = drawn["probe"], drawn["adf"]
    path = scan_path(settings.shape, pixel_size, drawn["scan"], streams["scan"])
    reach = path.reach
    field_size = [n * pixel_size for n in settings.shape]
    rim = (
        max(RIM + reach[0], 0.5 * (SMALLEST_FIELD - field_size[0])),
        max(RIM + reach[1], 0.5 * (SMALLEST_FIELD - field_size[1])),
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
    places = positions[:, 1::-1] / spacing + grid.rim
    if settings.periodic:
        places %= grid.size
    else:
        inside = ((places >= 0) & (places <= np.array(grid.size) - 1)).all(axis=1)
        places, numbers = places[inside], numbers[inside]
    angles = probe["beam_energy"], adf["inner_angle"], adf["outer_angle"]
    contrast = adf["z_contrast_change"]
    strengths = partial_cross_sections(numbers, *angles)
    if contrast:
        strengths = strengths * (numbers / 40.0) ** contrast
    layers, displacements = _displacement_layers(numbers, settings.probe.rms_displacement_by_element)
    may_carbon = plan.may_be("contamination", "thickness")
    carbon = np.zeros(0, dtype=np.int64)
    if drawn["contamination"]["thickness"] > 0:
        carbon = carbon_atoms(streams["contamination"], grid.size, spacing, drawn["contamination"])
    carbon_strength = float(partial_cross_sections([CARBON], *angles)[0]) * (CARBON / 40.0) ** contrast
    return _Prepared(
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
        column_sites=_sites(specimen, "columns", path, settings.shape),
        defect_sites=_sites(specimen, "defects", path, settings.shape),
    )


def _displacement_layers(
    numbers: NDArray[np.int64], by_element: Mapping[str, float]
) -> tuple[NDArray[np.int64], tuple[float, ...]]:
    """Put elements with a displacement of their own on grids of their own."""
    layers = np.zeros(len(numbers), dtype=np.int64)
    if not by_element:
        return layers, ()
    from ase.data import atomic_numbers

    values = tuple(sorted(set(by_element.values())))
    for symbol, value in by_element.items():
        layers[numbers == atomic_numbers[symbol]] = 1 + values.index(value)
    return layers, values


def _sites(
    specimen: SpecimenLike, kind: Literal["columns", "defects"], path: ScanPath, shape: tuple[int, int]
) -> SitesInImage:
    """Sites of a specimen that lie inside the image."""
    if kind == "columns":
        places, classes = specimen.column_positions, specimen.column_class
    else:
        places, classes = specimen.defect_positions, specimen.defect_class
    y, x = places_in_image(path, places[:, 0], places[:, 1])
    rows = np.flatnonzero((y >= -0.5) & (y < shape[0] - 0.5) & (x >= -0.5) & (x < shape[1] - 0.5))
    positions = np.stack([y[rows], x[rows]], axis=1)
    return SitesInImage(positions, classes[rows], path.pixel_size, rows, specimen, kind)


def _groups(prepared: Sequence[_Prepared], device: torch.device) -> Iterator[list[int]]:
    """Indices of images that are computed together: one by one on the CPU, those with equal grids on a GPU."""
    if device.type == "cpu":
        yield from ([index] for index in range(len(prepared)))
        return
    alike: dict[Grid, list[int]] = {}
    for index, one in enumerate(prepared):
        alike.setdefault(one.grid, []).append(index)
    for grid, members in alike.items():
        count = max(1, _GPU_PIXELS // (grid.size[0] * grid.size[1]))
        for start in range(0, len(members), count):
            yield members[start : start + count]


@torch.inference_mode()
def _compute(group: Sequence[_Prepared], settings: ImagingSettings, device: torch.device) -> torch.Tensor:
    """Grey levels of images that share a grid."""
    first = group[0]
    grid, name = first.grid, str(device)
    spacings = np.array([one.pixel_size for one in group]) / grid.oversampling
    probes = [_smeared(one.drawn["probe"]) if one.n_layers == 1 else one.drawn["probe"] for one in group]
    transfer = transfer_functions(
        probes,
        spacings=spacings,  # type: ignore[arg-type]
        grid=grid.size,
        half=grid.half,
        field=inf if settings.periodic else PROBE_FIELD,
        edge="radius" if settings.periodic else "area",
        device=name,
    )
    waves = _atom_waves(group, spacings, device)
    if first.may_carbon:
        waves += _carbon_waves(group, spacings, device)
    waves = waves.mul_(transfer).mul_(torch.from_numpy(spacings**-2).float().to(device)[:, None, None])
    images = _sampled(waves, group, settings, device)
    if any(not isinstance(one.background, float) or one.background for one in group):
        for image, one in zip(images, group, strict=True):
            image += torch.as_tensor(one.background, device=device)
    return detect(
        images,
        [one.drawn["detector"] for one in group],
        pixel_sizes=[one.pixel_size for one in group],
        currents=np.stack([one.currents for one in group]),
        seeds=[_noise_seed(one.seed) for one in group],
        counting_noise=settings.detector.counting_noise,
        stretch=settings.detector.stretch,
        bits=settings.detector.bits,
    )


def _smeared(probe: Mapping[str, float]) -> dict[str, float]:
    """A probe with the displacement of all atoms added to its source, which costs nothing."""
    return {**probe, "source_fwhm": hypot(probe["source_fwhm"], probe["rms_displacement"] / SIGMA_OF_FWHM)}


def _noise_seed(seed: int) -> int:
    """Seed of an image's noise."""
    return int(np.random.SeedSequence((seed, len(SECTIONS))).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _atom_waves(group: Sequence[_Prepared], spacings: NDArray[np.float64], device: torch.device) -> torch.Tensor:
    """Low frequencies of all atoms, each element smeared by its vibration."""
    grid, n_layers = group[0].grid, group[0].n_layers
    layers = np.concatenate([one.layers + n_layers * place for place, one in enumerate(group)])
    grids = spread_atoms(
        torch.from_numpy(np.concatenate([one.places for one in group])).to(device),
        torch.from_numpy(np.concatenate([one.strengths for one in group])).to(device),
        torch.from_numpy(layers).to(device),
        n_layers * len(group),
        grid.size,
    )
    waves = spectrum(grids, grid.half, spread=True)
    if n_layers == 1:
        return waves
    general = np.array([one.drawn["probe"]["rms_displacement"] for one in group])
    own = np.array(group[0].own_displacements)
    smears = np.column_stack([general, np.broadcast_to(own, (len(group), len(own)))]) / spacings[:, None]
    waves *= gaussian_transfer(smears.ravel(), grid=grid.size, half=grid.half, device=str(device))
    return waves.unflatten(0, (len(group), n_layers)).sum(dim=1)


def _carbon_waves(group: Sequence[_Prepared], spacings: NDArray[np.float64], device: torch.device) -> torch.Tensor:
    """Low frequencies of the carbon, each atom on a grid point and smeared by the displacement of all atoms."""
    grid = group[0].grid
    points = grid.size[0] * grid.size[1]
    index = np.concatenate([one.carbon + points * place for place, one in enumerate(group)])
    strengths = np.repeat([one.carbon_strength for one in group], [len(one.carbon) for one in group])
    flat = torch.zeros(len(group) * points, device=device)
    flat.scatter_add_(0, torch.from_numpy(index).to(device), torch.from_numpy(strengths).float().to(device))
    waves = spectrum(flat.view(len(group), *grid.size), grid.half, spread=False)
    if group[0].n_layers > 1:
        smears = np.array([one.drawn["probe"]["rms_displacement"] for one in group]) / spacings
        waves *= gaussian_transfer(smears, grid=grid.size, half=grid.half, device=str(device))
    return waves


def _sampled(
    waves: torch.Tensor, group: Sequence[_Prepared], settings: ImagingSettings, device: torch.device
) -> torch.Tensor:
    """Values along each image's scan path."""
    grid = group[0].grid
    steps = np.array([one.pixel_size for one in group])[:, None] / grid.oversampling
    rows = np.stack([one.path.rows for one in group]) / steps + grid.rim[0]
    shifts = np.stack([one.path.row_shifts for one in group]) / steps
    columns = np.stack([one.path.columns for one in group]) / steps + grid.rim[1]
    if settings.sampling == "area":
        waves = waves * _pixel_transfer(grid, device)
    return sample(
        waves,
        grid.size,
        torch.from_numpy(rows).to(device),
        torch.from_numpy(shifts).to(device),
        torch.from_numpy(columns).to(device),
        max(one.path.regular_from for one in group),
        grid.oversampling,
    )


def _pixel_transfer(grid: Grid, device: torch.device) -> torch.Tensor:
    """Transform of the mean over a square pixel, laid out as the low frequencies are."""
    y, x = 2 * grid.half[0], 2 * grid.half[1]
    v = torch.cat([torch.arange(0, y + 1), torch.arange(-y, 0)]).to(device) / grid.size[0]
    u = torch.arange(0, x + 1, device=device) / grid.size[1]
    return torch.sinc(v * grid.oversampling)[:, None] * torch.sinc(u * grid.oversampling)
