"""Labels that docks share: quiet ones, red ones, and ones that shorten their text."""

from __future__ import annotations

from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget

from napari_stemlearn.widgets.words import dim_of, red_of


class DimLabel(QLabel):
    """A quiet sentence; its colour follows the theme."""

    def __init__(self, text: str = "", parent: QWidget | None = None):
        super().__init__(text, parent)
        self.setWordWrap(True)
        self._colour = ""

    def _recolour(self) -> None:
        # the parent tells the theme: the label's own palette is already the quiet colour
        colour = dim_of(self.parentWidget() or self)
        if colour != self._colour:
            self._colour = colour
            self.setStyleSheet(f"color: {colour};")

    def showEvent(self, event: object) -> None:
        self._recolour()
        super().showEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and self.isVisible():
            self._recolour()


class ErrorLabel(QLabel):
    """A red sentence that takes no room while there is none."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setWordWrap(True)
        self.hide()

    def say(self, sentence: str | None, detail: str = "") -> None:
        """Show a sentence, or nothing; the detail is its tool tip."""
        if sentence:
            self.setStyleSheet(f"color: {red_of(self.parentWidget() or self)};")
        self.setText(sentence or "")
        self.setToolTip(detail)
        self.setVisible(bool(sentence))


class ElidedLabel(QLabel):
    """A label that shortens its text in the middle instead of making the dock wider."""

    def __init__(self, text: str = "", mode: Qt.TextElideMode = Qt.TextElideMode.ElideMiddle):
        super().__init__()
        self._full = ""
        self._mode = mode
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.setMinimumWidth(40)
        self.set_full_text(text)

    def set_full_text(self, text: str, tip: str | None = None) -> None:
        """Show a text, as much of it as fits; the tool tip has it all."""
        self._full = text
        self.setToolTip(text if tip is None else tip)
        self._fit()

    @property
    def full_text(self) -> str:
        """The text, not shortened."""
        return self._full

    def _fit(self) -> None:
        self.setText(self.fontMetrics().elidedText(self._full, self._mode, max(self.width() - 2, 20)))

    def resizeEvent(self, event: object) -> None:
        self._fit()
        super().resizeEvent(event)
