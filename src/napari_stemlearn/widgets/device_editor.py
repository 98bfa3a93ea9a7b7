"""Choose a device among those that work here; another process is asked, so that no torch loads into this one."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtGui import QShowEvent

from napari_stemlearn.errors import JobError
from napari_stemlearn.widgets.editors import CalmComboBox, Editor

if TYPE_CHECKING:
    from napari_stemlearn.jobs.devices import Device

_asked: Future[list[Device]] | None = None


def ask_devices() -> Future[list[Device]]:
    """The answer of `napari_stemlearn.jobs.devices.list_devices`, on its way or there; asked once a program."""
    global _asked
    if _asked is None:
        _asked = Future()
        # a daemon, so that leaving the program does not wait for the answer
        threading.Thread(target=_ask, args=(_asked,), name="devices", daemon=True).start()
    return _asked


def _ask(answer: Future[list[Device]]) -> None:
    from napari_stemlearn.jobs.devices import list_devices

    try:
        answer.set_result(list_devices())
    except Exception as error:
        answer.set_exception(error)


class DeviceEditor(Editor):
    """``auto`` and ``cpu`` at once, the others with their free memory as soon as they are known."""

    def __init__(self) -> None:
        super().__init__()
        self.box = CalmComboBox()
        self.names: list[str] = []
        self._row(self.box)
        self._offer([("auto", "auto"), ("cpu", "cpu")])
        self.box.activated.connect(lambda _index: self.changed.emit())
        self._timer = QTimer(self)
        self._timer.setInterval(200)
        self._timer.timeout.connect(self._look)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        # asked a moment later, so that opening the dock does not wait for the other process to start
        self._timer.start()

    def _look(self) -> None:
        answer = ask_devices()
        if not answer.done():
            return
        self._timer.stop()
        try:
            devices = answer.result()
        except JobError as error:
            self.box.setToolTip(str(error))
            return
        self._offer([(device.name, str(device)) for device in devices])

    def _offer(self, devices: list[tuple[str, str]]) -> None:
        chosen = self.raw() if self.names else "auto"
        self.names = [name for name, _words in devices]
        self.box.clear()
        for name, words in devices:
            self.box.addItem(words)
            self.box.setItemData(self.box.count() - 1, words, 3)
            self.box.setItemData(self.box.count() - 1, name)
        self.set_raw(chosen)

    def raw(self) -> Any:
        index = self.box.currentIndex()
        return self.names[index] if 0 <= index < len(self.names) else "auto"

    def set_raw(self, value: Any) -> None:
        name = str(value or "auto")
        if name not in self.names:
            self.names.append(name)
            self.box.addItem(f"{name} (not found here)")
        with contextlib.suppress(ValueError):
            self.box.setCurrentIndex(self.names.index(name))
