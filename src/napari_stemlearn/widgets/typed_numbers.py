"""Numbers as people type them: with a decimal comma, or with the unit behind."""

from __future__ import annotations

import re

from napari_stemlearn.formats.lengths import kind_of_unit, to_angstrom
from napari_stemlearn.widgets.words import unit_symbol

_NUMBER = re.compile(r"([-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:e[-+]?\d+)?)\s*(\D.*)?", re.IGNORECASE)
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")


def plain_number(text: str, unit: str = "") -> str:
    """What somebody typed, as settings read a number; text that is none, or can be read in two ways, stays as it is.

    Parameters
    ----------
    text
        For example ``0.5``, ``0,5`` or ``30°``.
    unit
        That of the setting. It may stand behind the number; where it is a length, so may other units of length.
    """
    text = text.strip()
    found = _NUMBER.fullmatch(text)
    if found is None or _THOUSANDS.fullmatch(found[1]):
        return text
    number, behind = found[1].replace(",", "."), (found[2] or "").strip()
    if not behind:
        return number
    if unit == "angstrom" and kind_of_unit(behind) == "length":
        return f"{to_angstrom(float(number), behind):.12g}"
    same = bool(unit) and unit_symbol(behind.lower()) == unit_symbol(unit)
    return number if same else text


def two_readings(text: str) -> str | None:
    """Sentence for a number whose comma is a decimal one or one between thousands; None for all else."""
    found = _NUMBER.fullmatch(text.strip())
    if found is None or not _THOUSANDS.fullmatch(found[1]):
        return None
    number = found[1]
    return f"'{text}' can be read as {number.replace(',', '.')} or as {number.replace(',', '')}: leave the comma out."
