"""A search of the Find dock as lines of Python."""

from __future__ import annotations

from collections.abc import Mapping

from napari_stemlearn.finding.settings import FindSettings
from napari_stemlearn.widgets.copy_python import changes
from napari_stemlearn.widgets.search_child import SearchRequest


def search_lines(request: SearchRequest, thresholds: Mapping[str, float], source: str, model: str) -> str:
    """The lines that find the same with the public API.

    Parameters
    ----------
    request
        The search.
    thresholds
        By class, as they stand now.
    source
        File of the image.
    model
        Name or folder of the model, or ``log``.
    """
    _preset, different = changes(FindSettings.checked(request.settings))
    arguments = {**different, "thresholds": {name: round(value, 4) for name, value in thresholds.items()}}
    frames = f", frames={list(request.frames)}" if request.frames is not None else ""
    return "\n".join(
        [
            "from napari_stemlearn.finding import FindSettings, find",
            "from napari_stemlearn.formats import read_micrograph, write_sites",
            "",
            f"micrograph = read_micrograph({source!r}, pixel_size={request.pixel_size:.6g})",
            "settings = FindSettings(",
            *(f"    {name}={value!r}," for name, value in arguments.items()),
            ")",
            f"found = find(micrograph, {model!r}, settings{frames})",
            "print(*found.notes, sep='\\n')",
            'write_sites("sites.csv", found.sites, micrograph=micrograph, provenance=found.record)',
            "",
        ]
    )
