"""Words in the tags of a TIFF file, whoever wrote them."""

from __future__ import annotations

import contextlib
from typing import Any

_NAMES = ("ImageDescription", "Software", "Artist", "Copyright", "DocumentName", "ImageID", "XPComment", "XPTitle")


def text_tags(tiff: Any) -> dict[str, str]:
    """Words of an open `tifffile.TiffFile` by the name of their tag.

    ImageJ keeps the description of a file that it opened: it is called ``ImageJ Info``.
    """
    words: dict[str, str] = {}
    first = tiff.pages[0]
    for name in _NAMES:
        tag = first.tags.get(name)
        text = _text(tag.value) if tag is not None else ""
        if text:
            words[name] = text
    # what ImageJ wrote may be damaged where the image itself is not
    with contextlib.suppress(Exception):
        info = (tiff.imagej_metadata or {}).get("Info")
        if info:
            words["ImageJ Info"] = _text(info)
    return words


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        # Windows writes its own tags with two bytes a letter
        value = value.decode("utf-16-le" if value[1:2] == b"\0" else "utf-8", "replace")
    if isinstance(value, (tuple, list)):
        value = " ".join(str(entry) for entry in value)
    return str(value).strip().strip("\0").strip()
