"""The card of a data set, ``dataset.json``: what it is, what it was made of, and with which settings."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from napari_stemlearn.atomic_writing import write_bytes
from napari_stemlearn.errors import FormatError
from napari_stemlearn.file_errors import reason
from napari_stemlearn.formats.data_set_names import CARD, KIND
from napari_stemlearn.marking import synthetic_statement

FORMAT = 1
"""Version of the layout of a data set."""

NEEDED = (
    "name",
    "number",
    "shape",
    "pixel_size_angstrom",
    "synthetic",
    "statement",
    "settings",
    "generator",
    "marks",
    "versions",
    "created",
)
"""What every card tells."""


def new_card(
    name: str,
    *,
    shape: tuple[int, int],
    pixel_size: float,
    number: int,
    settings: Mapping[str, Any] | None,
    generator: Mapping[str, Any] | None,
    marks: Mapping[str, bool] | None,
    synthetic: bool,
) -> dict[str, Any]:
    """Card of a set that is made now; parameters as of `creation.create_data_set`."""
    return {
        "format": FORMAT,
        "kind": KIND,
        # tells a set from another one that is made later in its folder
        "id": uuid.uuid4().hex,
        "synthetic": synthetic,
        "statement": synthetic_statement((generator or {}).get("name", "")) if synthetic else "",
        "name": name,
        "number": number,
        "shape": list(shape),
        "pixel_size_angstrom": pixel_size,
        "settings": dict(settings or {}),
        "generator": dict(generator) if generator else None,
        "marks": {"watermark": False, "visible_mark": False, **(marks or {})},
        "versions": _versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def read_card(path: Path) -> dict[str, Any]:
    """Card of the set in a folder.

    Raises
    ------
    FormatError
        If there is none, it is of another program or of a newer version, or it is damaged.
    """
    try:
        card = json.loads((path / CARD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FormatError(f"{path} is no data set: it has no {CARD}.") from None
    except (OSError, ValueError) as error:
        raise FormatError(f"{path / CARD} is damaged: {reason(error)}.") from error
    if not isinstance(card, dict):
        raise FormatError(f"{path / CARD} is damaged: it holds no names with values.")
    if card.get("kind") != KIND:
        raise FormatError(f"{path} is no data set: its {CARD} is of another program.")
    version = card.get("format")
    if not isinstance(version, int):
        raise FormatError(f"{path / CARD} is damaged: its format is no whole number.")
    if version > FORMAT:
        raise FormatError(f"{path} is of version {version}; this program reads up to {FORMAT}.")
    missing = [name for name in NEEDED if name not in card]
    if missing:
        raise FormatError(f"The data set {path} is damaged: {missing[0]} is missing.")
    return card


def write_card(path: Path, card: Mapping[str, Any]) -> None:
    """Write the card of the set in a folder, whole or not at all."""
    write_bytes(path / CARD, (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode("utf-8"))


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    from napari_stemlearn import __version__

    return {"napari-stemlearn": __version__, **{name: version(name) for name in ("torch", "numpy", "zarr")}}
