"""Tables of settings in the pages: a line ``{{ settings package.module:Class }}`` becomes one, when pages are built."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

from napari_stemlearn.settings import Settings, bounds_of, range_text, unit_of

_LINE = re.compile(r"^\{\{ settings ([\w.]+):(\w+) \}\}$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the lines of a page; called by mkdocs."""
    return _LINE.sub(lambda found: settings_table(getattr(import_module(found[1]), found[2])), markdown)


def settings_table(model: type[Settings]) -> str:
    """Markdown table of a settings model: name, default, allowed range with its unit, meaning."""
    lines = ["| setting | default | allowed | meaning |", "|---|---|---|---|"]
    defaults = model()
    for name, field in model.model_fields.items():
        minimum, maximum = bounds_of(field)
        unit = unit_of(field)
        bounded = minimum is not None or maximum is not None
        allowed = range_text(minimum, maximum, unit) if bounded else unit
        value = getattr(defaults, name)
        shown = "section" if isinstance(value, Settings) else _shown(value)
        lines.append(f"| `{name}` | {shown} | {_cell(allowed)} | {_cell(field.description or '')} |")
    presets = ", ".join(f"`{name}`" for name in model.presets)
    return "\n".join([f"Presets: {presets}.", "", *lines])


def _shown(value: Any) -> str:
    if value is None or value in ("", (), {}):
        return "empty"
    if isinstance(value, (list, tuple)) and any(isinstance(entry, Settings) for entry in value):
        return f"{len(value)} of them"
    return f"`{_cell(str(value))}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
