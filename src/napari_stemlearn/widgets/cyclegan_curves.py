"""Curves of a CycleGAN: all parts of the loss, what becomes of the labels, how near the look is."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from napari_stemlearn.learning.cyclegan_settings import LossWeights, SurvivalSettings
from napari_stemlearn.widgets.curves import Curves, PlotStyle
from napari_stemlearn.widgets.words import red_of

LOSSES = (
    "generators",
    "critics",
    *(name for name, field in LossWeights.model_fields.items() if field.annotation is float),
)
"""Both sums of the loss, and its parts."""

BEFORE, NOW = "simulation_", "realism_"
"""Beginnings of the names of distances to the experiment: of the simulation itself, and of the translated images."""

LINES = {"recall": "at least", "displacement": "at most", "realism": "the simulation itself"}
"""What the dashed line of a plot is."""

WORDS = {"labels_recall": "atoms found again", "labels_displacement": "mean shift"}


class CycleGANCurves(Curves):
    """Four plots; limits are dashed lines, and distances are told as part of the simulation's own."""

    styles: ClassVar[dict[str, PlotStyle]] = {
        "loss": PlotStyle("loss", logarithmic=True, height=140, steps=False),
        "recall": PlotStyle("found again", height=96, steps=False),
        "displacement": PlotStyle("shift (Å)", height=96, steps=False),
        "realism": PlotStyle("distance", height=140),
    }

    def __init__(self, hint: str = "Curves appear here once the first numbers come."):
        super().__init__(hint)
        self.lines = {"recall": 0.99, "displacement": 0.05, "realism": 1.0}
        self._drawn_lines: dict[str, Any] = {}
        self._before: dict[str, float] = {}

    def require(self, survival: SurvivalSettings) -> None:
        """Draw the limits of these settings."""
        self.lines.update(recall=survival.recall, displacement=survival.displacement)
        for kind, line in self._drawn_lines.items():
            line.setValue(self.lines[kind])

    def clear(self) -> None:
        super().clear()
        self._before.clear()
        for kind in self._drawn_lines:
            self._explain_line(kind)

    def append(self, step: float, values: dict[str, float]) -> None:
        """Take in numbers; a distance becomes a part of the simulation's own."""
        for name, value in values.items():
            if name.startswith(BEFORE) and isinstance(value, int | float) and math.isfinite(value) and value > 0:
                self._before[name.removeprefix(BEFORE)] = float(value)
        parts = {
            name: value / self._before[name.removeprefix(NOW)]
            for name, value in values.items()
            if name.startswith(NOW) and name.removeprefix(NOW) in self._before
        }
        super().append(step, {name: value for name, value in values.items() if not name.startswith(NOW)} | parts)

    def plot_of(self, name: str) -> str | None:
        if name in LOSSES:
            return "loss"
        if name in ("labels_recall", "labels_displacement"):
            return name.removeprefix("labels_")
        return "realism" if name.startswith(NOW) else None

    def legend_of(self, name: str) -> str:
        words = WORDS.get(name) or name.removeprefix(NOW)
        return words.replace("_", " ").replace(" ", "&nbsp;")

    def dress(self, kind: str, plot: Any) -> None:
        import pyqtgraph

        if kind not in self.lines:
            return
        self._drawn_lines[kind] = pyqtgraph.InfiniteLine(self.lines[kind], angle=0, pen=self._line_pen())
        plot.addItem(self._drawn_lines[kind])
        self._explain_line(kind)

    def _line_pen(self) -> Any:
        import pyqtgraph

        return pyqtgraph.mkPen(red_of(self), width=1, style=pyqtgraph.QtCore.Qt.PenStyle.DashLine)

    def _explain_line(self, kind: str) -> None:
        self._words[kind] = [f'<span style="color:{red_of(self)}">╌╌</span>&nbsp;{LINES[kind].replace(" ", "&nbsp;")}']

    def recolour(self) -> None:
        super().recolour()
        for kind, line in self._drawn_lines.items():
            line.setPen(self._line_pen())
            _explanation, *words = self._words.get(kind) or [""]
            self._explain_line(kind)
            self._words[kind] += words
            self.legends[kind].setText(self.legend_text(kind))

    def draw(self, kind: str) -> None:
        super().draw(kind)
        if kind not in self.lines or kind not in self.plots:
            return
        numbers = [value for name, (_, values) in self.points.items() if self.plot_of(name) == kind for value in values]
        low, high = min([self.lines[kind], *numbers]), max([self.lines[kind], *numbers])
        if kind != "recall":
            low = 0.0
        rim = max(0.08 * (high - low), 0.004)
        self.plots[kind].setYRange(low - rim * (low > 0), high + rim, padding=0)
