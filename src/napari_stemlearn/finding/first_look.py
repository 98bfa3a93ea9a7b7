"""What a first look at a frame tells before its sites are believed: columns that look dark, a lattice of wrong spacing.

Neither changes what is found; each is one sentence at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.finding.bragg_spots import FEWEST, Spots, bragg_spots
from napari_stemlearn.finding.classical import filtered
from napari_stemlearn.finding.column_radius import measure_texture
from napari_stemlearn.finding.frame_reader import FrameReader
from napari_stemlearn.finding.peaks import local_maxima
from napari_stemlearn.finding.settings import FindSettings

if TYPE_CHECKING:
    from napari_stemlearn.models.card import ModelCard

SIDE = 400
"""Side in pixels of what is looked at."""

COARSEST = 0.25
"""Finer pixels are averaged up to this size in angstrom: columns stay, noise goes, and the field is larger."""

DARKER = 1.5
"""Dark blobs are stronger than bright ones by this factor where columns are dark. ADF images of many materials give 0.2
to 0.9, graphene (where holes are stronger than atoms) up to 1.7, annular bright field 2.1."""

AS_MANY = 0.65
"""And there are this many for each bright one; the holes of a honeycomb are half as many as its atoms."""

CLEAR = 0.3
"""Blobs of either kind count from this part of the strong dark ones (their 95th percentile)."""

STRONG = 0.2
"""Bragg spots count from this part of the strongest amplitude."""

ONE_RING = 0.25
"""Spots whose frequencies differ by less than this part are one ring: scans stretch lattices by up to 15 %."""

SMALLEST_FIELD, SMALLEST_FOR_NONE = 18.0, 30.0
"""Shortest side in angstrom of a field whose lattice is judged, and of one of which it is said that there is none."""

OUTSIDE = 1.12
"""A spacing is wrong where it is this factor outside of the crystals': calibrations are often wrong by 3 to 7 %."""


def first_look(
    reader: FrameReader, pixel_size: float, settings: FindSettings, card: ModelCard | None
) -> tuple[str, ...]:
    """Notes on a frame that the finder may not suit.

    Parameters
    ----------
    reader
        The frame.
    pixel_size
        In angstrom.
    settings
        Polarity of the classical finder.
    card
        Of the model, or None for the classical finder.
    """
    image, size = looked_at(reader, pixel_size)
    if min(image.shape) < 16:
        return ()
    notes = []
    if (card is not None or settings.polarity == "bright") and columns_look_dark(image, size):
        notes.append(
            "The columns look dark: search with polarity=dark."
            if card is None
            else "The columns look dark, and networks know bright ones only: search with log and polarity=dark."
        )
    spacings = layer_spacings(card) if card is not None else None
    field = min(image.shape) * size
    if card is not None and spacings is not None and field >= SMALLEST_FIELD:
        spots = bragg_spots(image, size)
        if len(spots.frequency) >= FEWEST or field >= SMALLEST_FOR_NONE:
            notes += spacing_note(spots, spacings, card.name)
    return tuple(notes)


