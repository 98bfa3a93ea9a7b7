"""The electron probe and how incoherent imaging, scanning with it, transfers spatial frequencies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import ceil, exp, inf, lgamma
from typing import Literal

import numpy as np
import torch

from napari_stemlearn.imaging.aberrations import ORDERS, aberration_polynomials, aberration_vector
from napari_stemlearn.imaging.gaussian_width import SIGMA_OF_FWHM
from napari_stemlearn.imaging.grid import fast_length
from napari_stemlearn.imaging.scattering import wavelength


@lru_cache(maxsize=64)
def _polynomials(half: tuple[int, int], grid: tuple[float, float], device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Aberration polynomials over frequencies in cycles a grid step, and the frequency's square.

    Shapes (25, 2 half + 1, 2 half + 1) and (2 half + 1, 2 half + 1), zero frequency first as in a discrete Fourier
    transform.
    """
    v = _signed(half[0]).double().numpy() / grid[0]
    u = _signed(half[1]).double().numpy() / grid[1]
    plane = u[None, :] + 1j * v[:, None]
    squared = plane.real**2 + plane.imag**2
    polynomials = torch.from_numpy(aberration_polynomials(plane))
    return polynomials.float().to(device), torch.from_numpy(squared).float().to(device)


@lru_cache(maxsize=64)
def _shells(half: tuple[int, int], grid: tuple[float, float]) -> np.ndarray:
    """Squared frequencies of all steps in ascending order."""
    return np.sort(_polynomials(half, grid, "cpu")[1].double().numpy().ravel())


def _aperture(
    squared: torch.Tensor, radii: np.ndarray, shells: np.ndarray | None, cells: tuple[float, float]
) -> torch.Tensor:
    """Amplitude behind round apertures, shape (image, …): with `shells` the outermost ring passes in part.

    The peak of the probe, (sum of amplitudes)^2 / sum of squares, is then the aperture's area on any grid.
    """
    if shells is None:
        return (squared <= torch.from_numpy(radii**2).float().to(squared.device)[:, None, None]).float()
    ends = np.append(np.flatnonzero(np.diff(shells) > 1e-6 * shells[-1]), len(shells) - 1)
    wanted = np.clip(np.pi * radii**2 * cells[0] * cells[1], ends[0] + 1, ends[-1])
    ring = np.searchsorted(ends + 1, wanted, side="right")
    full = ends[ring - 1] + 1.0
    last = ends[ring] + 1.0 - full
    # amplitude t of the ring: (full + last t)^2 = wanted (full + last t^2)
    a, b, c = last * (last - wanted), full * last, full * (full - wanted)
    part = -c / (b + np.sqrt(np.maximum(b**2 - a * c, 0)))
    spacing = 0.5 * (shells[ends[ring - 1]] + shells[ends[ring]])
    beyond = shells[ends[ring]] * (1 + 1e-6)
    inner, outer, weight = (
        torch.from_numpy(values).float().to(squared.device)[:, None, None] for values in (spacing, beyond, part)
    )
    return torch.where(squared <= inner, 1.0, torch.where(squared <= outer, weight, 0.0))


def _signed(half: int) -> torch.Tensor:
    """Frequency steps 0 … half, -half … -1."""
    return torch.cat([torch.arange(0, half + 1), torch.arange(-half, 0)])


