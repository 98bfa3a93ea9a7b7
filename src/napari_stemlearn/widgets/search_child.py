"""The process that searches: torch loads here, so the window never waits for it; it stays for the next search.

Messages are pickles with their length in front, from the standard input and to the standard output. The parent sends
``("warm", model, device)``, ``("search", request)``, ``("frame", index, array or path)`` and ``("stop",)``; the child
answers ``("started", device)``, ``("want", index)``, ``("progress", done, total)``, ``("found", part)`` and at the end
``("end", stopped)`` or ``("failed", sentence, detail)``.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import struct
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.finding.classical_names import CLASSICAL


@dataclass(frozen=True)
class SearchRequest:
    """What to search with what; the frames follow one by one when they are asked for."""

    model: str
    device: str
    settings: dict[str, Any]
    name: str
    shape: tuple[int, ...]
    dtype: str
    pixel_size: float
    frames: tuple[int, ...] | None = None
    with_maps: bool = False
    lowest: dict[str, float] = field(default_factory=dict)


def send(stream: BinaryIO, message: Any) -> None:
    """Write one message."""
    content = pickle.dumps(message, protocol=5)
    stream.write(struct.pack("<Q", len(content)))
    stream.write(content)
    stream.flush()


def receive(stream: BinaryIO) -> Any:
    """Read one message.

    Raises
    ------
    EOFError
        If the other side is gone.
    """
    head = _exactly(stream, 8)
    return pickle.loads(_exactly(stream, struct.unpack("<Q", head)[0]))


def _exactly(stream: BinaryIO, count: int) -> bytes:
    content = stream.read(count)
    if content is None or len(content) < count:
        raise EOFError
    return content


class FramesOnRequest:
    """An image or a stack whose frames are asked for when they are needed."""

    def __init__(self, shape: tuple[int, ...], dtype: str, ask: Callable[[int], NDArray[Any]]) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.ndim = len(shape)
        self._ask = ask
        self._kept: tuple[int, NDArray[Any]] | None = None

    def __getitem__(self, key: Any) -> NDArray[Any]:
        if self.ndim == 2:
            return self._frame(0)[key]
        index, *rest = key if isinstance(key, tuple) else (key,)
        frame = self._frame(int(index))
        return frame[tuple(rest)] if rest else frame

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if self.ndim > 2:
            raise TypeError("a stack is read frame by frame")
        return np.asarray(self._frame(0), dtype=dtype)

    def _frame(self, index: int) -> NDArray[Any]:
        if self._kept is None or self._kept[0] != index:
            self._kept = None
            self._kept = index, self._ask(index)
        return self._kept[1]


class Inbox:
    """Messages of the parent, read by a thread, so that a stop is heard in the middle of a search."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stop = threading.Event()
        self._messages: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: BinaryIO) -> None:
        while True:
            try:
                message = receive(stream)
            except (EOFError, OSError):
                self.stop.set()
                self._messages.put(None)
                return
            if message[0] == "search":
                self.stop.clear()
            elif message[0] == "stop":
                self.stop.set()
            self._messages.put(message)

    def next(self, *kinds: str) -> Any:
        """The next message of some kinds; others are dropped.

        Raises
        ------
        EOFError
            If the parent is gone.
        """
        while True:
            message = self._messages.get()
            if message is None:
                raise EOFError
            if message[0] in kinds:
                return message
            if message[0] == "stop" and "frame" in kinds:
                raise InterruptedError


def search(request: SearchRequest, inbox: Inbox, tell: Callable[[Any], None], models: dict[Any, Any]) -> bool:
    """Do one search; returns whether it was stopped."""
    from napari_stemlearn.finding import FindSettings, find_frames
    from napari_stemlearn.micrograph import Micrograph

    settings = FindSettings.checked(request.settings).changed(thresholds=request.lowest)
    model: Any = CLASSICAL
    device = "cpu"
    if request.model != CLASSICAL:
        model = loaded(models, request.model, request.device)
        device = str(model.device)
    tell(("started", device))

    def ask(index: int) -> NDArray[Any]:
        tell(("want", index))
        content = inbox.next("frame")[2]
        return np.load(content, mmap_mode="r") if isinstance(content, str) else content

    frames = FramesOnRequest(request.shape, request.dtype, ask)
    micrograph = Micrograph(frames, request.pixel_size, request.name)  # type: ignore[arg-type]
    searched = find_frames(
        micrograph,
        model,
        settings,
        frames=request.frames,
        on_progress=lambda done, total: tell(("progress", done, total)),
        should_stop=inbox.stop.is_set,
        with_maps=request.with_maps,
        # thresholds move after the search, and what lies below its own takes no place
        rivals=True,
    )
    try:
        for part in searched:
            tell(("found", part))
    except InterruptedError:
        return True
    return inbox.stop.is_set()


def loaded(models: dict[Any, Any], name: str, device: str) -> Any:
    """A model, loaded once as long as its file is the same."""
    from napari_stemlearn.models.store import load_model

    key = (name, device, _age(name))
    if key not in models:
        models.clear()
        models[key] = load_model(name, device)
    return models[key]


def _age(model: str) -> float:
    """When a model was last written, so that a newly trained one under the same name is loaded again."""
    from napari_stemlearn.models.store import CARD

    try:
        return (Path(model) / CARD).stat().st_mtime
    except OSError:
        return 0.0


def serve(incoming: BinaryIO, outgoing: BinaryIO) -> None:
    """Search whatever is asked for until the parent goes away."""
    from napari_stemlearn.errors import StemlearnError

    inbox = Inbox(incoming)
    models: dict[Any, Any] = {}
    while True:
        try:
            kind, request, *rest = inbox.next("search", "warm")
        except EOFError:
            return
        if kind == "warm":
            # what is wrong is said when the search is asked for
            with contextlib.suppress(Exception):
                loaded(models, request, rest[0])
            continue
        try:
            stopped = search(request, inbox, lambda message: send(outgoing, message), models)
            send(outgoing, ("end", stopped))
        except (EOFError, BrokenPipeError):
            return
        except StemlearnError as error:
            send(outgoing, ("failed", str(error), ""))
        except Exception as error:
            send(outgoing, ("failed", sentence_of(error), traceback.format_exc()))


def sentence_of(error: BaseException) -> str:
    """One sentence for what broke."""
    from napari_stemlearn.memory_errors import is_out_of_memory

    if is_out_of_memory(error):
        return "There is not enough memory for this search; choose a smaller tile under “More”, or another device."
    lines = str(error).strip().splitlines()
    return f"The search failed with {type(error).__name__}{': ' + lines[0].rstrip('.') if lines else ''}."


def limit_threads() -> None:
    """Leave a core to the window, and let it go first."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        chosen = os.environ.get(name, "")
        # a lower number was set on purpose
        if not (chosen.isdecimal() and 0 < int(chosen) < cores):
            os.environ[name] = str(max(1, cores - 1))
    with contextlib.suppress(OSError, AttributeError):
        os.nice(5)


def main() -> None:
    """Serve on the standard streams; what libraries print goes to the error stream instead."""
    outgoing = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    limit_threads()
    serve(sys.stdin.buffer, outgoing)


if __name__ == "__main__":
    main()
