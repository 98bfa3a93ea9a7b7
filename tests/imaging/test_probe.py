"""The probe's transfer function against direct integration, analytic limits and symmetries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from microscopes import atoms, fractions, microscope

from napari_stemlearn.imaging.cross_sections import partial_cross_sections
from napari_stemlearn.imaging.probe import gaussian_transfer, transfer_functions
from napari_stemlearn.imaging.scattering import band_limit, wavelength
from napari_stemlearn.imaging.settings import ABERRATIONS
from napari_stemlearn.imaging.simulate import simulate_batch

GRID = (192, 192)
SPACING = 0.2
PLAIN = {"beam_energy": 80.0, "convergence_semiangle": 25.0}


def transfer(probe: dict[str, float], grid: tuple[int, int] = GRID, **options: object) -> torch.Tensor:
    limit = band_limit(probe["beam_energy"], probe["convergence_semiangle"])
    half = tuple(int(0.5 * limit * SPACING * n) + 2 for n in grid)
    return transfer_functions([probe], spacings=[SPACING], grid=grid, half=half, **options)[0]  # type: ignore[arg-type]


def intensity(probe: dict[str, float], grid: tuple[int, int] = GRID, **options: object) -> np.ndarray:
    """Image of an atom in the middle for each square angstrom, of a cross section of one."""
    waves = transfer(probe, grid, **options)
    steps = waves.shape[0] // 2, waves.shape[1] - 1
    tall = torch.zeros((grid[0], waves.shape[1]), dtype=waves.dtype)
    tall[: steps[0] + 1], tall[-steps[0] :] = waves[: steps[0] + 1], waves[steps[0] + 1 :]
    image = torch.fft.irfft(torch.fft.ifft(tall, dim=0), n=grid[1]) / SPACING**2
    return np.fft.fftshift(image.double().numpy())


def directly(probe: dict[str, float], y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Intensity of a probe in the middle, by polar quadrature over the aperture."""
    wave, edge = wavelength(probe["beam_energy"]), 1e-3 * probe["convergence_semiangle"]
    nodes, weights = np.polynomial.legendre.leggauss(80)
    alpha, phi = np.meshgrid(0.5 * edge * (nodes + 1), np.arange(256) * 2 * np.pi / 256, indexing="ij")
    area = (0.5 * edge * weights)[:, None] * alpha * 2 * np.pi / 256
    path = np.zeros_like(alpha)
    for name, (n, m) in ABERRATIONS.items():
        turn = np.deg2rad(probe.get(f"phi{name[1:]}", 0.0))
        path += probe.get(name, 0.0) * alpha ** (n + 1) / (n + 1) * np.cos(m * (phi - turn))
    amplitude = area * np.exp(-2j * np.pi / wave * path)
    travel = y[:, None, None] * np.sin(phi) + x[:, None, None] * np.cos(phi)
    field = (amplitude * np.exp(2j * np.pi / wave * alpha * travel)).sum(axis=(1, 2))
    return np.abs(field) ** 2 / (wave**2 * np.pi * edge**2)


def test_band_limit() -> None:
    assert band_limit(80, 25.2) == pytest.approx(1.2070, rel=1e-3)


@pytest.mark.parametrize("grid", [(192, 192), (241, 200), (512, 128)])
def test_without_aberrations_two_circles_overlap(grid: tuple[int, int]) -> None:
    waves = transfer(PLAIN, grid).numpy()
    v = np.fft.fftfreq(waves.shape[0], 1 / waves.shape[0])[:, None] / (grid[0] * SPACING)
    u = np.arange(waves.shape[1]) / (grid[1] * SPACING)
    part = np.minimum(np.hypot(v, u) / band_limit(80, 25), 1)
    expected = 2 / np.pi * (np.arccos(part) - part * np.sqrt(1 - part**2))
    np.testing.assert_allclose(waves, expected, atol=0.012)
    assert waves[0, 0] == pytest.approx(1)


@pytest.mark.parametrize("grid", [(128, 128), (192, 192), (300, 270), (640, 512)])
def test_peak_is_the_area_of_the_aperture_on_any_grid(grid: tuple[int, int]) -> None:
    area = np.pi * (0.025 / wavelength(80)) ** 2
    assert intensity(PLAIN, grid).max() == pytest.approx(area, rel=1e-4)
    assert intensity(PLAIN, grid, field=30.0).max() == pytest.approx(area, rel=1e-4)


def strengths() -> dict[str, float]:
    """Coefficient of each aberration that gives a phase of about 2 radian at the aperture's edge."""
    return {
        name: 2.0 * wavelength(80) / (2 * np.pi) * (n + 1) / 0.025 ** (n + 1) for name, (n, _) in ABERRATIONS.items()
    }


@pytest.mark.parametrize("name", ABERRATIONS)
def test_each_aberration_matches_direct_integration(name: str) -> None:
    probe = {**PLAIN, name: strengths()[name], f"phi{name[1:]}": 23.0}
    image = intensity(probe, (320, 320))
    places = np.random.default_rng(1).integers(-8, 9, (40, 2))
    found = image[160 + places[:, 0], 160 + places[:, 1]]
    # an atom is seen by a probe that stands on the other side of it
    expected = directly(probe, *(-places.T * SPACING))
    np.testing.assert_allclose(found, expected, atol=0.012 * intensity(PLAIN).max())


