"""Units as microscope files write them: which are lengths, and how many angstrom they are."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

from napari_stemlearn.micrograph import check_pixel_size

UnitKind = Literal["length", "reciprocal", "angle", "energy", "time", "none", "unknown"]

ANGSTROM_PER: dict[str, float] = {
    "å": 1.0,
    "a": 1.0,
    "ang": 1.0,
    "angstrom": 1.0,
    "angstroms": 1.0,
    "ångström": 1.0,
    "ångstrom": 1.0,
    "pm": 1e-2,
    "picometer": 1e-2,
    "picometers": 1e-2,
    "picometre": 1e-2,
    "picometres": 1e-2,
    "nm": 10.0,
    "nanometer": 10.0,
    "nanometers": 10.0,
    "nanometre": 10.0,
    "nanometres": 10.0,
    "um": 1e4,
    "µm": 1e4,
    "micron": 1e4,
    "microns": 1e4,
    "micrometer": 1e4,
    "micrometers": 1e4,
    "micrometre": 1e4,
    "micrometres": 1e4,
    "mm": 1e7,
    "millimeter": 1e7,
    "millimeters": 1e7,
    "millimetre": 1e7,
    "millimetres": 1e7,
    "cm": 1e8,
    "centimeter": 1e8,
    "centimeters": 1e8,
    "centimetre": 1e8,
    "centimetres": 1e8,
    "m": 1e10,
    "meter": 1e10,
    "meters": 1e10,
    "metre": 1e10,
    "metres": 1e10,
    "inch": 2.54e8,
    "inches": 2.54e8,
    "in": 2.54e8,
}
"""Angstrom in one unit of length; names in lower case."""

_ANGLES = {"rad", "mrad", "urad", "µrad", "deg", "degree", "degrees", "°"}
_ENERGIES = {"ev", "kev", "mev"}
_TIMES = {"s", "sec", "ms", "us", "µs", "ns", "min", "h"}
_NONE = {"", "none", "px", "pixel", "pixels", "pix", "1", "dimensionless", "<undefined>", "undefined", "null"}


def plain_unit(unit: object) -> str:
    """A unit in lower case without brackets, blanks and the spellings of particular programs."""
    if unit is None:
        return ""
    text = unit.decode("utf-8", "replace") if isinstance(unit, bytes) else str(unit)
    # ImageJ writes what is not ASCII as \u00B5
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found.group(1), 16)), text.strip().strip("\0"))
    # Berkeley EMD writes nanometres as [n_m]; there are blanks around fraction bars
    text = re.sub(r"[\s_]+", "", text.strip("[]() ").lower())
    # there are two micro signs, two minus signs and several ways to write the ring
    return unicodedata.normalize("NFC", text).replace("\u03bc", "µ").replace("\u2212", "-")


def kind_of_unit(unit: object) -> UnitKind:
    """What a unit measures."""
    text = plain_unit(unit)
    if text in _NONE:
        return "none"
    if text in ANGSTROM_PER:
        return "length"
    if text.startswith("1/") or "^-1" in text or text.endswith(("-1", "⁻¹")):
        return "reciprocal"
    if text in _ANGLES:
        return "angle"
    if text in _ENERGIES:
        return "energy"
    if text in _TIMES:
        return "time"
    return "unknown"


def to_angstrom(value: float, unit: object) -> float:
    """A length in angstrom.

    Raises
    ------
    KeyError
        If `unit` is no length (see `kind_of_unit`).
    """
    return float(value) * ANGSTROM_PER[plain_unit(unit)]


def typed_length(text: str) -> float:
    """A length that somebody typed, in angstrom: a number alone or with a unit, for example ``0.2`` or ``20 pm``.

    Raises
    ------
    ValueError
        If it is none.
    """
    found = re.fullmatch(r"\s*([-+.,\de]*[.,\d])\s*(\S*)\s*", text, flags=re.IGNORECASE)
    if found is None or (found[2] and kind_of_unit(found[2]) != "length"):
        raise ValueError(f"'{text}' is no length")
    return to_angstrom(float(found[1].replace(",", ".")), found[2] or "angstrom")


def square_pixel_size(sizes: Sequence[float], name: str) -> float:
    """Side of a pixel from its height and width in angstrom.

    Raises
    ------
    MicrographError
        If they differ by more than 0.5 % or are out of range.
    """
    alike = min(sizes) > 0 and max(sizes) / min(sizes) <= 1.005
    return check_pixel_size(sum(sizes) / len(sizes) if alike else sizes, name)
