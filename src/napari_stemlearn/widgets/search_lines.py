"""A search of the Find dock as lines of Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from napari_stemlearn.finding.settings import FindSettings
from napari_stemlearn.labelling.label_store import slug
from napari_stemlearn.widgets.copy_python import changes
from napari_stemlearn.widgets.search_child import SearchRequest


def search_lines(request: SearchRequest, thresholds: Mapping[str, float], files: Sequence[str], model: str) -> str:
    """The lines that find the same with the public API.

    Parameters
    ----------
    request
        The search.
    thresholds
        By class, as they stand now.
    files
        File of the image, or several of which it is the stack; empty where it is in no file.
    model
        Name or folder of the model, or ``log``.
    """
    _preset, different = changes(FindSettings.checked(request.settings))
    arguments = {**different, "thresholds": {name: round(value, 4) for name, value in thresholds.items()}}
    frames = f", frames={list(request.frames)}" if request.frames is not None else ""
    reading = "read_stack" if len(files) > 1 else "read_micrograph"
    images = list(files) if len(files) > 1 else files[0] if files else f"{slug(request.name)}.tif"
    first = [] if files else [f"# no file holds exactly this image: save its layer as {images} first"]
    return "\n".join(
        [
            "from napari_stemlearn.finding import FindSettings, find",
            f"from napari_stemlearn.formats import {reading}, write_sites",
            "",
            *first,
            f"micrograph = {reading}({images!r}, pixel_size={request.pixel_size:.6g})",
            "settings = FindSettings(",
            *(f"    {name}={value!r}," for name, value in arguments.items()),
            ")",
            f"found = find(micrograph, {model!r}, settings{frames})",
            "print(*found.notes, sep='\\n')",
            'write_sites("sites.csv", found.sites, micrograph=micrograph, provenance=found.record)',
            "",
        ]
    )
