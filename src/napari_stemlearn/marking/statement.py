"""The sentence that says that an image is synthetic and by what, and the entries that keep it with the image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_stemlearn import __version__

_WORDS = "SYNTHETIC IMAGE, NOT A MEASUREMENT"

SYNTHETIC_STATEMENT = f"{_WORDS}: computed with napari-stemlearn."
"""The sentence for images of which nothing more is known; plain ASCII, as TIFF tags must be."""


def synthetic_statement(generator: str = "") -> str:
    """The sentence that says that an image is synthetic and by what.

    Parameters
    ----------
    generator
        Name of the generator that gave a simulation the look of measured images; empty for plain simulations.
    """
    if not generator:
        return f"{_WORDS}: simulated with napari-stemlearn {__version__}."
    # the sentence goes into TIFF tags, which are plain ASCII
    name = generator.encode("ascii", "replace").decode("ascii")
    return (
        f"{_WORDS}: simulated with napari-stemlearn {__version__} "
        f"and given the look of measured images by the generator '{name}'."
    )


def synthetic_provenance(
    generator: str = "", *, watermark: bool = False, visible_mark: bool = False, **details: Any
) -> dict[str, Any]:
    """Entries for the provenance of a synthetic image.

    Parameters
    ----------
    generator
        As for `synthetic_statement`.
    watermark
        Whether `embed_watermark` marked the pixels.
    visible_mark
        Whether `draw_visible_mark` wrote on the image.
    **details
        Further entries: seeds, settings, drawn parameters.

    Returns
    -------
    dict
        ``synthetic: True``, ``statement``, ``made_by``, ``generator`` where there is one, ``marks``, and the details.
    """
    entries: dict[str, Any] = {
        "synthetic": True,
        "statement": synthetic_statement(generator),
        "made_by": f"napari-stemlearn {__version__}",
        "marks": {"watermark": watermark, "visible_mark": visible_mark},
    }
    if generator:
        entries["generator"] = generator
    return {**entries, **details}


def says_synthetic(text: str) -> bool:
    """Whether a text holds the words that mark a synthetic image, however its blanks and letters were changed."""
    return _WORDS in " ".join(text.upper().split())


def is_synthetic(provenance: Mapping[str, Any]) -> bool | None:
    """What entries say: synthetic, not synthetic, or nothing (None)."""
    flag = provenance.get("synthetic")
    if isinstance(flag, str):
        flag = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(flag.strip().lower())
    if flag is None and says_synthetic(str(provenance.get("statement") or "")):
        return True
    return None if flag is None else bool(flag)
