"""A micrograph refuses what it cannot be, in one sentence."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemlearn.errors import MicrographError
from napari_stemlearn.micrograph import SAME_TO_LEARN_FROM, Micrograph, check_values, same_pixel_size


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.zeros((0, 5)), "is empty"),
        (np.zeros(5), "has 1 axes"),
        (np.zeros((2, 3, 8, 8)), "has 4 axes"),
        (np.zeros((64, 64, 3), np.uint8), "colour image"),
        (np.zeros((1, 1)), "at least 2 by 2"),
        (np.zeros((8, 8), complex), "is complex"),
        (np.array([["a", "b"], ["c", "d"]]), "not numbers"),
        ([[1.0, 2.0], [3.0, 4.0]], "of type list; give a numpy array"),
        (None, "of type NoneType"),
    ],
)
def test_bad_data(data, words):
    with pytest.raises(MicrographError, match=words):
        Micrograph(data)


@pytest.mark.parametrize("pixel_size", [0, -1, np.nan, np.inf, 5000, "0.2 nm", {"y": 0.2}, True, np.True_])
def test_bad_pixel_size(pixel_size):
    with pytest.raises(MicrographError, match=r"between 0.001 and 1000 angstrom"):
        Micrograph(np.zeros((4, 4)), pixel_size)


def test_names_can_be_shown_and_written():
    name = b"L\xf6cher \xe2\x84\xab".decode("utf-8", "surrogateescape")
    assert Micrograph(np.zeros((4, 4)), 0.2, name).name == "L\ufffdcher \u212b"


def test_anisotropic_pixels_are_named():
    with pytest.raises(MicrographError, match=r"0.2 by 0.25 angstrom"):
        Micrograph(np.zeros((4, 4)), (0.2, 0.25))
    assert Micrograph(np.zeros((4, 4)), (0.2, 0.2)).pixel_size == 0.2


def test_missing_pixel_size_is_asked_for():
    with pytest.raises(MicrographError, match="give it in angstrom"):
        Micrograph(np.zeros((4, 4))).require_pixel_size()


@pytest.mark.parametrize(("value", "words"), [(np.nan, "NaN"), (np.inf, "infinite")])
def test_bad_values(value, words):
    frame = np.random.default_rng(0).normal(size=(8, 8))
    frame[2, 3] = value
    with pytest.raises(MicrographError, match=words):
        check_values(frame)


def test_constant_image():
    with pytest.raises(MicrographError, match="one grey level"):
        check_values(np.full((8, 8), 7, np.uint8))


def test_stack_and_frame():
    stack = Micrograph(np.arange(2 * 4 * 5).reshape(2, 4, 5), 0.1)
    assert (stack.n_frames, stack.shape, stack.axes) == (2, (4, 5), ("frame", "y", "x"))
    assert stack.frame(1)[0, 0] == 20


def test_pixel_sizes_that_count_as_one():
    assert same_pixel_size(0.2, 0.20015)
    assert same_pixel_size(0.20015, 0.2)
    assert not same_pixel_size(0.2, 0.2003)
    assert not same_pixel_size(0.2003, 0.2)
    assert same_pixel_size(0.2, 0.2039, SAME_TO_LEARN_FROM)
    assert not same_pixel_size(0.2, 0.2041, SAME_TO_LEARN_FROM)
    assert not same_pixel_size(0.0, 0.2)
