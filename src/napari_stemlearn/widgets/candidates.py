"""What a search found, class by class, with thresholds that act at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QGridLayout, QLabel, QSizePolicy, QSlider, QWidget

from napari_stemlearn.widgets.class_chooser import swatch
from napari_stemlearn.widgets.class_colours import colours_of
from napari_stemlearn.widgets.labels import DimLabel

if TYPE_CHECKING:
    import pandas as pd

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


class Candidates:
    """The candidates of a search and the thresholds over them; knows no window.

    Parameters
    ----------
    thresholds
        Of each class, in their order.
    lowest
        Score down to which candidates were kept, of each class.
    pixel_size
        In angstrom.
    frame_shape
        Shape (y, x) of a frame in pixels.
    exclusive
        Groups of classes of which a place holds only one: of those above their thresholds, the one with the highest
        score.
    min_distance
        How near to each other these are at one place, in pixels.
    """

    def __init__(
        self,
        thresholds: dict[str, float],
        lowest: dict[str, float],
        pixel_size: float,
        frame_shape: tuple[int, int],
        exclusive: Sequence[Sequence[str]] = (),
        min_distance: float = 0.0,
    ) -> None:
        self.exclusive = exclusive
        self.min_distance = min_distance
        self.thresholds = dict(thresholds)
        self.lowest = lowest
        self.hidden: set[str] = set()
        self.pixel_size = pixel_size
        self.frame_shape = frame_shape
        self.tables: list[pd.DataFrame] = []
        self.frames: list[int] = []

    @property
    def classes(self) -> list[str]:
        """Classes in the model's order."""
        return list(self.thresholds)

    def add(self, frame: int, table: pd.DataFrame) -> None:
        """Take in the candidates of a frame."""
        self.frames.append(frame)
        self.tables.append(table)

    def calibrate(self, pixel_size: float) -> None:
        """Take another pixel size; candidates stay on their pixels."""
        from napari_stemlearn.sites import recalibrated

        self.pixel_size = pixel_size
        self.tables = [recalibrated(table, pixel_size) for table in self.tables]

    def table(self) -> pd.DataFrame:
        """All candidates."""
        from napari_stemlearn.sites import concat_sites

        return concat_sites(self.tables)

    def mask(self, table: pd.DataFrame, *, visible_only: bool = True) -> NDArray[np.bool_]:
        """Mask of the sites at or above the threshold of their class, without classes that are switched off."""
        names = table["class"].to_numpy(dtype=object)
        scores = table["score"].to_numpy(dtype=float)
        kept = np.zeros(len(table), dtype=bool)
        for name, threshold in self.thresholds.items():
            kept |= (names == name) & (scores >= threshold)
        if self.exclusive:
            kept[kept] = self._keep_their_place(table[kept])
        if visible_only:
            kept &= ~np.isin(names.astype(str), list(self.hidden))
        return kept

    def _keep_their_place(self, table: pd.DataFrame) -> NDArray[np.bool_]:
        from napari_stemlearn.finding.rivals import strongest_of_rivals

        y, x = (table[axis].to_numpy(dtype=float) for axis in ("y", "x"))
        # frames beside each other, so that sites meet those of their own frame only
        y = y + table["frame"].to_numpy() * (self.frame_shape[0] + 2 * self.min_distance)
        return strongest_of_rivals(y, x, table["score"], table["class"], self.exclusive, self.min_distance)

    def counts(self, table: pd.DataFrame) -> dict[str, int]:
        """Number at or above the threshold, of each class."""
        names = table["class"].to_numpy(dtype=object)[self.mask(table, visible_only=False)]
        return {name: int(np.count_nonzero(names == name)) for name in self.classes}

    def area(self) -> float:
        """Searched area in nm², all frames together."""
        height, width = self.frame_shape
        return height * width * (self.pixel_size / 10) ** 2 * max(len(self.frames), 1)


class ThresholdTable(QWidget):
    """One row a class: shown or not, threshold, number, density."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.rows: dict[str, tuple[QCheckBox, QSlider, QDoubleSpinBox, QLabel, QLabel]] = {}
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
        number = QDoubleSpinBox()
        number.setDecimals(2)
        number.setSingleStep(0.01)
        number.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
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


def lowest_scores(thresholds: dict[str, float], floor: float) -> dict[str, float]:
    """Scores down to which candidates are kept: the floor, or less where a class's own threshold is less."""
    return {name: min(floor, threshold) for name, threshold in thresholds.items()}


_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_COUNT = re.compile(r"^Frame \d+: (\d+) of (\d+) (.+)$")


def gather(notes: list[str]) -> list[str]:
    """Notes of many frames in few sentences: counts are added up, other numbers become a range.

    Parameters
    ----------
    notes
        Full sentences, in the order in which they came.
    """
    counts: dict[str, list[int]] = {}
    ranges: dict[str, list[list[str]]] = {}
    order: list[tuple[str, str]] = []
    for note in dict.fromkeys(notes):
        counted = _COUNT.match(note)
        key = ("count", counted[3]) if counted else ("range", _NUMBER.sub("#", note))
        if key not in order:
            order.append(key)
        if counted:
            total = counts.setdefault(counted[3], [0, 0, 0])
            for place, value in enumerate((int(counted[1]), int(counted[2]), 1)):
                total[place] += value
        else:
            ranges.setdefault(key[1], []).append(_NUMBER.findall(note))
    sentences = []
    for kind, text in order:
        if kind == "count":
            part, whole, frames = counts[text]
            where = "" if frames == 1 else f" in {frames} frames"
            sentences.append(f"{part} of {whole} {text.rstrip('.')}{where}.")
            continue
        columns = zip(*ranges[text], strict=True)
        words = text
        for column in columns:
            low, high = min(column, key=float), max(column, key=float)
            words = words.replace("#", low if low == high else f"{low} to {high}", 1)
        sentences.append(words)
    return sentences
