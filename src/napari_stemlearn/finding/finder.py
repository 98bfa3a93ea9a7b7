"""The finder of a search: a network or the classical one, checked against a micrograph and the settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stemlearn.errors import MicrographError, ModelError, SettingsError
from napari_stemlearn.finding import classical
from napari_stemlearn.finding.classical_names import CLASSICAL, CLASSICAL_CLASS
from napari_stemlearn.finding.frame_reader import FrameReader
from napari_stemlearn.finding.rivals import with_rivals
from napari_stemlearn.finding.score_maps import ScoreMaps
from napari_stemlearn.finding.settings import FindSettings
from napari_stemlearn.micrograph import Micrograph, check_micrograph

if TYPE_CHECKING:
    from napari_stemlearn.models.card import ModelCard
    from napari_stemlearn.models.store import Model

LARGEST_FACTOR = 4.0
"""A pixel size farther than this factor outside the range of the card is refused."""

SMALLEST = 2
"""Least side in pixels of what a network sees; one pixel cannot be mirrored."""


class Finder:
    """A finder with the micrograph and the settings that it was checked against.

    Parameters
    ----------
    name
        Of the model, or ``log``.
    classes
        Of the maps, in order.
    micrograph
        What is searched; it has a pixel size.
    settings
        Of the search.
    prepare
        Gives the score maps of a frame.
    card
        Of the model, or None for the classical finder.
    notes
        On the whole micrograph.

    Attributes
    ----------
    wanted
        Classes to report.
    collected
        Classes whose spots are looked for: the wanted ones, and those that can take a place from them.
    thresholds
        By class.
    exclusive
        Groups of classes of which a place holds only one.
    pixel_size
        Of the micrograph, in angstrom.

    Raises
    ------
    ModelError
        If the settings name classes that it does not know.
    """

    def __init__(
        self,
        name: str,
        classes: tuple[str, ...],
        micrograph: Micrograph,
        settings: FindSettings,
        prepare: Callable[[FrameReader], ScoreMaps],
        *,
        card: ModelCard | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        for given in (*settings.classes, *settings.thresholds):
            if given not in classes:
                raise ModelError(f"The model '{name}' knows no class '{given}'; it knows {', '.join(classes)}.")
        self.name, self.classes, self.prepare, self.card, self.notes = name, classes, prepare, card, notes
        self.micrograph, self.settings, self.pixel_size = micrograph, settings, micrograph.require_pixel_size()
        self.wanted = tuple(entry for entry in classes if not settings.classes or entry in settings.classes)
        self.exclusive = card.exclusive if card is not None else ()
        self.collected = with_rivals(self.wanted, self.classes, self.exclusive)
        own = {entry: card.threshold(entry) if card is not None else 0.5 for entry in classes}
        if settings.threshold is not None:
            own = dict.fromkeys(classes, settings.threshold)
        self.thresholds = {**own, **settings.thresholds}

    @property
    def border(self) -> float:
        """Sites within this many pixels of the edge are left out."""
        if self.settings.border is not None:
            return float(self.settings.border)
        return self.card.target_radius / self.pixel_size if self.card is not None else 0.0

    def min_distance(self, maps: ScoreMaps) -> float:
        """Two sites of one class are at least this far apart, in angstrom."""
        if self.settings.min_distance is not None:
            return self.settings.min_distance
        # two blobs closer than two standard deviations are one in the classical finder's maps
        return self.card.min_distance if self.card is not None else 2 * maps.spot_radius * maps.pixel_size

    def record(self) -> dict[str, Any]:
        """Provenance of what it finds."""
        return {
            "model": self.name,
            "weights_sha256": self.card.weights_sha256 if self.card is not None else "",
            "pixel_size": self.pixel_size,
            "thresholds": {name: self.thresholds[name] for name in self.wanted},
            "settings": self.settings.record(),
            "border": self.border,
            "shape": list(self.micrograph.shape),
        }


def make_finder(micrograph: Micrograph, model: Model | str | Path, settings: FindSettings) -> Finder:
    """The finder for a micrograph; parameters and errors as of `search.find`."""
    check_micrograph(micrograph)
    if not isinstance(settings, FindSettings):
        raise SettingsError(f"Settings of a search are a FindSettings, not a value of type {type(settings).__name__}.")
    if not isinstance(model, (str, Path)) and not hasattr(model, "card"):
        raise ModelError(f"A model is a name, a folder or a loaded model, not a value of type {type(model).__name__}.")
    pixel_size = micrograph.require_pixel_size()
    if isinstance(model, str) and model == CLASSICAL:
        return Finder(
            CLASSICAL,
            (CLASSICAL_CLASS,),
            micrograph,
            settings,
            lambda reader: classical.classical_maps(reader, pixel_size, settings),
        )
    from napari_stemlearn.finding.inference import NetworkMaps

    if isinstance(model, (str, Path)):
        from napari_stemlearn.models.store import load_model

        loaded = load_model(model)
    else:
        loaded = model
    card = loaded.card
    check_size(card, pixel_size, micrograph)
    return Finder(
        card.name,
        card.classes,
        micrograph,
        settings,
        lambda reader: NetworkMaps(reader, loaded, pixel_size, settings).maps(),
        card=card,
        notes=pixel_size_notes(card, pixel_size, micrograph.name),
    )


def check_size(card: ModelCard, pixel_size: float, micrograph: Micrograph) -> None:
    """Refuse a frame of which too little is left at the pixel size of a network.

    Raises
    ------
    MicrographError
        With the size before and after.
    """
    height, width = micrograph.shape
    rows, columns = (int(side * (pixel_size / card.pixel_size)) for side in (height, width))
    if min(rows, columns) < SMALLEST:
        raise MicrographError(
            f"'{micrograph.name}' is too small for the model '{card.name}': its {height} by {width} pixels are {rows} "
            f"by {columns} at {card.pixel_size:g} angstrom, where at least {SMALLEST} by {SMALLEST} are needed."
        )


def pixel_size_notes(card: ModelCard, pixel_size: float, name: str) -> tuple[str, ...]:
    """What the user should know about a pixel size, as full sentences.

    Raises
    ------
    MicrographError
        If it is more than four times outside of what the network has seen.
    """
    notes = []
    lowest, highest = card.pixel_size_range or (card.pixel_size / 2, card.pixel_size * 2)
    known = "" if card.pixel_size_range else " (taken as half to twice its own, since its card states no range)"
    if not lowest / LARGEST_FACTOR <= pixel_size <= highest * LARGEST_FACTOR:
        raise MicrographError(
            f"The pixel size of '{name}' is {pixel_size:g} angstrom; the model '{card.name}' was trained for "
            f"{lowest:g} to {highest:g} angstrom{known}: check the pixel size or choose another model."
        )
    if abs(pixel_size / card.pixel_size - 1) > 1e-9:
        notes.append(f"The image was resampled from {pixel_size:.4g} to {card.pixel_size:.4g} angstrom per pixel.")
    # a rounded pixel size at the end of the range is inside
    if not lowest * 0.999 <= pixel_size <= highest * 1.001:
        notes.append(
            f"The pixel size of {pixel_size:.4g} angstrom is outside the {lowest:g} to {highest:g} angstrom that the "
            f"model '{card.name}' was trained for{known}: check what it finds."
        )
    return tuple(notes)
