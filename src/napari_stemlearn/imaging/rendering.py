"""Atoms at exact positions to a band-limited image sampled anywhere: non-uniform fast Fourier transforms.

Atoms are spread over a grid by a short smooth kernel, the transform is divided by the kernel's own transform, and rows
of the image are taken at arbitrary heights in the same way (types 1 and 2; Barnett, Magland and af Klinteberg, SIAM
J. Sci. Comput. 41 (2019) C479). Shifts along a row are phases, so every line of the scan is exact.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import embedding_bag

KERNEL_WIDTH = 6
"""Grid points across which an atom is spread."""

_KERNEL_SHAPE = 11.5
_BLOCK = 32768  # atoms spread at once


def _kernel(distance: torch.Tensor) -> torch.Tensor:
    """Spreading kernel at distances in grid steps."""
    inside = (1 - (distance * (2 / KERNEL_WIDTH)) ** 2).clamp_min(0)
    return torch.exp(_KERNEL_SHAPE * (inside.sqrt() - 1))


@lru_cache(maxsize=64)
def _kernel_transform(steps: int, size: int, device: str) -> torch.Tensor:
    """Transform of the kernel at the frequencies 0 … steps, -steps … -1 of a grid of `size` points."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    shape = np.exp(_KERNEL_SHAPE * (np.sqrt(1 - nodes**2) - 1)) * weights * KERNEL_WIDTH / 2
    frequency = np.arange(steps + 1) / size
    positive = (shape * np.cos(np.pi * KERNEL_WIDTH * frequency[:, None] * nodes)).sum(axis=1)
    return torch.from_numpy(np.concatenate([positive, positive[:0:-1]])).float().to(device)


def _taps(places: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Grid indices, wrapped, and kernel weights for places in grid steps; shapes (…, KERNEL_WIDTH)."""
    first = torch.floor(places - KERNEL_WIDTH / 2) + 1
    offsets = torch.arange(KERNEL_WIDTH, device=places.device)
    weights = _kernel((first - places).float()[..., None] + offsets)
    return (first.long()[..., None] + offsets) % size, weights


def spread_atoms(
    places: torch.Tensor, strengths: torch.Tensor, layer: torch.Tensor, n_layers: int, size: tuple[int, int]
) -> torch.Tensor:
    """Spread atoms over periodic grids with the kernel.

    Parameters
    ----------
    places
        (y, x) in grid steps, shape (atoms, 2), double precision.
    strengths
        What each atom counts, shape (atoms,).
    layer
        The grid that each atom is on, shape (atoms,).
    n_layers, size
        Number of grids and points (y, x) of each.

    Returns
    -------
    torch.Tensor
        Shape (n_layers, y, x), single precision.
    """
    grid = torch.zeros(n_layers * size[0] * size[1], device=places.device)
    for start in range(0, len(places), _BLOCK):
        block = slice(start, start + _BLOCK)
        rows, row_weights = _taps(places[block, 0], size[0])
        columns, column_weights = _taps(places[block, 1], size[1])
        rows = (rows + layer[block, None] * size[0]) * size[1]
        index = rows[:, :, None] + columns[:, None, :]
        weights = (row_weights * strengths[block, None].float())[:, :, None] * column_weights[:, None, :]
        grid.scatter_add_(0, index.view(-1), weights.view(-1))
    return grid.view(n_layers, *size)


def spectrum(grids: torch.Tensor, half: tuple[int, int], *, spread: bool) -> torch.Tensor:
    """Low frequencies of grids.

    Parameters
    ----------
    grids
        Shape (…, y, x).
    half
        Frequency steps (y, x) of the aperture; twice as many are kept.
    spread
        Whether the kernel was used and has to be divided out.

    Returns
    -------
    torch.Tensor
        Complex, shape (…, 4 half_y + 1, 2 half_x + 1), laid out as `transfer_functions` does.
    """
    size = grids.shape[-2:]
    steps = 2 * half[0], 2 * half[1]
    waves = torch.fft.fft(torch.fft.rfft(grids)[..., : steps[1] + 1], dim=-2)
    waves = torch.cat([waves[..., : steps[0] + 1, :], waves[..., -steps[0] :, :]], dim=-2)
    if spread:
        device = str(grids.device)
        waves = waves / _kernel_transform(steps[0], size[0], device)[:, None]
        waves = waves / _kernel_transform(steps[1], size[1], device)[: steps[1] + 1]
    return waves


def sample(
    waves: torch.Tensor,
    size: tuple[int, int],
    rows: NDArray[np.float64],
    row_shifts: NDArray[np.float64],
    columns: NDArray[np.float64],
    regular_from: int,
    step: int,
) -> torch.Tensor:
    """Values of the periodic image at the places of a scan.

    Parameters
    ----------
    waves
        Low frequencies, shape (image, 4 half_y + 1, 2 half_x + 1).
    size
        Points (y, x) of the grid.
    rows
        Height of each line in grid steps, shape (image, lines).
    row_shifts
        Shift of each line along x in grid steps, shape (image, lines).
    columns
        Places along a line in grid steps, before the line's shift, shape (image, pixels).
    regular_from, step
        From this pixel on the columns are whole grid points, `step` apart, the same for every image.

    Returns
    -------
    torch.Tensor
        Shape (image, lines, pixels).
    """
    n_images, height, width = waves.shape[0], rows.shape[1], columns.shape[1]
    steps = waves.shape[1] // 2, waves.shape[2] - 1
    device = waves.device
    waves = waves / _kernel_transform(steps[0], size[0], str(device))[:, None]
    tall = waves.new_zeros((n_images, size[0], steps[1] + 1))
    tall[:, : steps[0] + 1] = waves[:, : steps[0] + 1]
    tall[:, -steps[0] :] = waves[:, steps[0] + 1 :]
    tall = torch.view_as_real(torch.fft.ifft(tall, dim=1).contiguous()).view(n_images * size[0], -1)
    index, weights = _taps(torch.from_numpy(rows).to(device), size[0])
    index = index + torch.arange(n_images, device=device)[:, None, None] * size[0]
    lines = embedding_bag(index.flatten(0, 1), tall, mode="sum", per_sample_weights=weights.flatten(0, 1))
    lines = torch.view_as_complex(lines.view(n_images, height, steps[1] + 1, 2))
    frequency = 2 * torch.pi / size[1] * torch.arange(steps[1] + 1, device=device)
    if row_shifts.any():
        angle = torch.from_numpy(row_shifts).float().to(device)[..., None] * frequency
        lines.mul_(torch.complex(torch.cos(angle), torch.sin(angle)))
    image = torch.empty((n_images, height, width), device=device)
    if regular_from < width:
        # a whole number but for rounding, which may leave it just below
        first = round(float(columns[0, regular_from]))
        whole = torch.fft.irfft(lines, n=size[1])
        image[..., regular_from:] = whole[..., first : first + step * (width - regular_from) : step]
    if regular_from > 0:
        places = torch.from_numpy(columns[:, None, :regular_from]).to(device)
        angle = (places * frequency[:, None].double()).float()
        factor = torch.full_like(frequency, 2 / size[1])
        factor[0] = 1 / size[1]
        cosine, sine = torch.cos(angle) * factor[:, None], torch.sin(angle) * factor[:, None]
        image[..., :regular_from] = lines.real @ cosine - lines.imag @ sine
    return image
