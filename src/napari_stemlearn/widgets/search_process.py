"""The search process seen from the window: started when needed, kept warm, stopped, killed if it does not listen."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.file_errors import reason
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.widgets.frame_files import FrameFiles
from napari_stemlearn.widgets.search_child import SearchRequest, receive, send

LARGE = 8 << 20
"""Frames with more bytes go through a file: a pipe would hold the window up."""


class FrameError(StemlearnError):
    """A frame cannot be handed to the search."""


class SearchProcess:
    """One child process; a second search waits for none, since one dock has one search."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._errors: Any = None
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._searching = False
        self._asked = False
        self._stop_wanted = False
        self._unremoved: list[FrameFiles] = []

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Start the process if it is not there; costs milliseconds, the rest happens in the child."""
        with self._lock:
            if self.alive:
                return
            self._close()
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115
            self._child = subprocess.Popen(
                [sys.executable, "-m", "napari_stemlearn.widgets.search_child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
            )

    def warm_up(self, model: str, device: str) -> None:
        """Start the process and let it load torch and a model, so that the search begins at once."""
        if not self._searching:
            with contextlib.suppress(OSError, EOFError, ValueError):
                self.start()
                self._send(("warm", model, device))

    def search(self, request: SearchRequest, micrograph: Micrograph) -> Iterator[tuple[Any, ...]]:
        """Search and give the child's messages; for a thread; ends with ``end`` or ``failed``, never with an error.

        Parameters
        ----------
        request
            What to do.
        micrograph
            Its frames are read when the child wants them.
        """
        self._searching = True
        self._clear_files()
        files = FrameFiles()
        try:
            if self._stop_wanted:
                yield "end", True
                return
            self.start()
            child = self._child
            assert child is not None
            assert child.stdout is not None
            self._send(("search", request))
            self._asked = True
            if self._stop_wanted:
                self._send(("stop",))
            while True:
                message = receive(child.stdout)
                if message[0] != "want":
                    yield message
                    if message[0] in ("end", "failed"):
                        return
                    continue
                self._send(("frame", message[1], _handed_over(micrograph, message[1], files)))
        except FrameError as error:
            self.kill()
            yield "failed", str(error), ""
        except (EOFError, OSError, ValueError) as error:
            yield self._end_of_child(error)
        finally:
            self._searching = self._asked = self._stop_wanted = False
            if not files.clear():
                self._unremoved.append(files)

    def _clear_files(self) -> None:
        """Remove files of earlier searches that a process still held when these ended."""
        for files in list(self._unremoved):
            if files.clear():
                with contextlib.suppress(ValueError):
                    self._unremoved.remove(files)

    def _end_of_child(self, error: BaseException) -> tuple[Any, ...]:
        child = self._child
        if child is None:
            return "end", True
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(5)
        code, words = child.returncode, self._last_words()
        if code in (-9, 137):
            cause = "it was killed, perhaps because the memory was full; choose a smaller tile under “More”"
        elif code is None:
            cause = f"it no longer answers ({error})"
        else:
            cause = words.splitlines()[-1].rstrip(".") if words else f"exit status {code}"
        return "failed", f"The search process ended: {cause}.", words

    def _last_words(self) -> str:
        if self._errors is None:
            return ""
        with contextlib.suppress(OSError, ValueError):
            self._errors.seek(0)
            return self._errors.read()[-4000:].decode("utf-8", "replace").strip()
        return ""

    def _send(self, message: Any) -> None:
        child = self._child
        if child is None or child.stdin is None:
            raise EOFError
        with self._sending:
            send(child.stdin, message)  # type: ignore[arg-type]

    def stop(self) -> None:
        """Ask the running search to stop at the next tile; one that is just beginning ends before its first."""
        self._stop_wanted = True
        if self._asked and self.alive:
            with contextlib.suppress(OSError, EOFError, ValueError):
                self._send(("stop",))

    def kill(self) -> None:
        """End the process now, and the search that is just beginning."""
        self._stop_wanted = True
        child, self._child = self._child, None
        if child is not None:
            with contextlib.suppress(OSError):
                child.kill()
            self._reap(child)

    def close(self) -> None:
        """Let the process end by itself; it goes when its input closes."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            with contextlib.suppress(OSError, ValueError):
                if child.stdin is not None:
                    child.stdin.close()
            if self._searching:
                with contextlib.suppress(OSError):
                    child.kill()
            self._reap(child)

    def _reap(self, child: subprocess.Popen[bytes]) -> None:
        def wait() -> None:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                child.wait(20)
            self._clear_files()
            for stream in (child.stdin, child.stdout):
                with contextlib.suppress(OSError, ValueError):
                    if stream is not None:
                        stream.close()

        threading.Thread(target=wait, daemon=True).start()


def _handed_over(micrograph: Micrograph, index: int, files: FrameFiles) -> Any:
    """A frame itself, or the path of a file that holds it."""
    try:
        frame = np.ascontiguousarray(micrograph.frame(index))
    except Exception as error:
        raise FrameError(f"The image cannot be read: {type(error).__name__}: {error}.") from error
    if frame.nbytes <= LARGE:
        return frame
    try:
        return files.put(frame)
    except OSError as error:
        raise FrameError(f"The image cannot be written to the temporary folder: {reason(error)}.") from error


def guarded(messages: Callable[[], Iterator[tuple[Any, ...]]]) -> Iterator[tuple[Any, ...]]:
    """Messages of a search for a generator worker; whatever breaks becomes a last message ``failed``."""
    try:
        yield from messages()
    except Exception as error:
        # a RuntimeError that leaves a generator worker is heard by nobody
        yield "failed", f"The search failed with {type(error).__name__}: {error}.", ""
