"""Whether a CycleGAN still learns: losses that are no numbers, that explode, or critics that always win."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

EXPLODED = 10.0
"""Times the lowest mean loss so far, from which on a training counts as exploding."""

WON = 0.02
"""Part of their loss at a draw below which the critics tell everything apart."""

WORSE = 2.0
"""Times the best distance to the experiment, from which on a generator counts as lost."""

PATIENCE = 4
"""Looks in a row that must say so."""


class Steadiness:
    """Watches the losses of a CycleGAN between its looks at realism and labels.

    With least squares a critic that cannot tell has a loss of 1/4. Critics that win every time teach nothing any more
    (Arjovsky and Bottou, ICLR 2017); with translations that are lost as well the training has collapsed.

    Parameters
    ----------
    critics
        Number of critics.
    """

    def __init__(self, critics: int) -> None:
        self.draw = 0.25 * critics
        self.lowest, self.best = math.inf, math.inf
        self.exploded, self.lost, self.steps = 0, 0, 0
        self.sums = {"generators": 0.0, "critics": 0.0}

    def add(self, losses: Mapping[str, float]) -> str:
        """Take the losses of a step; one sentence if one is no number, else an empty text."""
        for name, value in losses.items():
            if not math.isfinite(value):
                return f"the loss '{name}' is no number any more"
        self.steps += 1
        for name in self.sums:
            self.sums[name] += losses[name]
        return ""

    def look(self, distance: float, refused: bool) -> str:
        """Take what a look found; one sentence if the training is lost, else an empty text.

        Parameters
        ----------
        distance
            Between translations and experiment.
        refused
            Whether labels were lost.
        """
        generators, critics = (self.sums[name] / max(self.steps, 1) for name in ("generators", "critics"))
        self.steps, self.sums = 0, dict.fromkeys(self.sums, 0.0)
        self.exploded = self.exploded + 1 if generators > EXPLODED * self.lowest else 0
        lost = critics < WON * self.draw and (refused or not distance < WORSE * self.best)
        self.lost = self.lost + 1 if lost else 0
        self.lowest = min(self.lowest, generators)
        if not refused:
            self.best = min(self.best, distance)
        if self.exploded >= 2:
            return f"the generators' loss grew to {generators:.3g} from {self.lowest:.3g}"
        if self.lost >= PATIENCE:
            return (
                f"in {self.lost} looks the critics told translations from originals without fault (loss {critics:.2g}) "
                "and " + ("labels were lost" if refused else "translations became less like the experiment")
            )
        return ""

    def record(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {key: None if value == math.inf else value for key, value in vars(self).items()}

    def restore(self, record: Mapping[str, Any]) -> None:
        """Take up a record."""
        for key, value in record.items():
            setattr(self, key, math.inf if value is None else value)
