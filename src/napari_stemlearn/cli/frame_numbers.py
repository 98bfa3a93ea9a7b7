"""Frames of a stack as they are typed: ``0,2-5``."""

from __future__ import annotations

from napari_stemlearn.errors import SettingsError

MOST = 1_000_000
"""No stack has more frames; a slip of the finger must not fill the memory."""


def frame_numbers(text: str) -> tuple[int, ...]:
    """Numbers of frames from a text such as ``0,2-5``, each once, rising.

    Raises
    ------
    SettingsError
        If it is no such text.
    """
    chosen: set[int] = set()
    for part in text.split(","):
        first, separator, last = part.strip().partition("-")
        if not first.isdecimal() or (separator and not last.isdecimal()):
            raise SettingsError(f"--frames takes numbers from 0 such as 0,2-5, not '{text}'.")
        if not int(first) <= int(last or first) < MOST:
            raise SettingsError(f"--frames takes rising numbers below {MOST} such as 0,2-5, not '{text}'.")
        chosen.update(range(int(first), int(last or first) + 1))
    return tuple(sorted(chosen))
