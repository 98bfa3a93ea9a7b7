"""A logarithmic axis whose numbers do not touch."""

from __future__ import annotations

import itertools
import math

from pyqtgraph import AxisItem

STEPS = (tuple(range(1, 10)), (1, 2, 5), (1, 3), (1,))
"""Ticks within a decade: the first set that leaves room is taken."""

ROOM = 16
"""Pixels that a number needs."""


class LogAxis(AxisItem):
    """Ticks at as many digits of each decade as there is room for; numbers written out plainly."""

    def tickValues(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, list[float]]]:
        low, high = min(minVal, maxVal), max(minVal, maxVal)
        ticks: list[float] = []
        for steps in STEPS:
            ticks = [
                decade + math.log10(step)
                for decade in range(math.floor(low), math.ceil(high) + 1)
                for step in steps
                if low <= decade + math.log10(step) <= high
            ]
            closest = min((b - a for a, b in itertools.pairwise(ticks)), default=high - low)
            if closest / max(high - low, 1e-9) * size >= ROOM:
                break
        if len(ticks) < 2:
            ticks = [low + part * (high - low) for part in (0.1, 0.5, 0.9)]
        return [(1.0, ticks)]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        return [f"{10**value:.3g}" for value in values]
