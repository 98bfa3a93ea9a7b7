"""Distortions of the scan move image and sites together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from microscopes import FRACTION, atoms, fractions, microscope

from napari_stemlearn.errors import SettingsError
from napari_stemlearn.imaging.scan import NEGLIGIBLE_SHIFT, places_in_image, scan_path, smooth_noise
from napari_stemlearn.imaging.simulate import simulate_batch

PROBE = {"source_fwhm": 1.0}


def centre_near(image: np.ndarray, y: float, x: float) -> np.ndarray:
    """Centre of mass of one spot, in a Gaussian window that follows it."""
    place = np.array([y, x])
    top, left = max(0, round(y) - 10), max(0, round(x) - 10)
    part = image[top : top + 21, left : left + 21]
    rows, columns = np.indices(part.shape)
    rows, columns = rows + top, columns + left
    for _ in range(60):
        weight = part * np.exp(-0.5 * ((rows - place[0]) ** 2 + (columns - place[1]) ** 2) / 2.5**2)
        place = np.array([(weight * rows).sum(), (weight * columns).sum()]) / weight.sum()
    return place


def lattice() -> object:
    return atoms(*[(y, x) for y in np.arange(2.1, 24, 5.3) for x in np.arange(1.7, 26, 5.1)])


@pytest.mark.parametrize(
    ("scan", "tolerance"),
    [
        ({}, 0.003),
        ({"shear": 0.02}, 0.01),
        ({"scale_y": 1.04}, 0.01),
        ({"drift_y": 1.5, "drift_x": -2.0}, 0.01),
        ({"drift_change": 1.0}, 0.06),
        ({"flyback": -0.8, "flyback_length": 12.0}, 0.06),
        ({"hum": 0.2, "hum_lines": 60.0}, 0.05),
        ({"wobble": 0.3, "wobble_lines": 60.0}, 0.08),
        ({"line_jitter_x": 0.1, "line_jitter_y": 0.05}, 0.35),
    ],
    ids=str,
)
def test_sites_lie_on_their_spots(scan: dict[str, float], tolerance: float) -> None:
    settings = microscope((120, 130), 0.2, probe=PROBE, scan=scan)
    errors = []
    for seed in range(3):
        batch = simulate_batch([lattice()], settings, [seed])
        image = fractions(batch.images[0].numpy(), settings)
        places = batch.column_sites[0].positions
        assert len(places) >= 20
        far = (places > 5).all(axis=1) & (places < np.array(image.shape) - 6).all(axis=1)
        errors += [centre_near(image, *place) - place for place in places[far]]
    assert np.abs(errors).max() < tolerance


@pytest.mark.parametrize("pixel_size", [0.2, 0.1037, 0.2074])
def test_behind_the_flyback_the_image_is_that_of_a_straight_scan(pixel_size: float) -> None:
    shape = (24, 120)
    specimen = atoms(*[(y * pixel_size, x * pixel_size) for y in (5, 17) for x in range(3, 120, 9)])
    (straight,) = simulate_batch([specimen], microscope(shape, pixel_size, probe=PROBE), [0]).images.numpy()
    for regular_from in range(12, 112):
        scan = {"flyback": -0.8, "flyback_length": regular_from / np.log(0.8 / (NEGLIGIBLE_SHIFT * pixel_size)) - 0.01}
        settings = microscope(shape, pixel_size, probe=PROBE, scan=scan)
        assert scan_path(shape, pixel_size, scan, np.random.default_rng(0)).regular_from == regular_from
        (bent,) = simulate_batch([specimen], settings, [0]).images.numpy()
        np.testing.assert_allclose(bent[:, regular_from:], straight[:, regular_from:], atol=2e-4 * straight.max())


def test_straight_scan_is_the_pixel_raster() -> None:
    path = scan_path((7, 9), 0.25, {}, np.random.default_rng(0))
    np.testing.assert_allclose(path.rows, np.arange(7) * 0.25)
    np.testing.assert_allclose(path.columns, np.arange(9) * 0.25)
    assert not path.row_shifts.any()
    assert path.regular_from == 0
    assert path.reach == (0.0, 0.0)


def test_each_line_is_the_specimen_along_the_path() -> None:
    # line i of a distorted image equals the undistorted image moved so that the path is met
    scan = {"line_jitter_x": 0.3, "line_jitter_y": 0.3, "flyback": 0.5, "flyback_length": 4.0, "drift_x": 2.0}
    settings = microscope((40, 60), 0.2, probe=PROBE, scan=scan, periodic=True)
    specimen = atoms(*np.random.default_rng(1).uniform(0, 10, (30, 2)))
    distorted = simulate_batch([specimen], settings, [4]).images[0].numpy()
    drawn = simulate_batch([specimen], settings, [4]).drawn[0]["scan"]
    path = scan_path((40, 60), 0.2, drawn, np.random.default_rng((4, 2)))
    plain = microscope((40, 60), 0.2, probe=PROBE, periodic=True)
    for line in (0, 11, 39):
        for pixel in (0, 3, 50):
            dy = path.rows[line] - line * 0.2
            dx = path.columns[pixel] + path.row_shifts[line] - pixel * 0.2
            moved = type(specimen)(specimen.positions - np.array([dx, dy, 0]), specimen.numbers)
            expected = simulate_batch([moved], plain, [0]).images[0, line, pixel]
            assert distorted[line, pixel] == pytest.approx(float(expected), abs=2e-4 * float(distorted.max()))


def test_places_invert_the_path() -> None:
    drawn = {"drift_y": 3.0, "drift_x": -4.0, "shear": 0.03, "scale_y": 0.97, "flyback": 1.0, "flyback_length": 20.0}
    path = scan_path((200, 150), 0.15, drawn, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    i, j = rng.uniform(-40, 239, 200), rng.uniform(-40, 189, 200)
    y, shift, x = (_continued(values, at) for values, at in ((path.rows, i), (path.row_shifts, i), (path.columns, j)))
    found = places_in_image(path, y, x + shift)
    np.testing.assert_allclose(found, (i, j), atol=1e-6)
    assert ((i < 0) | (i > 199)).any()


def _continued(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Values at fractional indices, beyond the ends with the mean slope."""
    last = len(values) - 1
    slope = (values[-1] - values[0]) / last
    beyond = np.minimum(at, 0) + np.maximum(at - last, 0)
    return np.interp(at, np.arange(last + 1), values) + slope * beyond


