"""What can be said before a search: settings without effect, a border that leaves nothing, images
that are no STEM, stacks whose frames may be another axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_stemlearn.finding.settings import FindSettings
from napari_stemlearn.finding.unused_settings import unused_settings_note
from napari_stemlearn.micrograph import Micrograph

if TYPE_CHECKING:
    from napari_stemlearn.models.card import ModelCard

THIN = 4
"""A stack whose frames are so many times narrower than high, and than frames are many, may have its frames last."""


def cautions(
    micrograph: Micrograph, settings: FindSettings, name: str, card: ModelCard | None, border: float
) -> tuple[str, ...]:
    """Notes on a whole micrograph, one sentence each.

    Parameters
    ----------
    micrograph
        What is searched.
    settings
        Of the search.
    name
        Of the model, or ``log``.
    card
        Of the model, or None for the classical finder.
    border
        Sites within this many pixels of the edge are left out.
    """
    notes = list(unused_settings_note(settings, name, is_network=card is not None))
    height, width = micrograph.shape
    if THIN * width < min(micrograph.n_frames, height):
        notes.append(f"Read as {micrograph.n_frames} frames of {height} by {width} pixels; frames come first.")
    if 2 * border >= min(micrograph.shape):
        notes.append(f"A border of {border:g} px leaves nothing of {height} by {width} pixels.")
    if (micrograph.provenance.get("acquisition") or {}).get("mode") == "TEM":
        advice = "bright spots need not be columns" if card is None else f"'{name}' was trained on STEM images only"
        notes.append(f"The file says that this is a TEM image, not STEM: {advice}.")
    return tuple(notes)
