"""The small button at the end of a row that opens a menu."""

from __future__ import annotations

from qtpy.QtWidgets import QMenu, QToolButton, QWidget


class MenuButton(QToolButton):
    """Three dots that open `entries`.

    Parameters
    ----------
    tip
        What the menu is for.
    """

    def __init__(self, tip: str, parent: QWidget | None = None):
        super().__init__(parent)
        self.setText("⋯")
        self.setToolTip(tip)
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.entries = QMenu(self)
        self.setMenu(self.entries)
