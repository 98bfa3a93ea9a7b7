"""The classes to label with: number, colour, name and how many there are."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPainter, QPen, QPixmap
from qtpy.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_stemlearn.widgets.class_colours import colours_of

DEFAULT_CLASSES = ("vacancy1", "vacancy2", "metal_vacancy", "antisite", "substitution", "adatom")
COLUMNS = 2
_STYLE = (
    "QToolButton { border: 1px solid rgba(128, 128, 128, 90); border-radius: 3px; padding: 2px 4px; text-align: left; }"
    "QToolButton:hover { border-color: COLOUR; }"
    "QToolButton:checked { border: 2px solid COLOUR; background: rgba(128, 128, 128, 60); font-weight: bold; }"
)


def in_order(classes: Iterable[str]) -> list[str]:
    """Classes once each, the usual defects first and in their usual order."""
    found = list(dict.fromkeys(classes))
    return [
        *(name for name in DEFAULT_CLASSES if name in found),
        *(name for name in found if name not in DEFAULT_CLASSES),
    ]


def swatch(colour: str, size: int = 14) -> QIcon:
    """A ring in a colour, as the sites are drawn."""
    pixmap = QPixmap(size, size)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor(colour), 2.6))
    painter.drawEllipse(2, 2, size - 4, size - 4)
    painter.end()
    return QIcon(pixmap)


class ClassChooser(QWidget):
    """Buttons for the classes, the first nine with their number key, and a line to add one."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.classes: list[str] = []
        self.buttons: dict[str, QToolButton] = {}
        self._counts: dict[str, int] = {}
        self._group = QButtonGroup(self)
        self._grid = QGridLayout()
        self._grid.setSpacing(4)
        for column in range(COLUMNS):
            self._grid.setColumnStretch(column, 1)
        self.line = QLineEdit()
        self.line.setPlaceholderText("another class")
        self.line.setMaxLength(40)
        self.add_button = QToolButton()
        self.add_button.setText("Add")
        self.add_button.setToolTip("Add this class to the choice")
        row = QHBoxLayout()
        row.addWidget(self.line, 1)
        row.addWidget(self.add_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(self._grid)
        layout.addLayout(row)
        self.add_button.clicked.connect(self._add)
        self.line.returnPressed.connect(self._add)

    def set_classes(self, classes: list[str]) -> None:
        """Offer these classes."""
        classes = list(dict.fromkeys(classes))
        if classes == self.classes:
            return
        for button in self.buttons.values():
            self._group.removeButton(button)
            self._grid.removeWidget(button)
            button.hide()
            button.deleteLater()
        self.classes = classes
        self.buttons = {}
        colours = colours_of(classes)
        for number, name in enumerate(classes):
            button = QToolButton()
            button.setCheckable(True)
            button.setIcon(swatch(colours[name]))
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            button.setMinimumHeight(26)
            button.setStyleSheet(_STYLE.replace("COLOUR", colours[name]))
            button.setToolTip(f"Label {name}" + (f" (key {number + 1})" if number < 9 else ""))
            button.clicked.connect(lambda _on=False, name=name: self.chosen.emit(name))
            self._group.addButton(button)
            self._grid.addWidget(button, number // COLUMNS, number % COLUMNS)
            self.buttons[name] = button
        self._write()

    def set_counts(self, counts: dict[str, int]) -> None:
        """Show how many labels each class has."""
        self._counts = counts
        self._write()

    def choose(self, name: str) -> None:
        """Mark a class as the chosen one."""
        if name in self.buttons:
            self.buttons[name].setChecked(True)

    def name_of_key(self, number: int) -> str | None:
        """Class of a number key, 1 to 9."""
        return self.classes[number - 1] if 0 < number <= min(9, len(self.classes)) else None

    def _write(self) -> None:
        for number, (name, button) in enumerate(self.buttons.items()):
            count = self._counts.get(name, 0)
            key = f"{number + 1}  " if number < 9 else ""
            button.setText(f"{key}{name}" + (f"  · {count}" if count else ""))

    def _add(self) -> None:
        name = "_".join(self.line.text().split())
        if name:
            self.set_classes([*self.classes, name])
            self.line.clear()
            self.chosen.emit(name)
