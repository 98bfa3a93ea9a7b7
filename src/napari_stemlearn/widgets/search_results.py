"""The results of one search: the searched image, the candidates, and the layer that shows them. Knows no window."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.finding.candidates import Candidates
from napari_stemlearn.widgets.layers import (
    about,
    add_sites,
    pixel_size_of,
    show_only,
    shown_counts,
    sites_from_layer,
    update_sites,
)
from napari_stemlearn.widgets.probability_maps import ProbabilityMaps
from napari_stemlearn.widgets.search_child import SearchRequest
from napari_stemlearn.widgets.written_sites import BOOKKEEPING, is_edited, mark_written, note

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel
    from napari.layers import Points

    from napari_stemlearn.finding.found import FrameFound

EDITED = "edited_by_hand"
"""Says in exported tables that somebody moved, added, deleted or renamed sites."""

_RESULTS = "_stemlearn_results"
"""Attribute of a layer: a dock that is opened later finds there what the layer shows. Metadata would be copied."""

_numbers = itertools.count()


def results_of(layer: Any) -> SearchResults | None:
    """What a search found and a layer shows; None where no search wrote it since napari was started."""
    return getattr(_unwrapped(layer), _RESULTS, None)


def _unwrapped(layer: Any) -> Any:
    """The layer itself: what napari hands to plugins may be a proxy that lets nobody see such an attribute."""
    return getattr(layer, "__wrapped__", layer)


class SearchResults:
    """What one search finds.

    Parameters
    ----------
    viewer
        Gets the layer.
    image
        Layer of the searched image.
    request
        The search.
    model
        Name of the model.
    candidates
        Takes what is found.
    """

    def __init__(
        self, viewer: ViewerModel, image: Any, request: SearchRequest, model: str, candidates: Candidates
    ) -> None:
        self.viewer, self.image, self.request, self.model, self.candidates = viewer, image, request, model, candidates
        self.layer: Points | None = None
        self.number = next(_numbers)
        """Later searches have higher ones."""
        self.notes: list[str] = []
        self.border = 0.0
        """Sites within this many pixels of the edge were left out."""
        self.maps = ProbabilityMaps(viewer, image, request, model)
        self.elsewhere = ""
        """Says where sites of an earlier search are that these results do not take over."""
        self.edited = False
        self.outdated = False
        """Whether the image got other values since the search began."""
        self.locked = False
        """Whether a search writes the layer anew, so that nobody may edit it."""
        image.events.data.connect(self._image_changed)

    @property
    def is_shown(self) -> bool:
        """Whether there is a layer in the viewer."""
        return self.layer is not None and self.layer in self.viewer.layers

    # -- during the search

    def add(self, part: FrameFound) -> None:
        """Take what was found in a frame."""
        self.candidates.add(part.frame, part.sites)
        self.border = part.border
        self.notes += [sentence for sentence in part.notes if sentence not in self.notes]
        if part.maps is not None:
            self.maps.show(part)

    def make_layer(self) -> None:
        """Add the layer, empty, hidden and locked; what is selected in the viewer stays selected."""
        from napari_stemlearn.sites import empty_sites

        active = self.viewer.layers.selection.active
        self.layer = add_sites(
            self.viewer,
            empty_sites(),
            kind="predicted",
            source_layer=self.image,
            name=f"{self.image.name} {self.model}",
            visible=False,
        )
        self.lock()
        self.viewer.layers.selection.active = active

    def lock(self, locked: bool = True) -> None:
        """Let nobody edit the layer while a search writes it anew, or let them again."""
        self.locked = locked
        if self.layer is not None:
            self.layer.editable = not locked

    def fill(self, *, ended: bool) -> None:
        """Write the candidates into the layer."""
        assert self.layer is not None
        update_sites(self.layer, self.candidates.table())
        # new points make a layer editable
        self.lock(not ended)
        note(
            self.layer,
            model=self.model,
            settings=self.request.settings,
            thresholds=dict(self.candidates.thresholds),
            lowest=dict(self.candidates.lowest),
            classes=self.candidates.classes,
            frames=sorted(self.candidates.frames),
            border=self.border,
            notes=list(self.notes),
        )
        mark_written(self.layer)
        # results that the layer showed before are gone
        setattr(_unwrapped(self.layer), _RESULTS, self)

    # -- afterwards

    def _image_changed(self, _event: Any = None) -> None:
        self.outdated = True

    def look(self) -> None:
        """See whether somebody edited the layer, and whether the image has another pixel size by now."""
        if self.locked:
            return
        self.edited = self.is_shown and is_edited(self.layer)
        try:
            size = pixel_size_of(self.image)
        except StemlearnError:
            # pixels that are no squares say nothing of what was found before
            return
        if size is not None and size != self.candidates.pixel_size and not self.outdated:
            self.candidates.calibrate(size)

    def filter(self) -> Mapping[str, int]:
        """Show the sites at or above the thresholds; gives the number of each class."""
        if self.edited:
            return shown_counts(self.layer)
        table = self.candidates.table()
        # a search may have begun to fill it anew, and filters then
        if self.is_shown and len(table) == len(self.layer.data):
            if len(table):
                show_only(self.layer, self.candidates.mask(table))
            note(self.layer, thresholds=dict(self.candidates.thresholds))
        return self.candidates.counts(table)

    @property
    def resized(self) -> str:
        """Sentence where the search had another pixel size than the image has now."""
        before = self.request.pixel_size
        if self.candidates.pixel_size == before:
            return ""
        return f"These sites were found with a pixel size of {before:.4g}\u00a0Å: search again with the new one."

    def sites(self) -> pd.DataFrame:
        """Site table of what is shown.

        Raises
        ------
        StemlearnError
            If the layer was edited so that it gives no table.
        """
        if self.edited:
            # a layer of results is on the pixels of its image, wherever somebody moved either
            return sites_from_layer(self.layer, pixel_size=self.candidates.pixel_size)
        table = self.candidates.table()
        return table[self.candidates.mask(table)].reset_index(drop=True)

    def record(self) -> dict[str, Any]:
        """What a table of these sites says of its origin."""
        known = {name: value for name, value in about(self.layer).items() if name not in BOOKKEEPING}
        return {**known, "source": self.image.name, EDITED: self.edited}
