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
    ranges = frame_ranges(text)
    if not all(last < MOST for _first, last in ranges):
        raise SettingsError(f"--frames takes rising numbers below {MOST} such as 0,2-5, not '{text}'.")
    return tuple(sorted({frame for first, last in ranges for frame in range(first, last + 1)}))


def frame_ranges(text: str) -> list[tuple[int, int]]:
    """First and last number of each part of a text such as ``0,2-5``, in its order.

    Raises
    ------
    SettingsError
        If it is no such text.
    """
    ranges = []
    for part in text.split(","):
        first, separator, last = part.strip().partition("-")
        good = first.isdecimal() and (last.isdecimal() if separator else True)
        if not good or int(last or first) < int(first):
            raise SettingsError(f"--frames takes numbers from 0 such as 0,2-5, not '{text}'.")
        ranges.append((int(first), int(last or first)))
    return ranges
