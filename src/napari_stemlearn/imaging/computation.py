"""Pixels of prepared images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import hypot, inf

import numpy as np
import torch
from numpy.typing import NDArray

from napari_stemlearn.imaging.detector import Detected, detect
from napari_stemlearn.imaging.gaussian_width import SIGMA_OF_FWHM
from napari_stemlearn.imaging.grid import Grid
from napari_stemlearn.imaging.preparation import SECTIONS, PreparedImage
from napari_stemlearn.imaging.probe import gaussian_transfer, transfer_functions
from napari_stemlearn.imaging.rendering import sample, spectrum, spread_atoms
from napari_stemlearn.imaging.settings import ImagingSettings

PROBE_FIELD = 48.0
"""Angstrom; in larger fields the probe is computed within this width, its far tails folded into it."""

_GPU_PIXELS = 64 * 512 * 512  # grid points computed at once on a GPU


def compute_images(
    prepared: Sequence[PreparedImage], settings: ImagingSettings, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Grey levels of prepared images, shape (image, y, x), single precision.

    Images may be prepared in other processes: they hold arrays only.
    """
    return compute_detected(prepared, settings, device).images


def compute_detected(
    prepared: Sequence[PreparedImage], settings: ImagingSettings, device: torch.device | str = "cpu"
) -> Detected:
    """Grey levels of prepared images, with the gains and offsets of stretched ones."""
    device = torch.device(device)
    images = torch.empty((len(prepared), *settings.shape), device=device)
    brightest = torch.empty(len(prepared), device=device)
    stretched = torch.empty((len(prepared), 2), device=device) if settings.detector.stretch else None
    for members in _groups(prepared, device):
        found = _compute_group([prepared[index] for index in members], settings, device)
        images[members] = found.images
        brightest[members] = found.brightest
        if stretched is not None and found.stretched is not None:
            stretched[members] = found.stretched
    return Detected(images, brightest, stretched)


def _groups(prepared: Sequence[PreparedImage], device: torch.device) -> Iterator[list[int]]:
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
def _compute_group(group: Sequence[PreparedImage], settings: ImagingSettings, device: torch.device) -> Detected:
    """Images that share a grid."""
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
        backgrounds = np.stack([np.broadcast_to(np.float32(one.background), settings.shape) for one in group])
        images += torch.from_numpy(backgrounds).to(device)
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


def _atom_waves(group: Sequence[PreparedImage], spacings: NDArray[np.float64], device: torch.device) -> torch.Tensor:
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
    own = np.array([one.own_displacements for one in group])
    smears = np.column_stack([general, own]) / spacings[:, None]
    waves *= gaussian_transfer(smears.ravel(), grid=grid.size, half=grid.half, device=str(device))
    return waves.unflatten(0, (len(group), n_layers)).sum(dim=1)


def _carbon_waves(group: Sequence[PreparedImage], spacings: NDArray[np.float64], device: torch.device) -> torch.Tensor:
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
    waves: torch.Tensor, group: Sequence[PreparedImage], settings: ImagingSettings, device: torch.device
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
        rows,
        shifts,
        columns,
        max(one.path.regular_from for one in group),
        grid.oversampling,
    )


def _pixel_transfer(grid: Grid, device: torch.device) -> torch.Tensor:
    """Transform of the mean over a square pixel, laid out as the low frequencies are."""
    y, x = 2 * grid.half[0], 2 * grid.half[1]
    v = torch.cat([torch.arange(0, y + 1), torch.arange(-y, 0)]).to(device) / grid.size[0]
    u = torch.arange(0, x + 1, device=device) / grid.size[1]
    return torch.sinc(v * grid.oversampling)[:, None] * torch.sinc(u * grid.oversampling)
