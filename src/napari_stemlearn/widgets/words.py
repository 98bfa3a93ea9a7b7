"""Words and colours that all docks share: field names as labels, units as symbols, a red that any theme can show."""

from __future__ import annotations

import re

from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QWidget

_UPPER = {
    "adf": "ADF",
    "haadf": "HAADF",
    "cif": "CIF",
    "fcn": "FCN",
    "gpu": "GPU",
    "cpu": "CPU",
    "f1": "F1",
    "z": "Z",
    "fwhm": "FWHM",
}
_ABERRATION = re.compile(r"^c\d\d[abxy]?$")
_AZIMUTH = re.compile(r"^phi(\d\d)$")
_UNITS = (
    ("angstrom", "Å"),
    ("microseconds", "µs"),
    ("microsecond", "µs"),
    ("degrees", "°"),
    ("degree", "°"),
    ("deg", "°"),
    ("electrons", "e⁻"),
    ("electron", "e⁻"),
    ("percent", "%"),
    ("pixels", "px"),
    ("pixel", "px"),
)


def label_of(name: str) -> str:
    """Turn a field name into a label: ``source_fwhm`` becomes "Source FWHM", ``c10`` becomes "C10".

    A unit at its end is left out: it stands beside the field.
    """
    words = []
    for word in name.removesuffix("_angstrom").split("_"):
        if word in _UPPER:
            words.append(_UPPER[word])
        elif _ABERRATION.match(word):
            words.append(word[0].upper() + word[1:])
        elif _AZIMUTH.match(word):
            words.append("φ" + word[3:])
        else:
            words.append(word)
    text = " ".join(word for word in words if word)
    return text if text.startswith("φ") else text[:1].upper() + text[1:]


def unit_symbol(unit: str) -> str:
    """Write a unit as a symbol: "angstrom" becomes "Å", "electrons/angstrom^2" becomes "e⁻/Å²"."""
    for word, symbol in _UNITS:
        unit = re.sub(rf"\b{word}\b", symbol, unit)
    unit = re.sub(
        r" per (square|cubic)?\s*", lambda found: "/" + ({"square": "²", "cubic": "³"}.get(found[1], "")), unit
    )
    unit = re.sub(r"/([²³])\s*([^\s/]+)", r"/\2\1", unit)
    return unit.replace("^2", "²").replace("^3", "³").replace("**2", "²").replace("**3", "³")


def number_text(value: object) -> str:
    """Write a number without needless digits: 0.3 stays "0.3", 10000.0 becomes "10000", None becomes empty."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(value)


def one_of(name: str) -> str:
    """A name with its article: "a vacancy1", "an adatom"."""
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def soft(text: str) -> str:
    """A text for the eye whose long words may be broken, so that they do not make a dock wider."""
    # nothing is seen of the mark, but a line may end there
    return re.sub(r"\S{20,}", lambda word: re.sub(r"(_|[^\W_]{12})(?=.)", "\\1\u200b", word[0]), text)


def is_dark(widget: QWidget) -> bool:
    """Whether the widget writes light text, as it does on a dark theme."""
    return widget.palette().color(QPalette.ColorRole.WindowText).lightness() > 128


def red_of(widget: QWidget) -> str:
    """A red that can be read on the widget's theme."""
    return "#ff7b72" if is_dark(widget) else "#b3261e"


def soft_of(widget: QWidget) -> str:
    """A text colour on the widget's theme that stands back a little."""
    return "#c8ccd2" if is_dark(widget) else "#3c4043"


def dim_of(widget: QWidget) -> str:
    """A quiet text colour on the widget's theme."""
    return "#a0a4ab" if is_dark(widget) else "#5f6368"
