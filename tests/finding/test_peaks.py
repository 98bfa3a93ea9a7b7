"""Local maxima, their centres, and which of two close ones stays."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from napari_stemlearn.finding.peaks import keep_apart, local_maxima, patch_radius, spot_centres


def test_maxima_equal_the_definition_by_loop():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 6, (23, 31)).astype(float)
    expected = []
    for y in range(23):
        for x in range(31):
            around = [
                (values[y + dy, x + dx], (dy, dx) < (0, 0))
                for dy in (-1, 0, 1)
                for dx in (-1, 0, 1)
                if (dy or dx) and 0 <= y + dy < 23 and 0 <= x + dx < 31
            ]
            if values[y, x] >= 4 and all(values[y, x] > v if before else values[y, x] >= v for v, before in around):
                expected.append((y, x))
    assert list(zip(*map(list, local_maxima(values, 4.0)), strict=True)) == expected


def test_whole_numbers_are_taken_as_they_are():
    values = np.zeros((9, 9), np.uint8)
    values[4, 4], values[4, 5] = 200, 100
    y, x = local_maxima(values, 150)
    assert (y.tolist(), x.tolist()) == ([4], [4])
    assert spot_centres(values, y, x, 2.0)[0] == pytest.approx([4.0])


def test_a_plateau_gives_one_site_at_its_middle():
    yy, xx = np.mgrid[:40, :40]
    flat = (np.hypot(yy - 20.3, xx - 18.7) < 4.2).astype(np.float32)
    y, x = local_maxima(flat, 0.5)
    centre_y, centre_x = spot_centres(flat, y, x, 3.0)
    kept = keep_apart(centre_y, centre_x, flat[y, x], 4.0)
    assert len(kept) == 1
    assert centre_y[kept[0]] == pytest.approx(20.3, abs=0.3)
    assert centre_x[kept[0]] == pytest.approx(18.7, abs=0.3)
    assert len(local_maxima(np.ones((9, 9)), 0.5)[0]) == 1
    assert len(local_maxima(np.zeros((9, 9)), 0.5)[0]) == 0


def test_centres_are_sub_pixel(make_image, make_points):
    rng = np.random.default_rng(1)
    points = make_points((200, 200), 15, rng, rim=5)
    values = make_image((200, 200), points, 2.2).astype(np.float32)
    y, x = local_maxima(values, 0.3)
    centres = np.stack(spot_centres(values, y, x, 2.5), axis=1)
    distance, index = cKDTree(points).query(centres)
    assert sorted(index) == list(range(len(points)))
    assert distance.max() < 0.02


def test_centres_do_not_leave_the_map():
    values = np.zeros((10, 10), np.float32)
    values[0, 0] = values[9, 5] = 1
    y, x = spot_centres(values, *local_maxima(values, 0.5), 2.0)
    np.testing.assert_allclose(y, [0, 9], atol=1e-6)
    np.testing.assert_allclose(x, [0, 5], atol=1e-6)


def test_keep_apart_equals_the_greedy_loop():
    rng = np.random.default_rng(2)
    for count in (0, 1, 2, 300):
        y, x = rng.uniform(0, 40, (2, count))
        score = rng.integers(0, 5, count) / 5
        kept = []
        for index in np.lexsort((x, y, -score)):
            if all(np.hypot(y[index] - y[other], x[index] - x[other]) >= 3 for other in kept):
                kept.append(index)
        assert keep_apart(y, x, score, 3.0).tolist() == sorted(kept)


def test_tiles_with_a_margin_give_the_maxima_of_the_whole():
    rng = np.random.default_rng(3)
    values = np.round(rng.uniform(size=(50, 60)), 1).astype(np.float32)
    radius = 1.5
    places = list(zip(*local_maxima(values, 0.6), strict=True))
    whole = set(places)
    whole_y, whole_x = spot_centres(values, *local_maxima(values, 0.6), radius)
    centres = dict(zip(places, zip(whole_y, whole_x, strict=True), strict=True))
    margin, seen = patch_radius(radius), []
    for top in range(0, 50, 17):
        for left in range(0, 60, 17):
            low_y, low_x = max(top - margin, 0), max(left - margin, 0)
            part = values[low_y : top + 17 + margin, low_x : left + 17 + margin]
            core = (slice(top - low_y, min(top + 17, 50) - low_y), slice(left - low_x, min(left + 17, 60) - low_x))
            y, x = local_maxima(part, 0.6, core)
            centre_y, centre_x = spot_centres(part, y, x, radius)
            for index in range(len(y)):
                place = (y[index] + low_y, x[index] + low_x)
                seen.append(place)
                here = (centre_y[index] + low_y, centre_x[index] + low_x)
                np.testing.assert_allclose(here, centres[place], atol=1e-9)
    assert len(seen) == len(set(seen))
    assert set(seen) == whole
