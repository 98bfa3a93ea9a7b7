"""The classes that a search found: one row each, with a threshold that acts at once."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import QAbstractSpinBox, QCheckBox, QGridLayout, QLabel, QSizePolicy, QSlider, QWidget

from napari_stemlearn.finding.candidates import Candidates
from napari_stemlearn.widgets.class_chooser import swatch
from napari_stemlearn.widgets.class_colours import colours_of
from napari_stemlearn.widgets.labels import DimLabel
from napari_stemlearn.widgets.number_boxes import NumberBox

STEPS = 200
NAME_WIDTH = 92
# the theme gives boxes and sliders that are off the colours of those that are on
_DIM = "rgba(128, 128, 128, 100)"
_DIM_BOX = f"QCheckBox:disabled {{ color: gray; }} QCheckBox::indicator:disabled {{ background-color: {_DIM}; }}"
_SLIDER = (
    "QSlider { min-width: 30px; }"
    f"QSlider::handle:horizontal:disabled {{ background-color: {_DIM}; }}"
    "QSlider::sub-page:horizontal:disabled { background: transparent; }"
)


class ThresholdTable(QWidget):
    """One row a class: shown or not, threshold, number, density."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.rows: dict[str, tuple[QCheckBox, QSlider, NumberBox, QLabel, QLabel]] = {}
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(4)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(1, 1)
        self._densities: list[QLabel] = []
        self.candidates: Candidates | None = None

    def show_candidates(self, candidates: Candidates) -> None:
        """Make a row for each class."""
        self.candidates = candidates
        while (item := self._grid.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self.rows = {}
        for column, columns, text, tip in (
            (0, 1, "Class", ""),
            (1, 2, "Threshold", "Lowest score that counts; moving it changes the layer at once"),
            (3, 1, "Sites", "Number in all searched frames"),
            (4, 1, "per nm²", "Sites by the searched area"),
        ):
            head = DimLabel(text)
            head.setWordWrap(False)
            head.setToolTip(tip)
            if column > 2:
                head.setAlignment(Qt.AlignmentFlag.AlignRight)
            self._grid.addWidget(head, 0, column, 1, columns)
        self._densities = [head]
        colours = colours_of(candidates.classes)
        for row, name in enumerate(candidates.classes, 1):
            self._add_row(row, name, colours[name], candidates)
        self._fit()

    def _add_row(self, row: int, name: str, colour: str, candidates: Candidates) -> None:
        box = QCheckBox(self._short(name))
        box.setIcon(swatch(colour))
        box.setChecked(name not in candidates.hidden)
        box.setToolTip(f"Show {name}")
        box.setAccessibleName(name)
        box.setStyleSheet(_DIM_BOX)
        slider = QSlider(Qt.Orientation.Horizontal)
        slider.setStyleSheet(_SLIDER)
        slider.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        number = NumberBox()
        number.setDecimals(2)
        number.setSingleStep(0.01)
        number.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        # the theme asks for wider boxes than a number below 1 needs
        number.setStyleSheet("min-width: 36px; max-width: 36px; padding: 1px 2px;")
        low = candidates.lowest[name]
        number.setRange(low, 1.0)
        slider.setRange(int(np.ceil(low * STEPS)), STEPS)
        number.setValue(candidates.thresholds[name])
        slider.setValue(round(candidates.thresholds[name] * STEPS))
        count, density = QLabel("0"), QLabel("–")
        for label in (count, density):
            label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        for column, widget in enumerate((box, slider, number, count, density)):
            self._grid.addWidget(widget, row, column)
        self.rows[name] = (box, slider, number, count, density)
        self._densities.append(density)
        box.toggled.connect(lambda on, name=name: self._switched(name, on))
        slider.valueChanged.connect(lambda value, name=name: self._slid(name, value / STEPS))
        number.valueChanged.connect(lambda value, name=name: self._typed(name, value))

    def _short(self, name: str) -> str:
        return self.fontMetrics().elidedText(name, Qt.TextElideMode.ElideMiddle, NAME_WIDTH)

    def show_counts(self, counts: dict[str, int], area: float) -> None:
        """Write numbers and densities."""
        for name, (_box, _slider, _number, count, density) in self.rows.items():
            sites = counts.get(name, 0)
            count.setText(f"{sites:,}".replace(",", "\u202f"))
            per_area = sites / area if area else 0.0
            density.setText(f"{per_area:.2f}" if per_area >= 0.095 or not sites else f"{per_area:.2g}")
            count.setToolTip(f"{density.text()} per nm²")
        self._fit()

    def minimumSizeHint(self) -> QSize:
        """A narrow dock does without the densities."""
        hint = super().minimumSizeHint()
        if any(not label.isHidden() for label in self._densities):
            hint.setWidth(hint.width() - self._width_of_densities())
        return hint

    def resizeEvent(self, event: object) -> None:
        self._fit()
        super().resizeEvent(event)

    def _width_of_densities(self) -> int:
        return max((label.sizeHint().width() for label in self._densities), default=0) + self._grid.horizontalSpacing()

    def _fit(self) -> None:
        wide = self.width() >= self.minimumSizeHint().width() + self._width_of_densities()
        for label in self._densities:
            label.setVisible(wide)

    def lock(self, locked: bool) -> None:
        """Switch boxes and thresholds off while they cannot act, or on again."""
        for box, slider, number, _count, _density in self.rows.values():
            for widget in (box, slider, number):
                widget.setEnabled(not locked)

    def set_threshold(self, name: str, value: float) -> None:
        """Set a threshold as a user would."""
        self.rows[name][2].setValue(value)

    def _switched(self, name: str, on: bool) -> None:
        if self.candidates is not None:
            (self.candidates.hidden.discard if on else self.candidates.hidden.add)(name)
            self.changed.emit()

    def _slid(self, name: str, value: float) -> None:
        number = self.rows[name][2]
        if round(number.value() * STEPS) != round(value * STEPS):
            number.setValue(value)

    def _typed(self, name: str, value: float) -> None:
        slider = self.rows[name][1]
        slider.blockSignals(True)
        slider.setValue(round(value * STEPS))
        slider.blockSignals(False)
        if self.candidates is not None:
            self.candidates.thresholds[name] = value
            self.changed.emit()