def test_all_aberrations_together_match_direct_integration() -> None:
    rng = np.random.default_rng(5)
    probe = dict(PLAIN)
    for name, value in strengths().items():
        probe[name] = value * rng.normal() / 2
        probe[f"phi{name[1:]}"] = rng.uniform(0, 360)
    image = intensity(probe, (320, 320))
    places = rng.integers(-8, 9, (60, 2))
    expected = directly(probe, *(-places.T * SPACING))
    np.testing.assert_allclose(image[160 + places[:, 0], 160 + places[:, 1]], expected, atol=0.012 * expected.max())


@pytest.mark.parametrize("name", [name for name, (_, m) in ABERRATIONS.items() if m])
def test_an_azimuth_of_ninety_degrees_turns_the_probe(name: str) -> None:
    value = strengths()[name]
    flat = intensity({**PLAIN, name: value})
    turned = intensity({**PLAIN, name: value, f"phi{name[1:]}": 90.0})
    # from x towards y is clockwise when y points down
    np.testing.assert_allclose(turned[1:, 1:], np.rot90(flat[1:, 1:], -1), atol=1e-5)
    period = 360 / ABERRATIONS[name][1]
    again = intensity({**PLAIN, name: value, f"phi{name[1:]}": period})
    np.testing.assert_allclose(again, flat, atol=1e-4)


@pytest.mark.parametrize("name", ["C21", "C23", "C45", "C12"])
def test_an_atom_is_seen_by_the_probe_that_is_scanned_over_it(name: str) -> None:
    """In a whole simulation, by the sum over the aperture for the probe at each pixel."""
    probe = {**PLAIN, "source_fwhm": 0.0, name: strengths()[name], f"phi{name[1:]}": 20.0}
    atom = np.array([6.45, 6.3])
    settings = microscope((64, 64), 0.2, probe=probe)
    image = fractions(simulate_batch([atoms(tuple(atom))], settings, [0]).images[0].numpy(), settings)
    pixels = np.random.default_rng(2).integers(22, 42, (60, 2))
    away = atom - 0.2 * pixels
    expected = partial_cross_sections([74], 80.0, 63.0, 200.0)[0] * directly(probe, *away.T)
    np.testing.assert_allclose(image[tuple(pixels.T)], expected, atol=0.02 * expected.max())


def test_round_aberrations_stay_round_and_defocus_is_symmetric() -> None:
    for name in ("C10", "C30", "C50"):
        image = intensity({**PLAIN, name: strengths()[name]})[1:, 1:]
        np.testing.assert_allclose(image, image.T, atol=1e-5)
    np.testing.assert_allclose(intensity({**PLAIN, "C10": 80.0}), intensity({**PLAIN, "C10": -80.0}), atol=1e-5)


def test_underfocus_compensates_spherical_aberration() -> None:
    under = intensity({**PLAIN, "C30": 2e5, "C10": -60.0}).max()
    over = intensity({**PLAIN, "C30": 2e5, "C10": 60.0}).max()
    assert under > 1.5 * over


def test_focal_spread_is_the_mean_over_defocus() -> None:
    sigma = 70 / 2.354820
    probe = {**PLAIN, "C10": 15.0, "C30": 3e4}
    spread = transfer({**probe, "focal_spread": 70.0})
    defocus = np.linspace(-5, 5, 61) * sigma
    weights = np.exp(-0.5 * (defocus / sigma) ** 2)
    summed = sum(w * transfer({**probe, "C10": 15.0 + d}) for w, d in zip(weights, defocus, strict=True))
    torch.testing.assert_close(spread, summed / weights.sum(), atol=1e-4, rtol=0)


def test_source_is_a_gaussian() -> None:
    blurred = transfer({**PLAIN, "source_fwhm": 1.1})
    plain = transfer(PLAIN)
    half = blurred.shape[0] // 4, blurred.shape[1] // 2
    factor = gaussian_transfer(np.array([1.1 / 2.354820 / SPACING]), grid=GRID, half=half)[0]
    torch.testing.assert_close(blurred, plain * factor, atol=1e-6, rtol=0)
    frequency = 3 / (GRID[1] * SPACING)
    assert float(factor[0, 3]) == pytest.approx(np.exp(-2 * (np.pi * 1.1 / 2.354820 * frequency) ** 2), rel=1e-5)


def test_images_of_a_batch_do_not_mix() -> None:
    probes = [{**PLAIN, "C12": 50.0}, {**PLAIN, "beam_energy": 120.0, "C21": 900.0, "focal_spread": 20.0}]
    options = {"grid": GRID, "half": (32, 32)}
    both = transfer_functions(probes, spacings=[0.2, 0.15], **options)  # type: ignore[arg-type]
    for probe, spacing, found in zip(probes, (0.2, 0.15), both, strict=True):
        alone = transfer_functions([probe], spacings=[spacing], **options)[0]  # type: ignore[arg-type]
        torch.testing.assert_close(found, alone, atol=2e-5, rtol=0)
