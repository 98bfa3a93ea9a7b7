"""Live curves of a run's metrics: losses on one plot, scores on another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_stemlearn.widgets.labels import DimLabel
from napari_stemlearn.widgets.words import dim_of

STYLES = {"train": "#4db8ff", "same_style": "#ffb000", "held_out": "#2fd08c"}
"""Colours of what a training reports."""

COLOURS = ("#ff6fae", "#b197fc", "#ff8a5b", "#f0e442", "#4db8ff", "#e0c097", "#63e6be", "#a5b4fc")
"""Colours of other metrics, in their order."""

FLOOR = 1e-6
"""Smallest loss that a logarithmic axis shows."""

OF_A_CLASS = "held_out_f1_"
"""How the names of curves of a single class begin."""

SCORES = ("f1", "precision", "recall", "accuracy", "iou", "score")


def plot_of(name: str) -> str | None:
    """Which plot a metric belongs to: ``loss``, ``score``, or None for numbers that are not drawn."""
    if name.startswith("same_style_f1_"):
        # one curve a class is enough, of the style that was not learnt from
        return None
    if "loss" in name:
        return "loss"
    return "score" if any(word in name.lower() for word in SCORES) else None


@dataclass(frozen=True)
class PlotStyle:
    """How a plot looks.

    Parameters
    ----------
    label
        Beside its vertical axis.
    logarithmic
        Whether the vertical axis is.
    limits
        Ends of the vertical axis; None follows the numbers.
    height
        In pixels.
    steps
        Whether the horizontal axis has its name; plots beneath each other need it once.
    """

    label: str
    logarithmic: bool = False
    limits: tuple[float, float] | None = None
    height: int = 150
    steps: bool = True


class Curves(QWidget):
    """Curves that grow; the plots are made when the first number comes.

    A job with other metrics than a training of ours has a class of its own, with other `styles` and `plot_of`.
    """

    styles: ClassVar[dict[str, PlotStyle]] = {
        "loss": PlotStyle("loss", logarithmic=True),
        "score": PlotStyle("F1", limits=(0, 1)),
    }

    def __init__(self, hint: str = "Curves appear here once the first numbers come.", parent: QWidget | None = None):
        super().__init__(parent)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(4)
        self.hint = DimLabel(hint)
        self._layout.addWidget(self.hint)
        self.plots: dict[str, Any] = {}
        self.legends: dict[str, QLabel] = {}
        self._words: dict[str, list[str]] = {}
        self.points: dict[str, tuple[list[float], list[float]]] = {}
        self._curves: dict[str, Any] = {}

    def plot_of(self, name: str) -> str | None:
        """Which plot a metric belongs to; None for numbers that are not drawn."""
        return plot_of(name)

    def legend_of(self, name: str) -> str:
        """Words for a metric in the legend."""
        return short_name(name)

    def legend_text(self, kind: str) -> str:
        """Words beneath a plot, as rich text."""
        return "&nbsp;&nbsp; ".join(self._words[kind])

    def dress(self, kind: str, plot: Any) -> None:
        """Add to a new plot what is no curve."""

    def clear(self) -> None:
        """Forget all numbers."""
        self.points.clear()
        for name, curve in self._curves.items():
            self.plots[self.plot_of(name) or ""].removeItem(curve)
        self._curves.clear()
        self._words.clear()
        for widget in (*self.plots.values(), *self.legends.values()):
            widget.hide()
        self.hint.show()

    def append(self, step: float, values: dict[str, float]) -> None:
        """Take in numbers; `draw` shows them."""
        for name, value in values.items():
            if self.plot_of(name) is None or not isinstance(value, int | float) or not math.isfinite(value):
                continue
            steps, numbers = self.points.setdefault(name, ([], []))
            while steps and steps[-1] >= step:
                # a resumed run does some steps again
                steps.pop()
                numbers.pop()
            steps.append(float(step))
            numbers.append(float(value))

    def kinds(self) -> list[str]:
        """The plots that have numbers."""
        return list(dict.fromkeys(self.plot_of(name) or "" for name in self.points))

    def draw(self, kind: str) -> None:
        """Show the numbers of one plot."""
        members = {name: values for name, values in self.points.items() if self.plot_of(name) == kind}
        classes = [name for name in members if name.startswith(OF_A_CLASS)]
        if len(classes) == 1:
            # the mean over classes is that curve
            del members[classes[0]]
        if not members:
            return
        last = max(steps[-1] for steps, _numbers in self.points.values())
        plot = self._plot(kind)
        for name, (steps, numbers) in members.items():
            curve = self._curves.get(name)
            if curve is None:
                curve = self._curves[name] = self._new_curve(plot, name)
            curve.setData(
                steps, [max(number, FLOOR) for number in numbers] if self.styles[kind].logarithmic else numbers
            )
            curve.setSymbol("o" if len(steps) < 30 else None)
        plot.setXRange(0, last, padding=0.02)

    def _plot(self, kind: str) -> Any:
        if kind not in self.plots:
            self.plots[kind] = self._new_plot(kind)
            self.legends[kind] = QLabel()
            self.legends[kind].setWordWrap(True)
            self._layout.addWidget(self.plots[kind])
            self._layout.addWidget(self.legends[kind])
        self.plots[kind].show()
        self.legends[kind].show()
        self.hint.hide()
        return self.plots[kind]

    def _new_plot(self, kind: str) -> Any:
        import pyqtgraph

        from napari_stemlearn.widgets.log_axis import LogAxis

        style = self.styles[kind]
        axes = {"left": LogAxis("left")} if style.logarithmic else {}
        plot = pyqtgraph.PlotWidget(background=None, axisItems=axes)
        plot.setFixedHeight(style.height)
        plot.setMenuEnabled(False)
        plot.hideButtons()
        plot.setMouseEnabled(x=False, y=False)
        for side in ("left", "bottom"):
            plot.getAxis(side).enableAutoSIPrefix(False)
        plot.getAxis("left").setWidth(60)
        plot.showGrid(x=False, y=True, alpha=0.25)
        if style.steps:
            plot.setLabel("bottom", "step")
            # pyqtgraph puts the name of the axis 5 pixels too low
            plot.getPlotItem().layout.setContentsMargins(1, 1, 1, 6)
        plot.setLabel("left", style.label)
        if style.logarithmic:
            plot.setLogMode(y=True)
        if style.limits is not None:
            # room for half of the lowest and of the highest number, which would be left out
            plot.setYRange(*style.limits, padding=0.08)
        if style.limits == (0, 1):
            plot.getAxis("left").setTicks([[(tick / 5, f"{tick / 5:g}") for tick in range(6)]])
        plot.getPlotItem().setDownsampling(auto=True, mode="subsample")
        self.dress(kind, plot)
        self._colour_axes(plot)
        return plot

    def _colour_axes(self, plot: Any) -> None:
        colour = dim_of(self)
        for side in ("left", "bottom"):
            axis = plot.getAxis(side)
            axis.setPen(colour)
            axis.setTextPen(colour)

    def recolour(self) -> None:
        """Draw the plots in the colours of the present theme."""
        for plot in self.plots.values():
            self._colour_axes(plot)
            # pyqtgraph keeps a picture of what is behind the curves
            plot.resetCachedContent()
            plot.viewport().update()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self.recolour()

    def _new_curve(self, plot: Any, name: str) -> Any:
        import pyqtgraph

        kind = self.plot_of(name) or ""
        colour = self._colour(name, kind)
        self._words.setdefault(kind, []).append(f'<span style="color:{colour}">●</span>&nbsp;{self.legend_of(name)}')
        self.legends[kind].setText(self.legend_text(kind))
        return plot.plot(
            [],
            [],
            pen=pyqtgraph.mkPen(colour, width=2),
            symbolSize=5,
            symbolBrush=colour,
            symbolPen=None,
        )

    def _colour(self, name: str, kind: str) -> str:
        """A style has the same colour on both plots; what else there is takes the next ones."""
        for start, colour in STYLES.items():
            if name in (f"{start}_loss", f"{start}_f1"):
                return colour
        count = sum(self.plot_of(other) == kind for other in self._curves)
        return COLOURS[count % len(COLOURS)]


def short_name(name: str) -> str:
    """Name of a metric in a legend, without what the axis says: "train_loss" becomes "train"."""
    words = name.replace("_loss", "").replace("_f1", "").replace("held_out", "held-out").replace("_", " ")
    return words.replace(" style", "&nbsp;style").replace("held-out ", "held-out&nbsp;")
