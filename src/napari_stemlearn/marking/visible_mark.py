"""Words that anyone can see: SYNTHETIC in a corner of the image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.errors import MicrographError
from napari_stemlearn.micrograph import check_image, check_values

# a font of our own, since fonts differ from computer to computer
_LETTERS = {
    "S": (".###.", "#...#", "#....", ".###.", "....#", "#...#", ".###."),
    "Y": ("#...#", "#...#", ".#.#.", "..#..", "..#..", "..#..", "..#.."),
    "N": ("#...#", "##..#", "##..#", "#.#.#", "#..##", "#..##", "#...#"),
    "T": ("#####", "..#..", "..#..", "..#..", "..#..", "..#..", "..#.."),
    "H": ("#...#", "#...#", "#...#", "#####", "#...#", "#...#", "#...#"),
    "E": ("#####", "#....", "#....", "####.", "#....", "#....", "#####"),
    "I": ("###", ".#.", ".#.", ".#.", ".#.", ".#.", "###"),
    "C": (".###.", "#...#", "#....", "#....", "#....", "#...#", ".###."),
}
_WORD = "SYNTHETIC"
_MARGIN = 2


def draw_visible_mark(image: NDArray[Any], *, name: str = "image") -> NDArray[Any]:
    """Write SYNTHETIC into the lower left corner of an image (y, x) or of every frame of a stack (frame, y, x).

    Bright letters on a dark plate, in grey levels that the image has, so that its contrast stays as it is. The word is
    between a sixth and a third of the image wide, and at least 55 pixels. Atoms beneath the plate are lost.

    Parameters
    ----------
    image
        Real numbers of any type; the type is kept.
    name
        Of the image, for sentences.

    Raises
    ------
    MicrographError
        If it is no grey image, has NaN or infinite pixels or one grey level, or is too small for the word.
    """
    check_image(image, name)
    if image.ndim == 3:
        return np.stack([_written(np.asarray(frame), name) for frame in image])
    return _written(np.asarray(image), name)


def beneath_visible_mark(
    y: NDArray[np.float64], x: NDArray[np.float64], shape: tuple[int, int], *, name: str = "image"
) -> NDArray[np.bool_]:
    """Mask of the places that `draw_visible_mark` covers.

    Parameters
    ----------
    y, x
        In pixels, shape (n,).
    shape
        Of the image (y, x) in pixels.
    name
        Of the image, for sentences.

    Raises
    ------
    MicrographError
        If the image is too small for the word.
    """
    rows, columns = _scaled_plate(shape, name).shape
    return np.asarray((y >= shape[0] - rows - 0.5) & (x < columns - 0.5))


def check_visible_mark(shape: tuple[int, int], *, name: str = "image") -> None:
    """Refuse images of a shape (y, x) into which the word does not fit.

    Parameters
    ----------
    shape
        In pixels.
    name
        Of the image, for sentences.

    Raises
    ------
    MicrographError
        Says how large they must be.
    """
    (height, width), needed = shape, _plate().shape
    if height < needed[0] or width < needed[1]:
        raise MicrographError(
            f"'{name}' is {height} by {width} pixels, too small for the visible mark, "
            f"which needs {needed[0]} by {needed[1]}."
        )


def _scaled_plate(shape: tuple[int, int], name: str) -> NDArray[np.bool_]:
    """The word as large as it is written on an image of this shape (y, x)."""
    check_visible_mark(shape, name=name)
    (height, width), plate = shape, _plate()
    scale = max(1, min(width // (3 * plate.shape[1]), height // (3 * plate.shape[0])))
    return np.kron(plate, np.ones((scale, scale), dtype=bool))


def _written(frame: NDArray[Any], name: str) -> NDArray[Any]:
    check_values(frame, name)
    height, width = frame.shape
    plate = _scaled_plate((height, width), name)
    dark, bright = np.percentile(frame, (1, 99), method="nearest")
    if dark == bright:
        dark, bright = frame.min(), frame.max()
    written = frame.copy()
    written[height - plate.shape[0] :, : plate.shape[1]] = np.where(plate, bright, dark)
    return written


def _plate() -> NDArray[np.bool_]:
    """The word with its margin; True where a letter is."""
    gap = np.zeros((7, 1), dtype=bool)
    columns = [gap] * (_MARGIN - 1)
    for letter in _WORD:
        columns += [gap, np.array([[dot == "#" for dot in row] for row in _LETTERS[letter]])]
    return np.pad(np.concatenate([*columns, *[gap] * _MARGIN], axis=1), [(_MARGIN, _MARGIN), (0, 0)])
