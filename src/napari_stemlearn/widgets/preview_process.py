"""Simulate single images in a process of its own: torch loads there, so the window never waits for it.

The process stays for the next image. Messages are those of `napari_stemlearn.widgets.search_child`: the parent sends
``("simulate", settings, index)``, the child answers ``("done", image)`` or ``("failed", sentence, detail)``.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.widgets.search_child import limit_threads, receive, send

if TYPE_CHECKING:
    from napari_stemlearn.imaging.labelled import LabelledMicrograph


@dataclass(frozen=True)
class PreviewImage:
    """One simulated image, its number in the set, how long it took in seconds, and on which device."""

    labelled: LabelledMicrograph
    index: int
    seconds: float
    device: str


class PreviewProcess:
    """The process seen from the window; started when it is first needed."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def start(self) -> subprocess.Popen[bytes]:
        """Start the process if it is not there; it loads torch meanwhile."""
        with self._lock:
            if self._child is None or self._child.poll() is not None:
                self._child = subprocess.Popen(
                    [sys.executable, "-m", "napari_stemlearn.widgets.preview_process"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            return self._child

    def simulate(self, settings: dict[str, Any], index: int) -> PreviewImage:
        """Simulate image number `index` of a set; waits for it, so call it in a thread.

        Parameters
        ----------
        settings
            Record of `SimulateSettings`.
        index
            Which image of the set.

        Raises
        ------
        StemlearnError
            Why there is no image, in one sentence; the traceback of the process is a note.
        """
        child = self.start()
        try:
            if child.stdin is None or child.stdout is None:
                raise EOFError
            send(child.stdin, ("simulate", settings, index))  # type: ignore[arg-type]
            kind, *rest = receive(child.stdout)  # type: ignore[arg-type]
        except (EOFError, OSError, ValueError) as error:
            # another may have been started meanwhile, and that one goes on
            self._let_go(child)
            raise StemlearnError(f"The simulation process ended: {_end_of(child)}.") from error
        if kind == "done":
            return rest[0]
        failure = StemlearnError(rest[0])
        failure.add_note(rest[1])
        raise failure

    def kill(self) -> None:
        """End the process now, in the middle of its image."""
        with self._lock:
            child, self._child = self._child, None
        if child is not None:
            with contextlib.suppress(OSError):
                child.kill()
            self._let_go(child)

    def close(self) -> None:
        """Let the process end; it goes when its input closes, at the latest after its image."""
        self._let_go(self._child)

    def _let_go(self, child: subprocess.Popen[bytes] | None) -> None:
        with self._lock:
            if self._child is child:
                self._child = None
        if child is not None:
            with contextlib.suppress(OSError, ValueError):
                if child.stdin is not None:
                    child.stdin.close()
            # somebody has to wait for a child, or it stays as a zombie
            threading.Thread(target=_wait, args=(child,), daemon=True).start()


def _end_of(child: subprocess.Popen[bytes]) -> str:
    """Words for how a process ended whose answer did not come."""
    # its streams close a moment before it is gone
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(5)
    code = child.returncode
    if code is None:
        return "it no longer answers"
    return "it was killed, perhaps because the memory was full" if code in (-9, 137) else f"exit status {code}"


def _wait(child: subprocess.Popen[bytes]) -> None:
    try:
        child.wait(30)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def serve(incoming: BinaryIO, outgoing: BinaryIO) -> None:
    """Simulate whatever is asked for until the parent goes away."""
    from napari_stemlearn.datasets.settings import SimulateSettings
    from napari_stemlearn.datasets.simulated import simulate_one
    from napari_stemlearn.devices import choose_device
    from napari_stemlearn.widgets.background import sentence_of

    while True:
        try:
            _kind, values, index = receive(incoming)
        except (EOFError, OSError):
            return
        try:
            settings = SimulateSettings.checked(values)
            device = str(choose_device(settings.device))
            start = time.perf_counter()
            labelled, _seeds = simulate_one(settings, index, device=device)
            answer: tuple[Any, ...] = "done", PreviewImage(labelled, index, time.perf_counter() - start, device)
        except Exception as error:
            answer = "failed", sentence_of(error), traceback.format_exc()
        try:
            send(outgoing, answer)
        except OSError:
            return


def main() -> None:
    """Serve on the standard streams; what libraries print goes to the error stream instead."""
    outgoing = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    limit_threads()
    serve(sys.stdin.buffer, outgoing)


if __name__ == "__main__":
    # pickles name the module, which must not be __main__
    from napari_stemlearn.widgets import preview_process

    preview_process.main()
