"""A part of a form that folds away under its title."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QSizePolicy, QToolButton, QVBoxLayout, QWidget

from napari_stemlearn.widgets.tab_order import tab_after
from napari_stemlearn.widgets.words import red_of


class Section(QWidget):
    """A title that opens and closes; what is below is made when it is first opened.

    Parameters
    ----------
    title
        Shown beside the arrow.
    make
        Called once, when the section first opens, for the widget below the title.
    indent
        Pixels by which the content is moved to the right.
    """

    def __init__(self, title: str, make: Callable[[], QWidget], indent: int = 14, parent: QWidget | None = None):
        super().__init__(parent)
        self.indent = indent
        self._make: Callable[[], QWidget] | None = make
        self.content: QWidget | None = None
        self.header = QToolButton()
        self.header.setText(title)
        self.header.setCheckable(True)
        self.header.setAutoRaise(True)
        self.header.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.header.setArrowType(Qt.ArrowType.RightArrow)
        self.header.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.header.setStyleSheet(_HEADER)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(2)
        self._layout.addWidget(self.header)
        self.header.toggled.connect(self._toggled)

    def open(self, opened: bool = True) -> None:
        """Open or close."""
        self.header.setChecked(opened)

    @property
    def is_open(self) -> bool:
        """Whether the content shows."""
        return self.header.isChecked()

    def built(self) -> QWidget:
        """The content, made if it was not yet."""
        if self.content is None:
            assert self._make is not None
            self.content = self._make()
            self._make = None
            self._layout.addWidget(self.content)
            tab_after(self.header, self.content)
            self.content.setContentsMargins(self.indent, 0, 0, 4)
            self.content.setVisible(self.is_open)
        return self.content

    def mark(self, bad: bool) -> None:
        """Write the title in red while something below it is refused."""
        self.header.setStyleSheet(_HEADER + (f"QToolButton {{ color: {red_of(self)}; }}" if bad else ""))

    def _toggled(self, opened: bool) -> None:
        self.header.setArrowType(Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow)
        if opened or self.content is not None:
            self.built().setVisible(opened)


_HEADER = (
    "QToolButton { border: none; background: transparent; font-weight: bold; text-align: left; padding: 3px 0px; }"
)
