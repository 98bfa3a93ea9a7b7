"""Gaussian fits, all columns at once."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from napari_stemlearn.finding.frame_reader import open_frame
from napari_stemlearn.finding.gaussians import fit_gaussians
from napari_stemlearn.finding.image_refinement import refine_positions, set_back_close
from napari_stemlearn.micrograph import Micrograph


def test_noise_free_columns_are_exact(make_image, make_points):
    rng = np.random.default_rng(0)
    points = make_points((150, 150), 16, rng, rim=8)
    image = 1000 + make_image((150, 150), points, 2.0, rng.uniform(50, 100, len(points)))
    start = points + rng.uniform(-0.7, 0.7, points.shape)
    for polarity, sign in (("bright", 1), ("dark", -1)):
        fits = fit_gaussians(sign * image, *start.T, 1.7, polarity=polarity)
        assert fits.converged.all()
        np.testing.assert_allclose(np.stack([fits.y, fits.x], 1), points, atol=2e-3)
        np.testing.assert_allclose(fits.sigma, 2.0, rtol=5e-3)
        np.testing.assert_allclose(fits.background, sign * 1000, atol=2)
        assert (np.sign(fits.amplitude) == sign).all()


def test_error_estimate_is_the_scatter(make_image, make_points):
    rng = np.random.default_rng(1)
    points = make_points((500, 500), 16, rng, rim=8)
    image = make_image((500, 500), points, 2.0) + rng.normal(0, 0.15, (500, 500))
    fits = fit_gaussians(image, *(points + rng.normal(0, 0.3, points.shape)).T, 2.0)
    scatter = np.concatenate([fits.y - points[:, 0], fits.x - points[:, 1]])[np.tile(fits.converged, 2)]
    assert fits.converged.mean() > 0.99
    assert np.std(scatter) == pytest.approx(np.median(fits.error), rel=0.15)
    assert abs(np.mean(scatter)) < 0.02


@pytest.mark.parametrize(("sigma", "counts", "background"), [(2.0, 3.0, 0.1), (1.3, 10.0, 0.1), (1.3, 3.0, 0.3)])
def test_error_estimate_knows_that_counting_noise_grows_with_the_signal(
    make_image, make_points, sigma, counts, background
):
    rng = np.random.default_rng(0)
    points = make_points((400, 400), 12, rng, rim=8)
    image = rng.poisson(make_image((400, 400), points, sigma, counts) + background).astype(float)
    fits = fit_gaussians(image, *(points + rng.normal(0, 0.3, points.shape)).T, sigma)
    parts = (np.stack([fits.y, fits.x], 1) - points)[fits.converged] / fits.error[fits.converged, None]
    # the median of the squares of a normal distribution is 0.455 of its variance
    assert np.sqrt(np.median(parts**2) / 0.455) == pytest.approx(1, abs=0.12)


def test_flat_and_cut_patches_are_refused_without_a_crash():
    image = np.zeros((30, 30))
    image[0, 0] = 1
    fits = fit_gaussians(image, np.array([15.0, 0.0, 29.0]), np.array([15.0, 0.0, 29.0]), 2.0)
    assert not fits.converged[0]
    assert not fits.converged[2]
    assert len(fit_gaussians(image, np.empty(0), np.empty(0), 2.0).y) == 0


def test_a_fit_that_leaves_the_frame_is_refused(make_image):
    points = np.array([[-1.5, 20.0], [20.0, 41.2], [20.0, 20.0]])
    frame = open_frame(Micrograph(make_image((40, 40), points, 2.0), 0.2), 0)
    table = refine_positions(frame, np.array([0.0, 20.0, 20.3]), np.array([20.0, 39.0, 20.0]), sigma=2.0, max_shift=3.0)
    assert table["refined"].tolist() == [False, False, True]
    assert table["y"][0] == 0.0
    assert table["x"][1] == 39.0


def test_refinements_that_bring_sites_together_are_taken_back():
    before = np.array([[0.0, 0.0], [0.0, 10.0], [0.0, 20.0], [0.0, 21.0]])
    now = np.array([[0.0, 3.0], [0.0, 4.0], [0.0, 12.0], [0.0, 21.0]])
    label = np.array(["a", "b", "a", "c"], dtype=object)
    values = {"error": 0.1, "sigma": 2.0, "amplitude": 5.0}
    fits = pd.DataFrame({"y": now[:, 0], "x": now[:, 1], **values, "refined": True})
    # 1 moved farther than 0 and goes back, where 2 has come too close to it and goes back as well
    set_back_close(fits, *before.T, label, [("a", "b"), ("c",)], 5.0)
    assert fits["refined"].tolist() == [True, False, False, True]
    assert fits["x"].tolist() == [3.0, 10.0, 20.0, 21.0]
    assert fits["sigma"].isna().tolist() == [False, True, True, False]
    fits = pd.DataFrame({"y": now[:, 0], "x": now[:, 1], **values, "refined": True})
    set_back_close(fits, *before.T, label, [("a",), ("b",), ("c",)], 5.0)
    assert fits["refined"].all()


def test_a_fit_that_walks_too_far_is_refused(make_image):
    points = np.array([[20.0, 20.0], [20.0, 40.0]])
    frame = open_frame(Micrograph(7 + 5 * make_image((40, 60), points, 2.0), 0.2), 0)
    start_y, start_x = np.array([20.4, 20.0]), np.array([20.0, 42.5])
    table = refine_positions(frame, start_y, start_x, sigma=2.0, max_shift=1.0)
    assert table["refined"].tolist() == [True, False]
    assert table["y"][0] == pytest.approx(20, abs=0.01)
    assert table["x"][1] == 42.5
    assert table["amplitude"][0] == pytest.approx(5, rel=0.02)
    assert np.isnan(table["error"][1])


def test_thousands_of_columns_at_once(make_image, make_points):
    rng = np.random.default_rng(2)
    points = make_points((1000, 1000), 14, rng)
    image = make_image((1000, 1000), points, 2.0) + rng.normal(0, 0.1, (1000, 1000))
    begin = time.process_time()
    fits = fit_gaussians(image, *points.T, 2.0)
    print(f"{len(points)} fits in {time.process_time() - begin:.2f} s of one core")
    assert fits.converged.mean() > 0.98
