"""The classes to label with: number, colour, name and how many there are."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QFontMetrics, QIcon, QPainter, QPen, QPixmap
from qtpy.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_stemlearn.widgets.class_colours import colours_of
from napari_stemlearn.widgets.tab_order import tab_before

DEFAULT_CLASSES = ("vacancy1", "vacancy2", "metal_vacancy", "antisite", "substitution", "adatom")
COLUMNS = 2
FRAME = 32
"""Pixels of a button that its words do not have: swatch, border and padding."""
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


class ClassButton(QToolButton):
    """A button with a number key, a name and a count; a long name is shortened instead of making the dock wider."""

    def __init__(self, key: str, name: str, parent: QWidget | None = None):
        super().__init__(parent)
        self.key, self.name, self._count = key, name, 0
        self.setCheckable(True)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setMinimumSize(60, 26)
        self.setToolTip(f"Label {name}" + (f" (key {key})" if key else "") + "; right-click to rename or remove it")
        self.toggled.connect(lambda _on: self._fit())

    def set_count(self, count: int) -> None:
        """Show how many labels the class has."""
        self._count = count
        self._fit()

    def _fit(self) -> None:
        before = f"{self.key}  " if self.key else ""
        after = f"  · {self._count}" if self._count else ""
        # the chosen one is written in bold
        font = self.font()
        font.setBold(self.isChecked())
        metrics = QFontMetrics(font)
        room = self.width() - FRAME - metrics.horizontalAdvance(before + after)
        self.setText(before + metrics.elidedText(self.name, Qt.TextElideMode.ElideMiddle, max(room, 20)) + after)

    def resizeEvent(self, event: object) -> None:
        self._fit()
        super().resizeEvent(event)


class ClassChooser(QWidget):
    """Buttons for the classes, the first nine with their number key, and a line to add or rename one.

    `renamed` brings the name of before and the new one, `unwanted` a class that is to be removed.
    """

    chosen = Signal(str)
    renamed = Signal(str, str)
    unwanted = Signal(str)

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.classes: list[str] = []
        self.buttons: dict[str, ClassButton] = {}
        # words that come and go beneath must not press the buttons together
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self._renaming: str | None = None
        self._counts: dict[str, int] = {}
        self._group = QButtonGroup(self)
        self._grid = QGridLayout()
        self._grid.setSpacing(4)
        for column in range(COLUMNS):
            self._grid.setColumnStretch(column, 1)
        self.line = QLineEdit()
        self.line.setToolTip("Name of a class that is not in the list")
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
            button = ClassButton(str(number + 1) if number < 9 else "", name)
            button.setIcon(swatch(colours[name]))
            button.setStyleSheet(_STYLE.replace("COLOUR", colours[name]))
            button.clicked.connect(lambda _on=False, name=name: self.chosen.emit(name))
            button.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
            button.customContextMenuRequested.connect(lambda place, name=name: self._show_menu(name, place))
            self._group.addButton(button)
            self._grid.addWidget(button, number // COLUMNS, number % COLUMNS)
            self.buttons[name] = button
        tab_before(self.line, *self.buttons.values())
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
        for name, button in self.buttons.items():
            button.set_count(self._counts.get(name, 0))

    def menu_of(self, name: str) -> QMenu:
        """What can be done with a class."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction("Rename…", lambda: self._ask_name(name))
        menu.addAction("Remove", lambda: self.unwanted.emit(name))
        return menu

    def _show_menu(self, name: str, place: object) -> None:
        self.menu_of(name).popup(self.buttons[name].mapToGlobal(place))

    def _ask_name(self, name: str) -> None:
        """Let the line ask for another name; left empty, the class keeps its own."""
        self._renaming = name
        self.add_button.setText("Rename")
        self.add_button.setToolTip(f"Give every label of {name} this class")
        self.line.setText(name)
        self.line.selectAll()
        self.line.setFocus()

    def _add(self) -> None:
        name, old = "_".join(self.line.text().split()), self._renaming
        self._renaming = None
        self.add_button.setText("Add")
        self.add_button.setToolTip("Add this class to the choice")
        self.line.clear()
        if not name or name == old:
            return
        if old is not None:
            self.renamed.emit(old, name)
        else:
            self.set_classes([*self.classes, name])
            self.chosen.emit(name)
