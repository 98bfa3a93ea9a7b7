"""The tab key goes from above to below, also to what is made later than what stands beneath it."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget


def tab_after(anchor: QWidget, *parts: QWidget) -> None:
    """Let the tab key go from one widget to what is in others, in their order; all are of one window."""
    last = anchor
    for part in parts:
        for stop in tab_stops(part):
            QWidget.setTabOrder(last, stop)
            last = stop


def tab_before(anchor: QWidget, *parts: QWidget) -> None:
    """Let the tab key go through others, in their order, before one widget; all are of one window."""
    tab_after(anchor, *parts)
    stops = [stop for part in parts for stop in tab_stops(part)]
    if stops:
        QWidget.setTabOrder(stops[-1], anchor)


def tab_stops(part: QWidget) -> list[QWidget]:
    """Where the tab key stops in a widget, itself included, in the order of now."""
    stops, widget = [], part
    while True:
        mine = widget is part or part.isAncestorOf(widget)
        if mine and widget.focusPolicy().value & Qt.FocusPolicy.TabFocus.value and widget.focusProxy() is None:
            stops.append(widget)
        widget = widget.nextInFocusChain()
        if widget is None or widget is part:
            return stops
