"""A click goes to the column under it, to a fraction of a pixel, and stays where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemlearn.labelling.snapping import snap


def columns_image(centres, shape=(64, 64), sigma=2.0, heights=None, noise=0.0, background=0.0):
    rows, columns = np.indices(shape)
    image = np.full(shape, background, dtype=float)
    for number, (y, x) in enumerate(centres):
        height = 1.0 if heights is None else heights[number]
        image += height * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2))
    return image + np.random.default_rng(1).normal(0, noise, shape) if noise else image


@pytest.mark.parametrize("offset", [(0, 0), (2, -1.5), (-2.5, 2.5)])
@pytest.mark.parametrize("centre", [(30.0, 31.0), (30.37, 31.81)])
def test_a_click_beside_a_column_lands_on_its_centre(offset, centre):
    image = columns_image([centre])
    result = snap(image, centre[0] + offset[0], centre[1] + offset[1], pixel_size=0.2)
    assert result.on == "column"
    assert (result.y, result.x) == pytest.approx(centre, abs=0.05)


def test_noise_moves_it_little():
    errors = []
    for seed in range(20):
        image = columns_image([(30.4, 30.6)]) + np.random.default_rng(seed).normal(0, 0.1, (64, 64))
        result = snap(image, 31, 30, pixel_size=0.2)
        errors.append(np.hypot(result.y - 30.4, result.x - 30.6))
    assert np.median(errors) < 0.4


def test_a_dim_column_is_not_taken_for_its_bright_neighbours():
    # one selenium between tungsten columns, 1.9 angstrom apart at 0.2 angstrom a pixel
    dim = (32.0, 32.0)
    image = columns_image([dim, (32, 41.5), (23.8, 27.2), (40.2, 27.2)], heights=[0.35, 1, 1, 1])
    result = snap(image, 33.5, 31.0, pixel_size=0.2)
    assert result.on == "column"
    assert np.hypot(result.y - dim[0], result.x - dim[1]) < 0.3


def hexagonal(shape, spacing, turn=0.2):
    """Metal sites and chalcogen sites of a hexagonal monolayer, in pixels."""
    steps = np.arange(-60, 61)
    n, m = (grid.ravel() for grid in np.meshgrid(steps, steps))
    first = spacing * np.array([np.sin(turn), np.cos(turn)])
    second = spacing * np.array([np.sin(turn + np.pi / 3), np.cos(turn + np.pi / 3)])
    metal = n[:, None] * first + m[:, None] * second + np.array([50.3, 50.8])
    chalcogen = metal + (first + second) / 3
    return tuple(sites[((sites > -5) & (sites < np.array(shape) + 5)).all(axis=1)] for sites in (metal, chalcogen))


@pytest.mark.parametrize("left", [0.0, 0.05])
def test_a_vacancy_is_found_from_the_lattice_around_it(left):
    shape = (140, 140)
    metal, chalcogen = hexagonal(shape, spacing=3.3 / 0.2)
    number = int(np.argmin(np.hypot(*(chalcogen - 70).T)))
    heights = np.concatenate([np.ones(len(metal)), np.full(len(chalcogen), 0.8)])
    heights[len(metal) + number] = left
    image = columns_image(np.vstack([metal, chalcogen]), shape, heights=heights, noise=0.05)
    hole = chalcogen[number]
    result = snap(image, hole[0] + 1.5, hole[1] - 1.2, pixel_size=0.2)
    assert result.on == "site"
    assert (result.y, result.x) == pytest.approx(tuple(hole), abs=0.3)


def test_a_hole_without_a_lattice_keeps_the_click():
    image = columns_image([(32, 41.5), (23.8, 27.2), (40.2, 27.2)])
    result = snap(image, 32.3, 31.8, pixel_size=0.2)
    assert result.on == "nothing"
    assert (result.y, result.x) == (32.3, 31.8)


def test_edges_constant_and_bad_values_keep_the_click_or_work():
    image = columns_image([(0.5, 20.0)])
    assert snap(image, 1.0, 20.5, pixel_size=0.2).y == pytest.approx(0.5, abs=0.5)
    assert snap(np.ones((20, 20)), 5, 5, pixel_size=0.2).on == "nothing"
    assert snap(image, -5, 5, pixel_size=0.2).on == "nothing"
    assert snap(np.eye(3), 1, 1, pixel_size=0.2).on in ("column", "nothing")
    image[10, 10] = np.nan
    assert snap(image, 10, 10, pixel_size=0.2).on == "nothing"


def test_without_a_pixel_size_it_uses_usual_widths():
    result = snap(columns_image([(30.2, 30.7)]).astype(np.float32) * 1000, 32, 29)
    assert (result.y, result.x) == pytest.approx((30.2, 30.7), abs=0.1)
