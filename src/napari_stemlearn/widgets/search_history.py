"""The searches of a viewer: which layer a search fills, what stays of earlier ones, what is left when a dock closes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_stemlearn.finding.candidates import Candidates
from napari_stemlearn.widgets.layers import about, our_layers
from napari_stemlearn.widgets.search_child import SearchRequest
from napari_stemlearn.widgets.search_results import SearchResults, results_of
from napari_stemlearn.widgets.written_sites import is_edited, is_own

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel
    from napari.layers import Points


class SearchHistory:
    """Results of the searches in a viewer, and the one that a dock runs.

    Parameters
    ----------
    viewer
        Whose layers.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self.running: SearchResults | None = None
        self._beside: Points | None = None

    @property
    def results(self) -> list[SearchResults]:
        """What the layers of the viewer show, whichever dock searched, the latest last."""
        there = (results_of(layer) for layer in our_layers(self.viewer, "predicted"))
        return sorted((one for one in there if one is not None), key=lambda one: one.number)

    def latest(self) -> SearchResults | None:
        """The latest results; None where there are none."""
        return next(reversed(self.results), None)

    def begin(self, image: Any, request: SearchRequest, model: str, fresh: Candidates) -> SearchResults:
        """Get ready for a search: a layer of the same image and model is filled anew, its thresholds stay.

        A layer that somebody edited is left alone, and so is one with sites that the search would neither find again
        nor take over: those of other frames, found with other options.
        """
        started = SearchResults(self.viewer, image, request, model, fresh)
        frames = set(request.frames if request.frames is not None else range(_n_frames(request)))
        layers = [
            layer
            for layer in our_layers(self.viewer, "predicted")
            if about(layer).get("source_id") == str(image.unique_id) and about(layer).get("model") == model
            if is_own(layer)
        ]
        last = layers[-1] if layers else None
        earlier = results_of(last)
        if earlier is not None and earlier.candidates.classes == fresh.classes:
            fresh.hidden = set(earlier.candidates.hidden)
            fresh.thresholds = {
                name: max(value, fresh.lowest[name]) for name, value in earlier.candidates.thresholds.items()
            }
        untouched = [(layer, self._found_alike(layer, started)) for layer in reversed(layers) if not is_edited(layer)]
        # those with the same options first
        for layer, alike in sorted(untouched, key=lambda entry: not entry[1]):
            kept = {frame: table for frame, table in alike.items() if frame not in frames}
            if set(about(layer).get("frames", ())) <= frames | set(kept):
                started.layer = layer
                for frame, table in kept.items():
                    fresh.add(frame, table)
                break
        self._beside = last if started.layer is None else None
        if self._beside is not None and not is_edited(self._beside):
            started.elsewhere = f"What was found before in other frames stays in the layer '{last.name}'."
        started.lock()
        self.running = started
        return started

    def _found_alike(self, layer: Points, started: SearchResults) -> dict[int, pd.DataFrame]:
        """Candidates, by frame, that a layer shows of a search with the same options in the same image."""
        found = results_of(layer)
        if found is None or found.outdated or found.candidates.classes != started.candidates.classes:
            return {}
        for name in ("settings", "pixel_size", "lowest"):
            if getattr(found.request, name) != getattr(started.request, name):
                return {}
        return dict(zip(found.candidates.frames, found.candidates.tables, strict=True))

    def draw(self, *, ended: bool) -> None:
        """Write what the running search found into its layer; results that the layer showed before are gone."""
        search = self.running
        assert search is not None
        search.fill(ended=ended)

    def make_layer(self) -> None:
        """Add a layer for the running search; one of the same frames that stays beside it is hidden."""
        search, beside = self.running, self._beside
        assert search is not None
        search.make_layer()
        frames = search.request.frames
        if beside is not None and (frames is None or set(frames) & set(about(beside).get("frames", ()))):
            # two layers of the same sites would be hard to tell apart
            beside.visible = False

    def end(self) -> None:
        """The search is over; its layer can be edited."""
        if self.running is not None:
            self.running.lock(False)
        self.running = None

    def forget(self, layer: Any) -> None:
        """A layer was removed."""
        if self.running is not None and self.running.layer == layer:
            self.running.layer = None

    def leave(self) -> None:
        """The dock is gone: a search ends with it, and what it found is there to be worked on."""
        search = self.running
        if search is None or search.image not in self.viewer.layers:
            return
        frames = len(search.candidates.frames)
        if frames and not search.is_shown:
            self.make_layer()
        if frames:
            self.draw(ended=True)
            search.filter()
            search.layer.visible = True
        self.end()
        from napari.utils.notifications import show_info

        kept = f"{frames} finished frame{'' if frames == 1 else 's'} kept"
        show_info(f"The search of '{search.image.name}' ended when its dock was closed; {kept}.")


def _n_frames(request: SearchRequest) -> int:
    return request.shape[0] if len(request.shape) == 3 else 1
