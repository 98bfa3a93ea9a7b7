"""Letters for the canvas, made before the first layer of sites needs them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

if TYPE_CHECKING:
    from napari.components import ViewerModel

LETTERS = "ÅÉÑŐjgpqy "
"""What vispy measures a font by as soon as any text is drawn, even an empty one as in each Points layer."""
PAUSE = 20
"""Milliseconds between two letters, in which the window has its turn."""


class Glyphs(QObject):
    """Makes the letters of a viewer's font one by one, each in a turn of the event loop of its own.

    All at once, while the first Points layer is drawn, they hold the window for more than 50 ms.

    Parameters
    ----------
    viewer
        The viewer itself, not napari's wrapper around it.
    """

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None):
        super().__init__(parent)
        self.font = font_of(viewer)
        self._left = list(LETTERS)
        self._timer = QTimer(self)
        self._timer.setInterval(PAUSE)
        self._timer.timeout.connect(self._one)
        if self.font is not None:
            self._timer.start()

    def _one(self) -> None:
        # a letter that is there is only looked up
        self.font[self._left.pop()]
        if not self._left:
            self._timer.stop()


def font_of(viewer: ViewerModel) -> Any:
    """The font of a viewer's canvas; None without a window, or where napari keeps it elsewhere."""
    with contextlib.suppress(AttributeError):
        info = viewer.window._qt_viewer.canvas.font_info()  # type: ignore[attr-defined]
        return info.font_manager.get_font(info.face)
    return None
