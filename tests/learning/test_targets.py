"""Marks lie where the sites are, to a fraction of a pixel."""

import numpy as np
import pytest
import torch

from napari_stemlearn.learning.targets import class_indices, draw_targets, sites_array


def test_a_gaussian_mark_has_half_its_height_at_the_radius():
    maps, centres = draw_targets([[0, 1, 20.0, 15.25]], (1, 2, 40, 30), radius=3.0)
    rows, columns = np.mgrid[:40, :30]
    expected = 0.5 ** (((rows - 20) ** 2 + (columns - 15.25) ** 2) / 3.0**2)
    near = expected > 0.01
    np.testing.assert_allclose(maps[0, 1].numpy()[near], expected[near], rtol=1e-5)
    assert maps[0, 0].abs().max() == 0
    assert centres.nonzero().tolist() == [[0, 1, 20, 15]]


def test_a_disc_covers_what_is_within_the_radius():
    maps = draw_targets([[0, 0, 10.3, 9.6]], (1, 1, 24, 24), radius=2.45, kind="disc").maps[0, 0].numpy()
    rows, columns = np.mgrid[:24, :24]
    np.testing.assert_array_equal(maps, (rows - 10.3) ** 2 + (columns - 9.6) ** 2 <= 2.45**2)


def test_marks_of_neighbours_do_not_add_up():
    both = draw_targets([[0, 0, 10, 10], [0, 0, 10, 13]], (1, 1, 24, 24), radius=2.0).maps
    single = [draw_targets([[0, 0, 10, x]], (1, 1, 24, 24), radius=2.0).maps for x in (10, 13)]
    torch.testing.assert_close(both, torch.maximum(*single))


def test_a_site_beyond_the_rim_marks_what_it_reaches_and_has_no_centre():
    maps, centres = draw_targets([[0, 0, -1.0, 5.0], [1, 0, 31.0, 40.0]], (2, 1, 24, 24), radius=3.0)
    assert maps[0, 0, 0, 5] == pytest.approx(0.5 ** (1 / 9))
    assert maps[1].max() == 0
    assert not centres.any()


def test_no_sites_give_empty_maps():
    assert draw_targets(np.zeros((0, 4)), (2, 3, 8, 8), radius=2.0).maps.shape == (2, 3, 8, 8)


def test_truth_classes_become_training_classes():
    classes = {
        "column": ("all columns",),
        "vacancy": ("vacancy1", "vacancy2"),
        "odd": ("all defects",),
        "metal": ("W",),
    }
    found = class_indices(["W", "Se2", "vacancy1", "adatom", "W"], classes)
    assert found == [(0, 3), (0,), (1, 2), (2,), (0, 3)]
    rows = sites_array(5, ["W", "adatom"], np.array([1.5, 2.5]), np.array([3.5, 4.5]), classes)
    assert rows.tolist() == [[5, 0, 1.5, 3.5], [5, 3, 1.5, 3.5], [5, 2, 2.5, 4.5]]
