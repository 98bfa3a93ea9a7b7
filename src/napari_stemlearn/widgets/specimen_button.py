"""The specimen that the Structure dock of a viewer has set up, and the button that takes it over."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtWidgets import QWidget

from napari_stemlearn.errors import SettingsError
from napari_stemlearn.structures.settings import StructureSettings
from napari_stemlearn.widgets.choosers import ReasonedButton
from napari_stemlearn.widgets.dock import dock_news, docks_of
from napari_stemlearn.widgets.layers import about, our_layers

if TYPE_CHECKING:
    from napari.components import ViewerModel


def structure_of(viewer: ViewerModel) -> StructureSettings | None:
    """Settings of the Structure dock that is open for a viewer, else of the specimen in its layers, else None."""
    from napari_stemlearn.widgets.structure_dock import StructureDock

    for dock in docks_of(viewer, StructureDock):
        with contextlib.suppress(SettingsError):
            return dock.settings()
    for layer in our_layers(viewer, "truth"):
        record = about(layer).get("specimen", {}).get("settings")
        if record:
            with contextlib.suppress(SettingsError):
                return StructureSettings.checked(record)
    return None


def why_no_structure(viewer: ViewerModel) -> str | None:
    """Why there is no specimen to take over, or None."""
    from napari_stemlearn.widgets.structure_dock import StructureDock

    if structure_of(viewer) is not None:
        return None
    if docks_of(viewer, StructureDock):
        return "A setting of the Structure dock is not allowed."
    return "There is no specimen yet: open the Structure dock."


class SpecimenButton(ReasonedButton):
    """Takes over the specimen of the Structure dock; off, with the reason, while there is none.

    Parameters
    ----------
    viewer
        Whose specimen.
    text
        Words on the button.
    """

    def __init__(self, viewer: ViewerModel, text: str, parent: QWidget | None = None):
        super().__init__(text, parent=parent)
        self._viewer = viewer
        dock_news().changed.connect(self.refresh)
        for event in (viewer.layers.events.inserted, viewer.layers.events.removed):
            event.connect(self.refresh)
        self.refresh()

    def refresh(self, _event: Any = None) -> None:
        """See whether there is a specimen."""
        if isalive(self):
            self.allow(why_no_structure(self._viewer))
