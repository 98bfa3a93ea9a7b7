"""One colour a class, the same in every layer, table and figure."""

from __future__ import annotations

from collections.abc import Iterable

from napari_stemlearn.scoring.published_names import PUBLISHED_NAMES

KNOWN: dict[str, str] = {
    "vacancy1": "#ffb000",
    "vacancy2": "#fe6100",
    "metal_vacancy": "#dc267f",
    "antisite": "#648fff",
    "substitution": "#785ef0",
    "adatom": "#00c2d1",
    "tp": "#2fd08c",
    "fp": "#ff4d3d",
    "fn": "#4db8ff",
    "column": "#7fd4ff",
    "atom": "#7fd4ff",
}
"""Colours of the names that the project itself uses; they differ also for colour-blind eyes."""

PALETTE: tuple[str, ...] = (
    "#7fd4ff",
    "#f0e442",
    "#8ce99a",
    "#ff9ebb",
    "#c9a0ff",
    "#c49a6c",
    "#f4f4f4",
    "#1f9e89",
)
"""Colours for other classes, in the order in which they are handed out; no two are near each other."""


def colours_of(classes: Iterable[str]) -> dict[str, str]:
    """Give each class a colour, ``#rrggbb``.

    Known names always get the same colour. Others take the palette from a place that depends on their name alone,
    moved on where two names of the same call would share it.

    Parameters
    ----------
    classes
        Class names, in any order; repeats are allowed.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    names = list(dict.fromkeys(str(name) for name in classes))
    for name in names:
        colour = KNOWN.get(PUBLISHED_NAMES.get(name, name))
        if colour is not None:
            found[name] = colour
            taken.add(colour)
    for name in sorted(set(names) - set(found)):
        start = sum(ord(letter) * (place + 1) for place, letter in enumerate(name)) % len(PALETTE)
        turn = [PALETTE[(start + step) % len(PALETTE)] for step in range(len(PALETTE))]
        colour = next((entry for entry in turn if entry not in taken), turn[0])
        found[name] = colour
        taken.add(colour)
    return {name: found[name] for name in names}


def colour_of(name: str) -> str:
    """Colour of one class."""
    return colours_of([name])[name]
