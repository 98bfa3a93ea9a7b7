"""How far the labelling is, frame by frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QLabel, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

ROW_HEIGHT = 22
ROWS_SHOWN = 5


class FrameTable(QWidget):
    """A line with the sum, and for a stack a table of frames whose "done" box can be ticked."""

    frame_chosen = Signal(int)
    done_changed = Signal(int, bool)

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.sum = QLabel()
        self.table = QTableWidget(0, 3)
        self.table.setHorizontalHeaderLabels(["Frame", "Labels", "Done"])
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.horizontalHeader().setSectionResizeMode(2, QHeaderView.ResizeMode.ResizeToContents)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setToolTip("Click a frame to go there; tick it when every site of it is labelled")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.sum)
        layout.addWidget(self.table)
        self.table.cellClicked.connect(self._clicked)
        self.table.itemChanged.connect(self._item_changed)

    def show_progress(self, counts: Sequence[int], done: Iterable[int], present: int) -> None:
        """Show labels and finished frames; `present` is the frame in view."""
        done = set(done)
        total, frames = sum(int(count) for count in counts), len(counts)
        self.sum.setText(
            f"{total} label{'' if total == 1 else 's'}"
            + (f" · {len(done)} of {frames} frames done" if frames > 1 else " · done" if done else "")
        )
        self.table.blockSignals(True)
        self.table.setRowCount(frames)
        for frame, count in enumerate(counts):
            for column, text in enumerate((str(frame), str(int(count)), "")):
                item = self.table.item(frame, column)
                if item is None:
                    item = QTableWidgetItem()
                    item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                    flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
                    item.setFlags(flags | Qt.ItemFlag.ItemIsUserCheckable if column == 2 else flags)
                    self.table.setItem(frame, column, item)
                if column < 2:
                    item.setText(text)
                else:
                    item.setCheckState(Qt.CheckState.Checked if frame in done else Qt.CheckState.Unchecked)
        if 0 <= present < frames:
            self.table.selectRow(present)
            self.table.scrollToItem(self.table.item(present, 0))
        self.table.blockSignals(False)
        rows = min(frames, ROWS_SHOWN)
        self.table.setFixedHeight(self.table.horizontalHeader().sizeHint().height() + rows * ROW_HEIGHT + 4)

    def _clicked(self, row: int, column: int) -> None:
        if column < 2:
            self.frame_chosen.emit(row)

    def _item_changed(self, item: QTableWidgetItem) -> None:
        if item.column() == 2:
            self.done_changed.emit(item.row(), item.checkState() == Qt.CheckState.Checked)
