"""Specimens drawn from a mixture by their weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_stemlearn.learning.settings import MixtureSettings
from napari_stemlearn.structures.settings import StructureSettings
from napari_stemlearn.structures.trial import check_buildable


def mixture_named(name: str) -> list[dict[str, Any]]:
    """Plain values of a mixture of one specimen: a preset by its name, or a crystal with the usual defects.

    Raises
    ------
    SettingsError
        If there is neither.
    """
    if name in StructureSettings.presets:
        return [{"structure": StructureSettings.preset(name).record()}]
    return [{"structure": StructureSettings.checked({"crystal": name}).record()}]


def check_mixture(parts: Sequence[MixtureSettings]) -> None:
    """Build a small specimen of every part and crystal that can be drawn, before anything is written for them.

    Raises
    ------
    SettingsError, FormatError
        If one cannot be built.
    """
    for part in parts:
        if part.weight > 0:
            for crystal in part.crystals or (part.structure.crystal,):
                check_buildable(part.structure.changed(crystal=crystal))


class StructureMixture:
    """Draws one part of a mixture and one of its crystals.

    Parameters
    ----------
    parts
        Parts with their weights; at least one above 0.
    """

    def __init__(self, parts: Sequence[MixtureSettings]) -> None:
        self.parts = parts
        weights = np.array([part.weight for part in parts])
        self._chances = weights / weights.sum()
        # checking a changed structure takes longer than drawing it
        self._structures: dict[tuple[int, str], StructureSettings] = {}

    def draw(self, rng: np.random.Generator) -> StructureSettings:
        """Draw a structure."""
        number = int(rng.choice(len(self._chances), p=self._chances))
        part = self.parts[number]
        if not part.crystals:
            return part.structure
        crystal = part.crystals[int(rng.integers(len(part.crystals)))]
        if (number, crystal) not in self._structures:
            self._structures[number, crystal] = part.structure.changed(crystal=crystal)
        return self._structures[number, crystal]