def transfer_functions(
    probes: Sequence[Mapping[str, float]],
    *,
    spacings: Sequence[float],
    grid: tuple[int, int],
    half: tuple[int, int],
    field: float = inf,
    edge: Literal["area", "radius"] = "area",
    device: str = "cpu",
) -> torch.Tensor:
    """Optical transfer functions of imaging with a scanned probe, normalised to one at zero frequency.

    A probe at p has the wave psi(r - p), psi(r) being the sum over the aperture of exp(-i chi + 2 pi i k r). So an atom
    at a is seen as |psi(a - p)|^2, the probe turned by half a turn, as by abTEM and incostem. Its transform is the
    conjugate of that of the probe's intensity, averaged over the focal spread and multiplied by the transform of the
    source. chi = 2 pi / lambda sum C_nm alpha^(n+1) / (n+1) cos(m (phi - phi_nm)), Krivanek et al., Ultramicroscopy 78
    (1999) 1; C10 is minus Kirkland's defocus, azimuths go from x towards y.

    Parameters
    ----------
    probes
        One mapping for each image, with the names of `ProbeSettings` and their units.
    spacings
        Step of the periodic grid in angstrom, for each image.
    grid
        Points (y, x) of the periodic grid.
    half
        Frequency steps (y, x) from the centre that hold the largest aperture.
    field
        In angstrom; where the grid is larger, the probe is computed in a field of about this size and is dark beyond.
    edge
        Which frequency steps pass the aperture: as many as its area holds, so that the peak of the probe does not
        depend on the grid, or those within its radius, as in Kirkland's programs.
    device
        Where to compute.

    Returns
    -------
    torch.Tensor
        Complex, shape (image, 4 half_y + 1, 2 half_x + 1): frequency steps 0 … 2 half_y, -2 half_y … -1 and
        0 … 2 half_x.
    """
    spacing = np.asarray(spacings, dtype=float)
    wave = np.array([wavelength(probe["beam_energy"]) for probe in probes])
    aperture = np.array([1e-3 * probe["convergence_semiangle"] for probe in probes]) / wave * spacing
    angle_step = wave / spacing
    scale = 2 * np.pi / wave[:, None] * angle_step[:, None] ** (ORDERS + 1)
    vectors = np.stack([aberration_vector(probe) for probe in probes]) * scale
    # twice the diameter of the aperture, so that the autocorrelation does not wrap round
    padded = fast_length(4 * half[0] + 1), fast_length(4 * half[1] + 1)
    points = (
        _probe_points(padded[0], grid[0] * spacing.min(), field),
        _probe_points(padded[1], grid[1] * spacing.min(), field),
    )
    part = points[0] / padded[0], points[1] / padded[1]
    inner = ceil(half[0] * part[0]), ceil(half[1] * part[1])
    cells = grid[0] * part[0], grid[1] * part[1]
    polynomials, squared = _polynomials(inner, cells, device)
    chi = torch.from_numpy(vectors).float().to(device) @ polynomials.flatten(1)
    chi = chi.unflatten(1, polynomials.shape[1:])
    shifts, weights = _focal_quadrature(probes, aperture, scale[:, 0])
    defocus = polynomials[0]
    inside = _aperture(squared, aperture, _shells(inner, cells) if edge == "area" else None, cells)
    density = chi.new_zeros((len(probes), *points))
    for shift, weight in zip(shifts.T, weights.T, strict=True):
        phase = chi
        if shift.any():
            phase = torch.addcmul(chi, torch.from_numpy(shift).float().to(device)[:, None, None], defocus)
        # the conjugate wave turns the probe by half a turn: the atom is seen by a probe that moves over it
        amplitude = _to_space(torch.polar(inside, phase), inner, points)
        parts = torch.view_as_real(amplitude).square_()
        weighed = torch.from_numpy(weight).float().to(device)[:, None, None]
        density.addcmul_(parts[..., 0] + parts[..., 1], weighed)
    transfer = torch.fft.rfft(_widened(density, padded[1], -1))[..., : 2 * half[1] + 1]
    transfer = torch.fft.fft(_widened(transfer, padded[0], -2), dim=-2)
    transfer = torch.cat([transfer[:, : 2 * half[0] + 1], transfer[:, -2 * half[0] :]], dim=1)
    transfer = transfer / transfer[:, :1, :1].real
    source = np.array([probe.get("source_fwhm", 0.0) for probe in probes]) * SIGMA_OF_FWHM
    return transfer * gaussian_transfer(source / spacing, grid=grid, half=half, device=device)


def _probe_points(padded: int, extent: float, field: float) -> int:
    """Transform length for a probe in a field of the wanted size, out of `padded` for the grid's whole extent."""
    return padded if extent <= field else min(padded, fast_length(ceil(padded * field / extent)))


def _widened(field: torch.Tensor, length: int, axis: int) -> torch.Tensor:
    """Widen a periodic field along one axis by zeros between its positive and negative places."""
    points = field.shape[axis]
    if length == points:
        return field
    shape = list(field.shape)
    shape[axis] = length - points
    positive, negative = field.split([(points + 1) // 2, points // 2], dim=axis)
    return torch.cat([positive, field.new_zeros(shape), negative], dim=axis)


def _focal_quadrature(
    probes: Sequence[Mapping[str, float]], aperture: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Shifts of defocus (as factors of its polynomial) and their weights, shapes (image, nodes).

    As many nodes of Gauss and Hermite's quadrature as the widest spread of the phase needs for a part in 1e5.
    """
    spread = np.array([probe.get("focal_spread", 0.0) for probe in probes]) * SIGMA_OF_FWHM * scale
    # largest difference of phase between two points of the aperture for one standard deviation
    phase = float((spread * aperture**2 / 2).max())
    needed = 1
    while needed < 64 and phase ** (2 * needed) * exp(lgamma(needed + 1) - lgamma(2 * needed + 1)) > 1e-5:
        needed += 1
    nodes, weights = np.polynomial.hermite.hermgauss(needed)
    return np.sqrt(2) * spread[:, None] * nodes, np.tile(weights / np.sqrt(np.pi), (len(probes), 1))


def _to_space(wavefunction: torch.Tensor, half: tuple[int, int], padded: tuple[int, int]) -> torch.Tensor:
    """Inverse transform of an aperture, padded with zeros; rows without waves are left out of the first pass."""
    y, x = half
    wide = wavefunction.new_zeros((*wavefunction.shape[:-1], padded[1]))
    wide[..., : x + 1] = wavefunction[..., : x + 1]
    wide[..., -x:] = wavefunction[..., -x:]
    wide = torch.fft.ifft(wide)
    tall = wavefunction.new_zeros((*wavefunction.shape[:-2], *padded))
    tall[..., : y + 1, :] = wide[..., : y + 1, :]
    tall[..., -y:, :] = wide[..., -y:, :]
    return torch.fft.ifft(tall, dim=-2)


def gaussian_transfer(
    sigmas: np.ndarray, *, grid: tuple[int, int], half: tuple[int, int], device: str = "cpu"
) -> torch.Tensor:
    """Transform of a smear by a Gaussian of `sigmas` grid steps, shape (image, 4 half_y + 1, 2 half_x + 1)."""
    v = _signed(2 * half[0]).to(device) / grid[0]
    u = torch.arange(0, 2 * half[1] + 1, device=device) / grid[1]
    factor = torch.from_numpy(-2 * np.pi**2 * np.asarray(sigmas, dtype=float) ** 2).float().to(device)[:, None]
    return torch.exp(factor * v**2)[:, :, None] * torch.exp(factor * u**2)[:, None, :]
