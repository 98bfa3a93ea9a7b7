"""Python's search for unreachable cycles, put off while napari is busy."""

from __future__ import annotations

import gc

from qtpy.QtCore import QCoreApplication, QTimer

PAUSE_MS = 250
"""Long enough for the turns of the event loop in which a layer is made, shown and drawn."""

_pauses = 0


def put_off_collector() -> None:
    """Let the collector of cycles wait until the event loop has taken a few turns.

    In a process as large as napari's a full search takes as long as making a layer does, and making one is what sets it
    off. One after the other, each is a shorter stall.
    """
    global _pauses
    if QCoreApplication.instance() is None or not (gc.isenabled() or _pauses):
        return
    gc.disable()
    _pauses += 1
    QTimer.singleShot(PAUSE_MS, _go_on)


def _go_on() -> None:
    global _pauses
    _pauses -= 1
    if not _pauses:
        gc.enable()
