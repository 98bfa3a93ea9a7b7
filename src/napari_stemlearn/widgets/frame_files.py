"""Large frames on their way to another process, each in a file of its own."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class FrameFiles:
    """Files of frames in a temporary folder, which is there as long as one of them is.

    The other process may still have the frame before mapped into its memory. A new frame never touches that file, and
    where the system does not let it go yet, as Windows does, it is removed at the next occasion.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._numbers = itertools.count()

    def put(self, frame: NDArray[Any]) -> str:
        """Write a frame, remove those before, and give its path.

        Raises
        ------
        OSError
            If the disk refuses; no part of the frame stays.
        """
        self.clear()
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="stemlearn-"))
        path = self._folder / f"frame-{next(self._numbers)}.npy"
        try:
            np.save(path, frame)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return str(path)

    def clear(self) -> bool:
        """Remove what can be removed; returns whether nothing is left."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            if not self._folder.exists():
                self._folder = None
        return self._folder is None