def looked_at(reader: FrameReader, pixel_size: float) -> tuple[NDArray[np.float32], float]:
    """The liveliest of up to nine parts of a frame, averaged to coarser pixels, and the size of these in angstrom."""
    factor = max(int(COARSEST / pixel_size), 1)
    factor = max(min(factor, min(reader.shape) // 64), 1)
    side = SIDE * factor
    parts = (
        reader.read(slice(y, min(y + side, reader.shape[0])), slice(x, min(x + side, reader.shape[1])))
        for y in _starts(reader.shape[0], side)
        for x in _starts(reader.shape[1], side)
    )
    image = max((_averaged(part, factor) for part in parts), key=lambda part: float(np.var(part)))
    return image, pixel_size * factor


def _starts(length: int, side: int) -> list[int]:
    middle = max(length - side, 0) // 2
    # parts that mostly overlap tell nothing new
    return [middle] if length <= 1.5 * side else [0, middle, length - side]


def _averaged(image: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Means of squares of pixels; a rest at the lower and right rim is left out."""
    height, width = (length // factor for length in image.shape)
    squares = image[: height * factor, : width * factor].reshape(height, factor, width, factor)
    return np.ascontiguousarray(squares.mean(axis=(1, 3), dtype=np.float32))


def columns_look_dark(image: NDArray[np.float32], pixel_size: float) -> bool:
    """Whether the columns of a lattice are darker than what lies between them, as in annular bright field.

    Dark columns on a triangular lattice are not told from the holes of a honeycomb, and so count as bright.

    Parameters
    ----------
    image
        Shape (y, x).
    pixel_size
        In angstrom.
    """
    texture = measure_texture(image, pixel_size)
    if not texture.is_lattice:
        return False
    response = filtered(image, max(texture.column_radius / np.sqrt(2) / pixel_size, 0.6))
    bright, dark = (each[local_maxima(each, 0.0)] for each in (response, -response))
    if not len(bright) or not len(dark):
        return False
    strong = float(np.quantile(dark, 0.95))
    counts = [int(np.count_nonzero(blobs > CLEAR * strong)) for blobs in (bright, dark)]
    return strong > DARKER * float(np.quantile(bright, 0.95)) and counts[1] > AS_MANY * counts[0]


def layer_spacings(card: ModelCard) -> tuple[float, float] | None:
    """Least and largest distance of the widest lattice lines of a card's crystals, in angstrom.

    None where the card names no crystals, or some that are no single layers of ours: of thick crystals the first
    reflections may be extinct.
    """
    from napari_stemlearn.structures.presets import catalogue

    parts = card.settings.get("structures") or []
    names = {name for part in parts for name in part.get("crystals") or [part.get("structure", {}).get("crystal")]}
    presets = [catalogue().get(name) for name in names]
    layers = [preset for preset in presets if preset is not None and preset.layer]
    if not layers or len(layers) < len(presets):
        return None
    # every layer of the catalogue is hexagonal
    spacings = [preset.lattice_constant * np.sqrt(3) / 2 for preset in layers]
    return float(min(spacings)), float(max(spacings))


def spacing_note(spots: Spots, spacings: tuple[float, float], name: str) -> list[str]:
    """A sentence where a lattice has another spacing than the crystals of a model, or where none is seen.

    Parameters
    ----------
    spots
        Of the image.
    spacings
        As of `layer_spacings`, in angstrom.
    name
        Of the model.
    """
    known = " to ".join(dict.fromkeys(f"{spacing:.2f}" for spacing in spacings))
    if len(spots.frequency) < FEWEST:
        return [f"No lattice was seen; the model '{name}' knows crystals with lines {known} angstrom apart only."]
    seen = widest_spacing(spots)
    if seen is None or spacings[0] / OUTSIDE <= seen <= spacings[1] * OUTSIDE:
        return []
    return [
        f"The lattice lines are {seen:.2f} angstrom apart, those of the crystals of the model '{name}' {known}: check "
        "the pixel size, or choose another model."
    ]


def widest_spacing(spots: Spots) -> float | None:
    """Distance in angstrom of the widest lattice lines, which run in two directions or have a second order.

    None where no spots say so: a single one may be a streak of the scan or a step of the support.
    """
    if not len(spots.frequency):
        return None
    strong = spots.amplitude >= STRONG * spots.amplitude.max()
    frequency, angle = spots.frequency[strong], spots.angle[strong]
    for first in np.argsort(frequency):
        ratio = frequency / frequency[first]
        turn = np.abs(np.angle(np.exp(2j * (angle - angle[first])))) / 2
        ring = (ratio >= 1) & (ratio <= 1 + ONE_RING)
        second_order = (np.abs(ratio - 2) < 0.06) & (turn < np.radians(4))
        if ring.sum() > 1 or second_order.any():
            return float(1 / frequency[ring].mean())
    return None
