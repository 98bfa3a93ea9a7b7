"""Whether the bytes of an MRC file have a sign: standards of different years and programs disagree."""

from __future__ import annotations

import struct
from pathlib import Path

_STANDARD_OF_2014 = 20140
_IMOD_STAMP = 1146047817
_SIGNED_FLAG = 1


def has_signed_bytes(path: Path) -> bool:
    """Whether the values of an MRC file of mode 0 are between -128 and 127: so says the standard since 2014.

    IMOD puts a stamp into its files and a flag beside it, which goes before. Older files have bytes without sign.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as stream:
        header = stream.read(160)
    if len(header) < 160:
        return False
    mode, version = (struct.unpack_from("<i", header, place)[0] for place in (12, 108))
    stamp, flags = struct.unpack_from("<2i", header, 152)
    if mode != 0:
        return False
    return bool(flags & _SIGNED_FLAG) if stamp == _IMOD_STAMP else version >= _STANDARD_OF_2014
