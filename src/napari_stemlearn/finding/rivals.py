"""Classes of which a place holds only one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_stemlearn.finding.peaks import keep_apart


def with_rivals(
    wanted: tuple[str, ...], classes: tuple[str, ...], exclusive: Sequence[Sequence[str]]
) -> tuple[str, ...]:
    """The wanted classes and all that stand in an exclusive group with one of them, directly or by another class."""
    found = set(wanted)
    # a rival can itself lose its place to a class of another group
    while grown := {name for group in exclusive if found & set(group) for name in group} - found:
        found |= grown
    return tuple(name for name in classes if name in found)


def strongest_of_rivals(
    y: NDArray[np.float64],
    x: NDArray[np.float64],
    score: ArrayLike,
    label: ArrayLike,
    exclusive: Sequence[Sequence[str]],
    distance: float,
) -> NDArray[np.bool_]:
    """Mask of the sites that keep their place: of exclusive classes the highest score within `distance` stays.

    Sites below the thresholds of their classes are to be left out before: what does not count takes no place.

    Parameters
    ----------
    y, x, distance
        In pixels.
    score, label
        Score and class of each site, shape (n,).
    exclusive
        Groups of classes.
    """
    score, names = np.asarray(score, dtype=float), np.asarray(label).astype(str)
    keep = np.ones(len(names), dtype=bool)
    for group in exclusive:
        members = np.flatnonzero(keep & np.isin(names, list(group)))
        keep[members] = False
        keep[members[keep_apart(y[members], x[members], score[members], distance)]] = True
    return keep
