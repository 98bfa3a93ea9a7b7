"""The table of a score: a row for each class, whose name stays readable in a narrow dock."""

from __future__ import annotations

import math
from typing import Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from napari_stemlearn.widgets.class_chooser import swatch
from napari_stemlearn.widgets.class_colours import colour_of

COLUMNS = ("Class", "Prec.", "Recall", "F1", "rms Å", "TP", "FP", "FN")
RMS = COLUMNS.index("rms Å")
ROW, TALL_ROW = 22, 32
"""Heights in pixels of a row with one and with two lines."""
SWATCH = 10
BESIDE_NAME = SWATCH + 12
"""Pixels of the first column that its names do not have: swatch and margins."""
LONG_NAME = 88
"""Names longer than this in pixels are shortened or broken before the distances give way."""
STYLE = (
    "QTableView { font-size: 8pt; } QTableView::item { padding: 0px; } "
    "QHeaderView::section { padding: 1px; font-size: 8pt; }"
)


class ScoreTable(QTableWidget):
    """Numbers of each class.

    Where names have too little room, the distances give way; then names go on in a second line; then their middle
    is left out.
    """

    def __init__(self, parent: QWidget | None = None):
        super().__init__(0, len(COLUMNS), parent)
        self.setHorizontalHeaderLabels(list(COLUMNS))
        self.setStyleSheet(STYLE)
        self.setIconSize(QSize(SWATCH, SWATCH))
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setWordWrap(True)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header = self.horizontalHeader()
        header.setMinimumSectionSize(20)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)

    def show_rows(self, rows: list[dict[str, Any]]) -> None:
        """Show the rows of a table of scores."""
        self.setRowCount(len(rows))
        for index, row in enumerate(rows):
            cells = [
                # nothing is seen of the mark, but a line may end there
                str(row["class"]).replace("_", "_\u200b"),
                *(_number(row[name], 3) for name in ("precision", "recall", "f1")),
                _number(row["rms_error_angstrom"], 2),
                *(str(int(row[name])) for name in ("tp", "fp", "fn")),
            ]
            for column, text in enumerate(cells):
                item = QTableWidgetItem(text)
                if column:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                elif row["class"] != "all":
                    item.setIcon(swatch(colour_of(row["class"]), SWATCH))
                item.setToolTip(_tip(row))
                self.setItem(index, column, item)
        self._fit()

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        lengths = [self.fontMetrics().horizontalAdvance(self.item(row, 0).text()) for row in range(self.rowCount())]
        # Qt says nothing of the width of a hidden column
        self.setColumnHidden(RMS, False)
        others = sum(self._width(column) for column in range(1, self.columnCount()))
        room = self.viewport().width() - others - BESIDE_NAME
        narrow = any(room < min(length, LONG_NAME) for length in lengths)
        if narrow:
            room += self._width(RMS)
            self.setColumnHidden(RMS, True)
        heights = [ROW if length <= room else TALL_ROW for length in lengths]
        for row, height in enumerate(heights):
            self.setRowHeight(row, height)
        self.setFixedHeight(self.horizontalHeader().sizeHint().height() + sum(heights) + 4)

    def _width(self, column: int) -> int:
        return max(self.sizeHintForColumn(column), self.horizontalHeader().sectionSizeHint(column))


def _number(value: float, digits: int) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _tip(row: dict[str, Any]) -> str:
    return (
        f"{row['class']}: {int(row['n_truth'])} labelled, {int(row['n_found'])} found; "
        f"rms distance {_number(row['rms_error_angstrom'], 2)} Å; "
        f"mean offset {_number(row['mean_dy_angstrom'], 2)} Å in y, {_number(row['mean_dx_angstrom'], 2)} Å in x"
    )
