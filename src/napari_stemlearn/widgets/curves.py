"""Live curves of a run's metrics: losses on one plot, scores on another."""

from __future__ import annotations

import math
from typing import Any

from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_stemlearn.widgets.words import dim_of, is_dark, label_of

COLOURS = ("#4db8ff", "#ffb000", "#2fd08c", "#ff6fae", "#b197fc", "#ff8a5b", "#63e6be", "#f0e442")
SCORES = ("f1", "precision", "recall", "accuracy", "iou", "score")


def plot_of(name: str) -> str | None:
    """Which plot a metric belongs to: ``loss``, ``score``, or None for numbers that are not drawn."""
    if "loss" in name:
        return "loss"
    return "score" if any(word in name.lower() for word in SCORES) else None


class Curves(QWidget):
    """Curves that grow; the plots are made when the first number comes."""

    def __init__(self, hint: str = "Curves appear here once the first numbers come.", parent: QWidget | None = None):
        super().__init__(parent)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(4)
        self.hint = QLabel(hint)
        self.hint.setWordWrap(True)
        self._layout.addWidget(self.hint)
        self.plots: dict[str, Any] = {}
        self.points: dict[str, tuple[list[float], list[float]]] = {}
        self._curves: dict[str, Any] = {}

    def clear(self) -> None:
        """Forget all numbers."""
        self.points.clear()
        for name, curve in self._curves.items():
            self.plots[plot_of(name) or ""].removeItem(curve)
        self._curves.clear()
        for plot in self.plots.values():
            plot.hide()
        self.hint.show()

    def append(self, step: float, values: dict[str, float]) -> None:
        """Take in numbers; `draw` shows them."""
        for name, value in values.items():
            if plot_of(name) is None or not isinstance(value, int | float) or not math.isfinite(value):
                continue
            steps, numbers = self.points.setdefault(name, ([], []))
            while steps and steps[-1] >= step:
                # a resumed run does some steps again
                steps.pop()
                numbers.pop()
            steps.append(float(step))
            numbers.append(float(value))

    def draw(self) -> None:
        """Show all numbers taken in."""
        for name, (steps, numbers) in self.points.items():
            kind = plot_of(name) or ""
            plot = self._plot(kind)
            curve = self._curves.get(name)
            if curve is None:
                curve = self._curves[name] = self._new_curve(plot, name)
            floor = 1e-6
            curve.setData(steps, [max(number, floor) for number in numbers] if kind == "loss" else numbers)
            curve.setSymbol("o" if len(steps) < 30 else None)

    def _plot(self, kind: str) -> Any:
        if kind in self.plots:
            self.plots[kind].show()
        else:
            import pyqtgraph

            plot = pyqtgraph.PlotWidget(background=None)
            plot.setFixedHeight(150)
            plot.setMenuEnabled(False)
            plot.hideButtons()
            plot.setMouseEnabled(x=False, y=False)
            plot.getViewBox().setDefaultPadding(0.03)
            colour = dim_of(self)
            for side in ("left", "bottom"):
                axis = plot.getAxis(side)
                axis.setPen(colour)
                axis.setTextPen(colour)
            plot.getAxis("left").setWidth(48)
            plot.showGrid(x=False, y=True, alpha=0.25)
            plot.setLabel("bottom", "step", color=colour)
            plot.setLabel("left", kind, color=colour)
            legend = plot.addLegend(offset=(-6, 4), labelTextColor=("#e8e8e8" if is_dark(self) else "#222222"))
            legend.setLabelTextSize("8pt")
            legend.layout.setVerticalSpacing(-6)
            if kind == "loss":
                plot.setLogMode(y=True)
            else:
                plot.setYRange(0, 1)
            plot.getPlotItem().setDownsampling(auto=True, mode="subsample")
            self._layout.addWidget(plot)
            self.plots[kind] = plot
        self.hint.hide()
        return self.plots[kind]

    def _new_curve(self, plot: Any, name: str) -> Any:
        import pyqtgraph

        same = [other for other in self._curves if plot_of(other) == plot_of(name)]
        colour = COLOURS[len(same) % len(COLOURS)]
        return plot.plot(
            [],
            [],
            name=label_of(name),
            pen=pyqtgraph.mkPen(colour, width=2),
            symbolSize=5,
            symbolBrush=colour,
            symbolPen=None,
        )
