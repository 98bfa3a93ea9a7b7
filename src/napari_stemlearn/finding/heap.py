"""Memory that was freed, given back to the system."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any


@cache
def _trim() -> Any:
    """The C library's function for it, or None where there is none (only glibc keeps freed memory that stubbornly)."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None


def release_freed() -> None:
    """Give freed memory back: between hundreds of tiles the holes in the heap would add up to gigabytes."""
    trim = _trim()
    if trim is not None:
        trim(0)
