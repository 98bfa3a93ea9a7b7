"""The sentence and the word that can be seen."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_images import lattice

from napari_stemlearn.errors import MicrographError
from napari_stemlearn.marking import (
    SYNTHETIC_STATEMENT,
    beneath_visible_mark,
    draw_visible_mark,
    is_synthetic,
    says_synthetic,
    synthetic_provenance,
    synthetic_statement,
)


@pytest.mark.parametrize("sentence", [SYNTHETIC_STATEMENT, synthetic_statement(), synthetic_statement("Tag Ä")])
def test_sentences_are_ascii_and_known_again(sentence: str) -> None:
    assert sentence.isascii()
    assert says_synthetic(sentence)
    assert says_synthetic(f"x; {sentence.lower()}".replace(" ", "\n  "))
    assert not says_synthetic("An image of a synthetic diamond")


def test_entries() -> None:
    entries = synthetic_provenance("day a", watermark=True, seed=3)
    assert entries["synthetic"] is True
    assert "'day a'" in entries["statement"]
    assert entries["marks"] == {"watermark": True, "visible_mark": False}
    assert (entries["generator"], entries["seed"]) == ("day a", 3)
    assert "generator" not in synthetic_provenance()
    assert is_synthetic(entries) is True


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ({}, None),
        ({"synthetic": None}, None),
        ({"synthetic": "perhaps"}, None),
        ({"synthetic": False}, False),
        ({"synthetic": "no"}, False),
        ({"synthetic": 1}, True),
        ({"synthetic": "True"}, True),
        ({"statement": SYNTHETIC_STATEMENT}, True),
    ],
)
def test_what_entries_say(entries: dict, expected: bool | None) -> None:
    assert is_synthetic(entries) is expected


@pytest.mark.parametrize("dtype", ["uint8", "float32", "int16"])
@pytest.mark.parametrize("side", [128, 300, 1024])
def test_word_is_written_in_grey_levels_of_the_image(dtype: str, side: int) -> None:
    image = lattice((side, side)).astype(dtype)
    written = draw_visible_mark(image)
    assert written.dtype == image.dtype
    assert set(np.unique(written)) <= set(np.unique(image))
    rows, columns = np.nonzero(written != image)
    assert side - rows.min() <= max(11, side / 8)
    assert side / 8 <= columns.max() + 1 <= max(55, side / 2)
    assert columns.min() <= 3
    # two levels alone where the word is, about a third of the plate bright
    plate = written[rows.min() + 1 : side, : columns.max() + 1]
    assert len(np.unique(plate)) == 2
    assert 0.15 < np.mean(plate == plate.max()) < 0.45


@pytest.mark.parametrize("shape", [(128, 128), (300, 420), (1024, 700)])
def test_what_lies_beneath_the_word_is_told(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random(shape)
    covered = draw_visible_mark(image) != image
    y, x = np.indices(shape).reshape(2, -1)
    beneath = beneath_visible_mark(y.astype(float), x.astype(float), shape).reshape(shape)
    assert not (covered & ~beneath).any()
    # two pixels that had the grey level of the plate
    assert (beneath & ~covered).sum() <= 2


def test_letters_are_those_of_the_word() -> None:
    """Each letter has its own columns between empty ones."""
    image = lattice((128, 128))
    written = draw_visible_mark(image)
    letters = written[117:, :55] == written[117:, :55].max()
    blank = ~letters.any(axis=0)
    begins = np.flatnonzero(np.diff(blank.astype(int)) == -1) + 1
    assert len(begins) == len("SYNTHETIC")
    assert letters[2:9, begins[3] : begins[3] + 5].astype(int).tolist() == [[1] * 5] + [[0, 0, 1, 0, 0]] * 6


def test_stacks_and_refusals() -> None:
    stack = np.stack([lattice((128, 130)), 2 * lattice((128, 130))])
    written = draw_visible_mark(stack)
    np.testing.assert_array_equal(written[1], draw_visible_mark(stack[1]))
    with pytest.raises(MicrographError, match=r"20 by 40 pixels, too small for the visible mark, which needs 11 by 55"):
        draw_visible_mark(lattice((20, 40)))
    with pytest.raises(MicrographError, match="one grey level"):
        draw_visible_mark(np.zeros((128, 128)))
