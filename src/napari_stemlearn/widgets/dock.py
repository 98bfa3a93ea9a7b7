"""What all docks have in common: a page that scrolls, an opening sentence, and the viewer."""

from __future__ import annotations

import importlib
import threading
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from qtpy.compat import isalive
from qtpy.QtCore import QObject, QSize, Qt, QTimer, Signal
from qtpy.QtWidgets import QApplication, QFrame, QLabel, QScrollArea, QVBoxLayout, QWidget

from napari_stemlearn.widgets.following import follow_images
from napari_stemlearn.widgets.labels import DimLabel

if TYPE_CHECKING:
    from napari.components import ViewerModel


LATER = 1000
"""Milliseconds after the opening of a dock at which it begins to load what it may need."""


class DockNews(QObject):
    """Tells all docks that one was opened, or that what it offers to the others has changed."""

    changed = Signal()


@cache
def dock_news() -> DockNews:
    """The news that all docks share."""
    return DockNews()


class Dock(QWidget):
    """A page for one step of the work.

    Parameters
    ----------
    viewer
        The viewer that the dock works on.
    sentence
        What this step is for.
    """

    def __init__(self, viewer: ViewerModel, sentence: str, parent: QWidget | None = None):
        super().__init__(parent)
        self.viewer = viewer
        follow_images(viewer)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        self.scroll = QScrollArea()
        self.scroll.setWidgetResizable(True)
        self.scroll.setFrameShape(QFrame.Shape.NoFrame)
        # a page fits into the smallest width; larger fonts may need more, and nothing may be out of reach
        self.scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        outer.addWidget(self.scroll)
        self.page = QWidget()
        self.column = QVBoxLayout(self.page)
        self.column.setContentsMargins(10, 8, 10, 10)
        self.column.setSpacing(8)
        self.scroll.setWidget(self.page)
        self.intro = DimLabel(sentence)
        self.column.addWidget(self.intro)
        self.setMinimumWidth(320)
        # what a dock offers is there when all of it is made
        QTimer.singleShot(0, dock_news().changed.emit)
        # later, or it would slow down the opening itself
        QTimer.singleShot(LATER, self._warm_up)

    def sizeHint(self) -> QSize:
        return QSize(400, 640)

    def _warm_up(self) -> None:
        from napari_stemlearn.widgets.glyphs import Glyphs

        warm_up()
        self._glyphs = Glyphs(unwrapped(self.viewer), self)


AnyDock = TypeVar("AnyDock", bound=Dock)


def docks_of(viewer: ViewerModel, kind: type[AnyDock]) -> list[AnyDock]:
    """The docks of one kind that are open for a viewer."""
    return [
        widget
        for widget in QApplication.allWidgets()
        if isinstance(widget, kind) and isalive(widget) and unwrapped(widget.viewer) is unwrapped(viewer)
    ]


def unwrapped(viewer: Any) -> Any:
    """The viewer itself: napari gives each plugin widget a wrapper of its own."""
    return getattr(viewer, "__wrapped__", viewer)


def separator() -> QFrame:
    """A thin line between the parts of a dock."""
    line = QFrame()
    line.setFixedHeight(1)
    line.setStyleSheet("background-color: rgba(128, 128, 128, 90);")
    return line


def heading(text: str) -> QLabel:
    """A title inside a dock."""
    label = QLabel(text)
    label.setStyleSheet("font-weight: bold;")
    return label


_warm = False


def warm_up() -> None:
    """Load in a thread what the first layer needs, so that the window does not wait for it then."""
    global _warm
    if not _warm:
        _warm = True
        threading.Thread(target=_load, name="warm-up", daemon=True).start()


def _load() -> None:
    for module in ("pandas", "scipy.ndimage"):
        importlib.import_module(module)
