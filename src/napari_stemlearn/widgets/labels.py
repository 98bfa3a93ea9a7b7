"""Labels that docks share: quiet ones, red ones, and ones that shorten their text."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget

from napari_stemlearn.widgets.words import dim_of, red_of


class _ColouredLabel(QLabel):
    """A label whose colour follows the theme.

    Parameters
    ----------
    colour_of
        Gives the colour on the theme of a widget; None leaves the usual one.
    """

    def __init__(self, colour_of: Callable[[QWidget], str] | None, text: str = "", parent: QWidget | None = None):
        super().__init__(text, parent)
        self._colour_of = colour_of
        self._colour = ""

    def _recolour(self) -> None:
        if self._colour_of is None:
            return
        # the parent tells the theme: the label's own palette has its own colour already
        colour = self._colour_of(self.parentWidget() or self)
        if colour != self._colour:
            self._colour = colour
            self.setStyleSheet(f"color: {colour};")

    def showEvent(self, event: QShowEvent) -> None:
        self._recolour()
        super().showEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange) and self.isVisible():
            self._recolour()


class DimLabel(_ColouredLabel):
    """A quiet sentence; its colour follows the theme."""

    def __init__(self, text: str = "", parent: QWidget | None = None):
        super().__init__(dim_of, text, parent)
        self.setWordWrap(True)


class ErrorLabel(_ColouredLabel):
    """A red sentence that takes no room while there is none; its red follows the theme."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(red_of, parent=parent)
        self.setWordWrap(True)
        self.hide()

    def say(self, sentence: str | None, detail: str = "") -> None:
        """Show a sentence, or nothing; the detail is its tool tip."""
        if sentence:
            self._recolour()
        self.setText(sentence or "")
        self.setToolTip(detail)
        self.setVisible(bool(sentence))


class ElidedLabel(_ColouredLabel):
    """A label that shortens its text in the middle instead of making the dock wider."""

    def __init__(
        self,
        text: str = "",
        mode: Qt.TextElideMode = Qt.TextElideMode.ElideMiddle,
        colour_of: Callable[[QWidget], str] | None = None,
    ):
        super().__init__(colour_of)
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
