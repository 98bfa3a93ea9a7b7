"""A line for a query on a data set, with the number of images that fulfil it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QLineEdit, QWidget

from napari_stemlearn.widgets.background import Background
from napari_stemlearn.widgets.labels import DimLabel, ErrorLabel
from napari_stemlearn.widgets.rows import lay_out_chooser
from napari_stemlearn.widgets.words import red_of

PAUSE = 300
"""Milliseconds after a change before the images are counted."""

EXAMPLE = "dose between 1e4 and 5e4 and class has vacancy1"

NAMES_SHOWN = 25

COUNTING = "The images are being counted."


class Counted(NamedTuple):
    """How many images of a set fulfil a query, how many there are, and what a query can name."""

    matching: int
    total: int
    names: str


class QueryRow(QWidget):
    """The images of a data set that are wanted.

    `changed` tells that somebody typed, `counted` that the number is known or the query is refused.

    Parameters
    ----------
    label
        Words before the line.
    """

    changed = Signal()
    counted = Signal()

    def __init__(self, label: str, parent: QWidget | None = None):
        super().__init__(parent)
        self.path = ""
        self.found: Counted | None = None
        self._problem: str | None = None
        self.line = QLineEdit()
        self.line.setPlaceholderText("all images")
        self.line.setToolTip(f"For example: {EXAMPLE}")
        self.line.setMinimumWidth(48)
        self.note = DimLabel()
        self.error = ErrorLabel()
        lay_out_chooser(self, label, [self.line], beneath=[self.note, self.error])
        self._background = Background(self)
        self._background.done.connect(self._counted)
        self._background.failed.connect(self._refused)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PAUSE)
        self._timer.timeout.connect(self._count)
        self.line.textEdited.connect(self._edited)
        self._say(None)

    @property
    def where(self) -> str:
        """The query; empty for all images."""
        return self.line.text().strip()

    def problem(self) -> str | None:
        """Why the query cannot be used, or None."""
        return self._problem

    def show_value(self, path: str | Path, where: str = "") -> None:
        """Ask another set, or something else of the same."""
        if str(path) == self.path and where == self.where:
            return
        self.path = str(path)
        self.line.setText(where)
        self.line.setCursorPosition(0)
        self.refresh()

    def refresh(self) -> None:
        """Count again."""
        self._background.forget()
        if self.path:
            self._problem = COUNTING
            self._timer.start()
        else:
            self._timer.stop()
            self.found = None
            self._say(None)

    def recount(self) -> None:
        """Count again because the set may have grown; until then the number stays as it is."""
        if self.path and not self._timer.isActive() and not self._background.running:
            self._timer.start()

    def _edited(self) -> None:
        self.refresh()
        self.changed.emit()

    def _count(self) -> None:
        self._background.start(count, self.path, self.where)

    def _counted(self, found: Counted) -> None:
        self.found = found
        self.line.setToolTip(f"For example: {EXAMPLE}\n{found.names}")
        self._say(f"Nothing of the {found.total} images fulfils this." if self.where and not found.matching else None)
        self.counted.emit()

    def _refused(self, sentence: str, _detail: str) -> None:
        self.found = None
        self._say(sentence)
        self.counted.emit()

    def _say(self, problem: str | None) -> None:
        self._problem = problem
        self.error.say(problem)
        self.line.setStyleSheet(f"border: 1px solid {red_of(self)};" if problem else "")
        words = ""
        if self.found is not None and not problem:
            matching, total, _names = self.found
            words = f"{matching} of {total} images" if self.where else f"all {images(total)}"
        self.note.setText(words)
        self.note.setVisible(bool(words))


def count(path: str, where: str) -> Counted:
    """Count the images of a data set that fulfil a query.

    Raises
    ------
    FormatError
        If it is no data set, or damaged.
    QueryError
        If the query cannot be understood.
    """
    from napari_stemlearn.datasets.store import open_data_set

    data_set = open_data_set(path)
    try:
        names = _names(data_set.table.ranges(), data_set.table.totals())
        return Counted(len(data_set.indices(where)), len(data_set), names)
    finally:
        data_set.close()


def images(number: int) -> str:
    """Words for a number of images."""
    return "1 image" if number == 1 else f"{number} images"


def _names(ranges: dict[str, tuple[Any, Any]], totals: dict[str, dict[str, int]]) -> str:
    """What can be named, parameters that differ between the images first."""
    drawn = {name: ends for name, ends in ranges.items() if ends[0] != ends[1] and not name.endswith("seed")}
    lines = [f"{name}: {_short(low)} to {_short(high)}" for name, (low, high) in list(drawn.items())[:NAMES_SHOWN]]
    if len(drawn) > NAMES_SHOWN:
        lines.append(f"and {len(drawn) - NAMES_SHOWN} more")
    classes = [name for kind in totals.values() for name in kind]
    lines.append(f"classes: {', '.join(classes) or 'none'}")
    return "\n".join(lines)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)