def test_what_a_strong_flyback_shows_twice_lies_where_the_scan_goes_forward() -> None:
    path = scan_path((40, 150), 0.1, {"flyback": 2.0, "flyback_length": 4.0}, np.random.default_rng(0))
    lowest = int(path.columns.argmin())
    assert lowest > 5
    j = np.random.default_rng(1).uniform(lowest, 149, 300)
    x = np.interp(j, np.arange(150), path.columns)
    np.testing.assert_allclose(places_in_image(path, np.full(300, 2.0), x)[1], j, atol=1e-6)


@pytest.mark.parametrize(
    ("scan", "words"),
    [
        ({"drift_y": -12.0}, r"scan\.drift_y: with -12 angstrom in a frame of 60 lines .* more than -12 angstrom\.$"),
        ({"drift_y": -30.0, "scale_y": 1.2}, r"allowed: more than -14\.4 angstrom\.$"),
        (
            {"flyback": 20.0, "flyback_length": 500.0},
            r"scan\.flyback: with 20 angstrom .* less than 5\.03508 angstrom\.$",
        ),
    ],
    ids=str,
)
def test_a_scan_that_does_not_come_forward_is_refused(scan: dict[str, float], words: str) -> None:
    width = 60 if "drift_y" in scan else 8
    pixel_size = 0.2 if "drift_y" in scan else 0.01
    with pytest.raises(SettingsError, match=words):
        simulate_batch([atoms((5.0, 5.0))], microscope((60, width), pixel_size, probe=PROBE, scan=scan), [0])


def test_just_below_the_height_of_the_frame_a_drift_leaves_its_truth() -> None:
    settings = microscope((60, 60), 0.2, probe=PROBE, scan={"drift_y": -11.9})
    batch = simulate_batch([atoms((5.95, 5.0), (3.0, 5.0))], settings, [0])
    assert len(batch.column_sites[0]) == 1


def test_a_frame_too_low_for_its_wobble_is_refused() -> None:
    path = scan_path((8, 8), 0.1, {}, np.random.default_rng(0))
    still = replace(path, rows=np.linspace(3.0, 0.0, 8))
    with pytest.raises(SettingsError, match=r"no line of the frame .* lies ahead of the first one; allowed: less"):
        places_in_image(still, np.zeros(1), np.zeros(1))


def test_sites_beyond_the_frame_are_left_out() -> None:
    settings = microscope((50, 50), 0.2, probe=PROBE, scan={"drift_x": 3.0})
    batch = simulate_batch([atoms((5.0, 5.0), (-0.2, 5.0), (5.0, 10.0), (11.0, 2.0), (9.9, -0.05))], settings, [0])
    places = batch.column_sites[0].positions
    assert ((places >= -0.5) & (places < 49.5)).all()
    assert 0 in batch.column_sites[0].rows
    assert 1 not in batch.column_sites[0].rows
    assert 3 not in batch.column_sites[0].rows


def test_large_drift_stays_within_the_computed_field() -> None:
    settings = microscope((60, 60), 0.2, probe=PROBE, scan={"drift_y": 30.0, "drift_x": 20.0})
    specimen = atoms((-12.0, -4.0), (6.0, 6.0), (20.0, 15.0))
    batch = simulate_batch([specimen], settings, [0])
    image = batch.images[0].numpy()
    assert len(batch.column_sites[0]) == 3
    for y, x in batch.column_sites[0].positions.round().astype(int):
        assert image[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].max() > 0.5 * image.max()


@pytest.mark.parametrize("length", [2.0, 30.0, 900.0])
def test_smooth_noise_has_unit_variance_and_its_length(length: float) -> None:
    noise = smooth_noise(np.random.default_rng(0), (400, 300), length)
    assert noise.shape == (400, 300)
    assert np.mean(noise**2) == pytest.approx(1, abs=0.15)
    lag = int(length) if length < 300 else 200
    correlation = np.mean(noise[:, lag:] * noise[:, :-lag])
    assert correlation == pytest.approx(np.exp(-((lag / length) ** 2)), abs=0.15)


def test_the_scan_of_an_image_does_not_depend_on_other_sections() -> None:
    scan = {"line_jitter_x": 0.3, "drift_x": "normal(0, 3)"}
    first = simulate_batch([lattice()], microscope((60, 60), 0.2, scan=scan), [3])
    other = microscope((60, 60), 0.2, scan=scan, probe={"C10": "normal(0, 9)"}, detector={**FRACTION, "gain": 2.0})
    second = simulate_batch([lattice()], other, [3])
    assert first.drawn[0]["scan"] == second.drawn[0]["scan"]
    np.testing.assert_array_equal(first.column_sites[0].positions, second.column_sites[0].positions)
