"""Do one thing in a thread and hand over what came of it; nothing is lost when it breaks."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.memory_errors import is_computer_memory, is_gpu_memory


class Background(QObject):
    """Runs functions in a thread, one at a time; the result of an older call is dropped.

    `done` brings the result, `failed` a sentence and its traceback.
    """

    done = Signal(object)
    failed = Signal(str, str)

    def __init__(self, parent: QObject | None = None):
        super().__init__(parent)
        self._current = 0
        self._worker: Any = None

    @property
    def running(self) -> bool:
        """Whether something is on its way."""
        return self._worker is not None

    def start(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call ``function(*arguments)`` in a thread."""
        from napari.qt.threading import thread_worker

        self._current += 1
        self._worker = thread_worker(_guarded, start_thread=False)(self._current, function, *arguments)
        self._worker.yielded.connect(self._deliver)
        self._worker.start()

    def forget(self) -> None:
        """Drop what is on its way; the thread ends by itself."""
        self._current += 1
        self._worker = None

    def _deliver(self, message: tuple[int, bool, Any]) -> None:
        number, good, content = message
        if number != self._current:
            return
        self._worker = None
        if good:
            self.done.emit(content)
        else:
            self.failed.emit(*content)


def _guarded(number: int, function: Callable[..., Any], *arguments: Any) -> Iterator[tuple[int, bool, Any]]:
    # a RuntimeError that leaves a generator worker is heard by nobody, so nothing may leave it
    try:
        result = function(*arguments)
    except Exception as error:
        yield number, False, (sentence_of(error), traceback.format_exc())
    else:
        yield number, True, result


def sentence_of(error: BaseException) -> str:
    """One sentence for an error of any kind."""
    if isinstance(error, StemlearnError):
        return str(error)
    words = str(error).strip().splitlines()
    if is_gpu_memory(error):
        return "The GPU has not enough memory for this; choose a smaller image, or the CPU as device."
    if is_computer_memory(error):
        return "There is not enough memory for this; choose a smaller image."
    return f"This failed with {type(error).__name__}{': ' + words[0] if words else ''}."
