"""Images of atoms against the plain sum over atoms and frequencies, and where atoms appear."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from microscopes import BROAD, SHARP, atoms, fractions, microscope, random_atoms

from napari_stemlearn.errors import SettingsError
from napari_stemlearn.imaging.cross_sections import partial_cross_sections
from napari_stemlearn.imaging.grid import LARGEST_FREQUENCY, fast_length, plan_grid
from napari_stemlearn.imaging.probe import transfer_functions
from napari_stemlearn.imaging.rendering import sample, spectrum, spread_atoms
from napari_stemlearn.imaging.simulate import simulate_batch

SHAPES = [(96, 96), (97, 97), (80, 131), (125, 72)]


def image_of(specimen: object, settings: object, seed: int = 0) -> np.ndarray:
    """Noise-free image as fraction of the beam."""
    return fractions(simulate_batch([specimen], settings, [seed]).images[0].numpy(), settings)  # type: ignore


def band(grid: tuple[int, int], half: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies (y, x) in cycles a grid step of the kept waves."""
    steps = np.concatenate([np.arange(0, 2 * half[0] + 1), np.arange(-2 * half[0], 0)])
    return steps[:, None] / grid[0], np.arange(2 * half[1] + 1) / grid[1]


@pytest.mark.parametrize("size", [(48, 64), (75, 50)])
def test_spectrum_is_the_plain_sum_over_atoms(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    places, strengths = rng.uniform(0, 1, (60, 2)) * size, rng.uniform(0.1, 1, 60)
    half = tuple(int(LARGEST_FREQUENCY / 2 * n) for n in size)
    layers = torch.zeros(60, dtype=torch.long)
    grids = spread_atoms(torch.from_numpy(places), torch.from_numpy(strengths), layers, 1, size)
    found = spectrum(grids, half, spread=True)[0].numpy()  # type: ignore[arg-type]
    v, u = band(size, half)  # type: ignore[arg-type]
    expected = sum(s * np.exp(-2j * np.pi * (v * y + u * x)) for (y, x), s in zip(places, strengths, strict=True))
    whole = np.sqrt((strengths**2).sum())
    np.testing.assert_allclose(found, expected, atol=2e-3 * whole)
    low = (np.abs(v) < 0.3) & (u < 0.3)
    np.testing.assert_allclose(found[low], expected[low], atol=4e-4 * whole)


def test_sampling_is_the_plain_sum_over_waves() -> None:
    rng = np.random.default_rng(4)
    size, half = (60, 72), (10, 12)
    grids = torch.from_numpy(rng.normal(size=(2, *size))).float()
    waves = spectrum(grids, half, spread=False)
    rows = rng.uniform(-20, 90, (2, 9))
    shifts = rng.normal(size=(2, 9)) * 4
    columns = np.tile(np.arange(2.0, 68, 3), (2, 1))
    columns[:, :8] += rng.normal(size=(2, 8))
    found = sample(waves, size, rows, shifts, columns, 8, 3).numpy()
    v, u = band(size, half)
    factor = np.where(u == 0, 1, 2) / (size[0] * size[1])
    for image in range(2):
        for line, row in enumerate(rows[image]):
            x = columns[image] + shifts[image, line]
            field = (waves[image].numpy() * np.exp(2j * np.pi * v * row)).sum(axis=0) * factor
            expected = (field * np.exp(2j * np.pi * u * x[:, None])).real.sum(axis=1)
            np.testing.assert_allclose(found[image, line], expected, atol=2e-4 * np.abs(found).max())


@pytest.mark.parametrize("probe", [SHARP, BROAD], ids=["sharp", "broad"])
@pytest.mark.parametrize("shape", SHAPES)
def test_centroid_is_the_position_of_the_atom(shape: tuple[int, int], probe: dict[str, float]) -> None:
    rng = np.random.default_rng(11)
    settings = microscope(shape, 0.2, probe=probe, periodic=True)
    for _ in range(4):
        y, x = np.array(shape) // 2 + rng.uniform(-2, 2, 2)
        image = image_of(atoms((y * 0.2, x * 0.2)), settings)
        np.testing.assert_allclose(phase_centre(image), (y, x), atol=1e-3)
        np.testing.assert_allclose(weighted_centre(image, 4.0), (y, x), atol=1e-3)


def weighted_centre(image: np.ndarray, width: float) -> np.ndarray:
    """Centre of mass under a Gaussian window that is moved to the centre; far rings and edges do not count."""
    place = np.array(np.unravel_index(image.argmax(), image.shape), dtype=float)
    y, x = np.indices(image.shape)
    for _ in range(60):
        weight = image * np.exp(-0.5 * ((y - place[0]) ** 2 + (x - place[1]) ** 2) / width**2)
        place = np.array([(weight * y).sum(), (weight * x).sum()]) / weight.sum()
    return place


def phase_centre(image: np.ndarray) -> tuple[float, float]:
    """Centre from the phase of the lowest waves, which the slowly falling rings of a probe do not disturb."""
    waves = np.fft.fft2(image)
    turns = -np.angle(waves[1, 0]) / (2 * np.pi), -np.angle(waves[0, 1]) / (2 * np.pi)
    return turns[0] % 1 * image.shape[0], turns[1] % 1 * image.shape[1]


@pytest.mark.parametrize("probe", [SHARP, BROAD], ids=["sharp", "broad"])
def test_moving_the_atom_by_whole_pixels_moves_the_image(probe: dict[str, float]) -> None:
    settings = microscope((80, 90), 0.2, probe=probe, periodic=True)
    first = image_of(atoms((6.13, 7.31)), settings)
    second = image_of(atoms((6.13 + 5 * 0.2, 7.31 - 11 * 0.2)), settings)
    np.testing.assert_allclose(second, np.roll(first, (5, -11), (0, 1)), atol=2e-5 * first.max())


def test_sub_pixel_positions_sample_one_and_the_same_spot() -> None:
    # the spot of an atom between pixels equals the spot of a centred atom on a raster four times as fine
    for probe in (SHARP, BROAD):
        fine = image_of(atoms((8.0, 8.0)), microscope((320, 320), 0.05, probe=probe, periodic=True))
        for dy, dx in ((1, 0), (2, 3), (3, 1)):
            coarse = image_of(
                atoms((8.0 + dy * 0.05, 8.0 + dx * 0.05)), microscope((80, 80), 0.2, probe=probe, periodic=True)
            )
            expected = np.roll(fine, (dy, dx), (0, 1))[::4, ::4]
            np.testing.assert_allclose(coarse, expected, atol=1e-4 * fine.max())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("pixel_size", [0.11, 0.2, 0.4])
def test_sum_times_pixel_area_is_the_sum_of_cross_sections(shape: tuple[int, int], pixel_size: float) -> None:
    specimen = random_atoms(1, 70, (shape[0] * pixel_size, shape[1] * pixel_size))
    settings = microscope(shape, pixel_size, probe={"convergence_semiangle": 30.0, "C30": 2e4}, periodic=True)
    adf = settings.adf
    expected = partial_cross_sections(specimen.numbers, 80.0, adf.inner_angle, adf.outer_angle).sum()
    assert image_of(specimen, settings).sum() * pixel_size**2 == pytest.approx(expected, rel=1e-4)


def test_isolated_atom_keeps_its_sum_without_repetition() -> None:
    settings = microscope((300, 300), 0.2, probe={"source_fwhm": 0.8})
    image = image_of(atoms((30.07, 29.9)), settings)
    sigma = partial_cross_sections([74], 80.0, 63.0, 200.0)[0]
    assert image.sum() * 0.04 == pytest.approx(sigma, rel=1e-3)


@pytest.mark.parametrize("pixel_size", [0.4, 0.6])
def test_coarse_pixels_of_a_sharp_probe_are_exact_samples(pixel_size: float) -> None:
    fine_step = int(pixel_size / 0.1 + 0.5)
    n = 48
    specimen = random_atoms(2, 150, (n * pixel_size,) * 2)
    probe = {"convergence_semiangle": 32.0, "source_fwhm": 0.0}
    coarse = image_of(specimen, microscope((n, n), pixel_size, probe=probe, periodic=True))
    fine = image_of(specimen, microscope((n * fine_step, n * fine_step), 0.1, probe=probe, periodic=True))
    np.testing.assert_allclose(coarse, fine[::fine_step, ::fine_step], atol=1e-4 * fine.max())
    assert coarse.min() > -1e-4 * fine.max()


def test_area_sampling_is_the_mean_over_the_pixel() -> None:
    specimen = random_atoms(2, 150, (24.0, 24.0))
    probe = {"convergence_semiangle": 32.0, "source_fwhm": 0.0}
    area = image_of(specimen, microscope((60, 60), 0.4, probe=probe, periodic=True, sampling="area"))
    fine = image_of(specimen, microscope((480, 480), 0.05, probe=probe, periodic=True))
    shifted = 0.5 * (np.roll(fine, (4, 4), (0, 1)) + np.roll(fine, (3, 3), (0, 1)))
    means = shifted.reshape(60, 8, 60, 8).mean(axis=(1, 3))
    np.testing.assert_allclose(area, means, atol=5e-3 * fine.max())


def test_the_rim_shows_atoms_beyond_the_edge_and_nothing_comes_round() -> None:
    settings = microscope((64, 64), 0.2, probe={"source_fwhm": 1.0})
    inside = image_of(atoms((6.0, 0.0)), settings)
    outside = image_of(atoms((6.0, -0.8)), settings)
    assert outside[30, 0] > 0.1 * inside[30, 0]
    assert np.abs(outside[:, 40:]).max() < 2e-3 * inside.max()
    gone = image_of(atoms((6.0, -60.0)), settings)
    assert np.abs(gone).max() == 0


def test_large_frames_show_the_same_spot_as_small_ones() -> None:
    probe = {"source_fwhm": 0.7, "C12": 25.0, "C30": 5e3}
    small = image_of(atoms((6.43, 6.31)), microscope((64, 64), 0.2, probe=probe))
    large = image_of(atoms((46.43, 66.31)), microscope((640, 700), 0.2, probe=probe))
    part = large[200:264, 300:364]
    np.testing.assert_allclose(part, small, atol=4e-3 * small.max())


def test_displacement_is_a_smear_of_the_chosen_element_only() -> None:
    probe = {"source_fwhm": 0.5}
    both = [(6.0, 4.0), (6.0, 9.0)]
    specimen = atoms(*both)
    specimen.numbers[1] = 34
    sharp = image_of(specimen, microscope(probe=probe))
    general = image_of(specimen, microscope(probe={**probe, "rms_displacement": 0.3}))
    own = image_of(specimen, microscope(probe={**probe, "rms_displacement_by_element": {"Se": 0.3}}))
    equal = image_of(
        specimen,
        microscope(probe={**probe, "rms_displacement": 0.1, "rms_displacement_by_element": {"Se": 0.3, "W": 0.3}}),
    )
    np.testing.assert_allclose(own[:, :30], sharp[:, :30], atol=0.03 * sharp.max())
    np.testing.assert_allclose(own[:, 40:], general[:, 40:], atol=0.03 * sharp[:, 40:].max())
    np.testing.assert_allclose(equal, general, atol=1e-5 * sharp.max())
    blurred = np.sqrt(0.5**2 + (0.3 * 2.354820) ** 2)
    np.testing.assert_allclose(
        general, image_of(specimen, microscope(probe={"source_fwhm": blurred})), atol=1e-5 * sharp.max()
    )


def test_displacements_of_elements_are_drawn_for_each_image_and_recorded() -> None:
    specimen = atoms((6.0, 4.0), (6.0, 9.0))
    specimen.numbers[1] = 34
    own = {"Se": "uniform(0.1, 0.5)", "W": "normal(0.1, 0.05)", "C": 0.2}
    settings = microscope(probe={"source_fwhm": 0.5, "C12": "normal(0, 10)", "rms_displacement_by_element": own})
    batch = simulate_batch([specimen] * 3, settings, [1, 2, 3])
    drawn = [{symbol: one["probe"][f"rms_displacement_by_element.{symbol}"] for symbol in own} for one in batch.drawn]
    assert len({values["Se"] for values in drawn}) == len({values["W"] for values in drawn}) == 3
    assert all(0.1 <= values["Se"] <= 0.5 and values["C"] == 0.2 for values in drawn)
    for index, values in enumerate(drawn):
        # the same image comes from the numbers that were drawn
        probe = {"source_fwhm": 0.5, "C12": batch.drawn[index]["probe"]["C12"], "rms_displacement_by_element": values}
        image = fractions(batch.images[index].numpy(), settings)
        np.testing.assert_allclose(image, image_of(specimen, microscope(probe=probe)), atol=1e-6 * image.max())
    for refused in ({"Se": "uniform(0, 2)"}, {"Se": "normal(1.5, 0.1)"}, {"Se": -0.1}):
        with pytest.raises(SettingsError, match=r"rms_displacement_by_element is .*; allowed: 0 to 1 angstrom"):
            microscope(probe={"rms_displacement_by_element": refused})


def test_grids_hold_the_image_its_rim_and_the_aperture() -> None:
    grid = plan_grid((31, 45), 0.2, highest_frequency=1.2, rim=(5.0, 7.0))
    assert grid.oversampling == 1
    assert grid.size[0] >= 31 + 50
    assert grid.size[1] >= 45 + 70
    transfer = transfer_functions(
        [{"beam_energy": 80.0, "convergence_semiangle": 25.0}], spacings=[0.2], grid=grid.size, half=grid.half
    )
    assert transfer.shape == (1, 4 * grid.half[0] + 1, 2 * grid.half[1] + 1)


def test_fast_lengths() -> None:
    assert [fast_length(n) for n in (7, 97, 128, 129, 1230)] == [8, 100, 128, 144, 1280]
    assert plan_grid((100, 100), 0.5, highest_frequency=1.2, rim=None).size == (200, 200)
