"""The classical finder on simulated columns."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from napari_stemlearn.finding import FindSettings, classical, estimate_column_radius, find
from napari_stemlearn.finding.frame_reader import open_frame
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.scoring import score
from napari_stemlearn.sites import make_sites


def hexagonal(shape, pixel_size, rng, bond=1.9):
    """A honeycomb of heavy and light columns, turned a little, as points in pixels and their heights."""
    constant = bond * np.sqrt(3) / pixel_size
    angle = 0.2
    first = constant * np.array([np.cos(angle), np.sin(angle)])
    second = constant * np.array([np.cos(angle + np.pi / 3), np.sin(angle + np.pi / 3)])
    index = np.stack(np.meshgrid(np.arange(-80, 80), np.arange(-80, 80)), -1).reshape(-1, 2)
    heavy = index @ np.stack([first, second]) + np.array(shape) / 2
    points = np.concatenate([heavy, heavy + (first + second) / 3])
    height = np.repeat([1.0, 0.6], len(heavy))
    points += rng.normal(0, 0.03 / pixel_size, points.shape)
    inside = ((points > 2) & (points < np.array(shape) - 3)).all(axis=1)
    return points[inside], height[inside]


def test_a_frame_whose_parts_repeat_is_sampled(monkeypatch):
    monkeypatch.setattr(classical, "SAMPLE", 32)
    part = np.random.default_rng(0).random((32, 32), dtype=np.float32)
    frame = open_frame(Micrograph(np.concatenate([0.5 * part, part, part], axis=1), 0.2), 0)
    livelier = frame.read(slice(0, 32), slice(32, 64))
    np.testing.assert_array_equal(classical.sample_of(frame), livelier)


@pytest.mark.parametrize("pixel_size", [0.1, 0.2, 0.35])
@pytest.mark.parametrize("polarity", ["bright", "dark"])
def test_a_noisy_honeycomb_is_found(make_image, pixel_size, polarity):
    rng = np.random.default_rng(0)
    shape = (int(60 / pixel_size), int(50 / pixel_size))
    points, height = hexagonal(shape, pixel_size, rng)
    sigma = 0.4 / pixel_size
    image = make_image(shape, points, sigma, height) + rng.normal(0, 0.15 / sigma, shape)
    image = (300 + 200 * image) * (1 if polarity == "bright" else -1)
    found = find(Micrograph(image, pixel_size), "log", FindSettings(polarity=polarity))
    truth = make_sites(*points.T, "column", pixel_size=pixel_size)
    row = score(found.sites, truth, 0.5, pixel_size, border=8, shape=shape).of("column")
    assert row["f1"] > 0.99
    assert row["rms_error_angstrom"] < 0.12
    assert abs(row["mean_dy_angstrom"]) < 0.02
    assert abs(row["mean_dx_angstrom"]) < 0.02
    assert found.sites["refined"].mean() > 0.9
    assert "column radius was measured as 0." in found.notes[0]
    assert found.sites["score"].between(0.5, 1).all()


def test_flanks_of_columns_outside_the_frame_are_no_columns(make_image):
    # a lattice goes on beyond the edges; the frame cuts it at every distance from a row of columns
    wide, cut = (200, 220), 20
    first, second = np.array([9.3, 1.1]), np.array([-1.4, 10.1])
    index = np.stack(np.meshgrid(np.arange(-30, 60), np.arange(-30, 60)), -1).reshape(-1, 2)
    points = index @ np.stack([first, second])
    image = make_image(wide, points[((points > -9) & (points < np.array(wide) + 9)).all(axis=1)], 2.0)
    image += np.random.default_rng(0).normal(0, 0.02, wide)
    frame = image[cut:-cut, cut:-cut]
    inside = ((points > cut - 0.5) & (points < np.array(wide) - cut - 0.5)).all(axis=1)
    truth = make_sites(*(points[inside] - cut).T, "column", pixel_size=0.2)
    row = score(find(Micrograph(frame, 0.2)).sites, truth, 0.5, 0.2).of("column")
    assert row["precision"] > 0.98
    assert row["recall"] > 0.98


def test_column_radius_is_measured(make_image, make_points):
    rng = np.random.default_rng(1)
    for sigma in (0.3, 0.45, 0.6):
        points = make_points((400, 400), 40, rng, jitter=0.5)
        image = make_image((400, 400), points, sigma / 0.1) + rng.normal(0, 0.3, (400, 400))
        assert estimate_column_radius(image, 0.1) == pytest.approx(np.sqrt(2) * sigma, rel=0.2)


def test_dumbbells_are_two(make_image):
    centres = np.stack(np.meshgrid(np.arange(20, 380, 38), np.arange(20, 380, 54), indexing="ij"), -1).reshape(-1, 2)
    points = np.concatenate([centres + np.array([0, 6.8]), centres - np.array([0, 6.8])])
    rng = np.random.default_rng(2)
    image = make_image((400, 400), points, 3.6) + rng.normal(0, 0.05, (400, 400))
    sites = find(Micrograph(image, 0.1)).sites
    distance, index = cKDTree(points).query(sites[["y", "x"]].to_numpy())
    assert sorted(index) == list(range(len(points)))
    assert distance.max() < 1.5


def test_single_atoms_on_an_uneven_support(make_image):
    rng = np.random.default_rng(6)
    points = rng.uniform(15, 385, (60, 2))
    # dose and noise rise tenfold from left to right
    dose = 30 * 10 ** (np.arange(400) / 400)
    image = rng.poisson(dose * (1 + 2.5 * make_image((400, 400), points, 2.5))).astype(float)
    found = find(Micrograph(image, 0.2), "log", FindSettings(column_radius=0.7))
    truth = make_sites(*points.T, "column", pixel_size=0.2)
    row = score(found.sites, truth, 0.6, 0.2).of("column")
    assert row["precision"] > 0.95
    assert row["recall"] > 0.85
    assert "No lattice was seen" in find(Micrograph(image, 0.2)).notes[0]
    parts = find(Micrograph(image, 0.2), "log", FindSettings(column_radius=0.7, tile=100)).sites
    np.testing.assert_allclose(parts[["y", "x"]], found.sites[["y", "x"]], atol=1e-3)


def test_noise_alone_gives_hardly_anything():
    rng = np.random.default_rng(3)
    sites = find(Micrograph(rng.normal(50, 5, (300, 300)), 0.2)).sites
    assert len(sites) < 8


def test_tiles_and_threshold(make_image, make_points):
    rng = np.random.default_rng(4)
    points = make_points((260, 300), 14, rng)
    micrograph = Micrograph(make_image((260, 300), points, 2.0) + rng.normal(0, 0.1, (260, 300)), 0.2)
    whole = find(micrograph, "log", with_maps=True)
    parts = find(micrograph, "log", FindSettings(tile=64), with_maps=True)
    np.testing.assert_allclose(parts.maps["column"], whole.maps["column"], atol=1e-5)
    np.testing.assert_allclose(parts.sites[["y", "x"]], whole.sites[["y", "x"]], atol=1e-4)
    strict = find(micrograph, "log", FindSettings(threshold=0.7)).sites
    assert len(strict) < len(find(micrograph, "log", FindSettings(threshold=0.3)).sites)
    given = find(micrograph, "log", FindSettings(column_radius=0.55, refine="map"))
    assert given.notes == ()
    assert "refined" not in given.sites


def test_tiny_frames_do_not_crash():
    rng = np.random.default_rng(5)
    for shape in ((2, 2), (3, 40), (16, 16)):
        assert len(find(Micrograph(rng.normal(size=shape), 0.2)).sites) <= 20
