"""Choose a simulated stack with its sites: a layer of the viewer, files, a folder, or a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QTimer

from napari_stemlearn.widgets.images_chooser import ImagesChooser
from napari_stemlearn.widgets.layers import about, image_layers, kind_of
from napari_stemlearn.widgets.simulated_look import (
    StackLook,
    Wanted,
    look_at_stack_files,
    look_at_stack_layer,
    site_layers,
    sites_of,
)

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel

    from napari_stemlearn.micrograph import Micrograph


def simulated_layers(viewer: ViewerModel) -> list[Any]:
    """Image layers that can be a simulated stack: what the Simulate dock made, and synthetic images with sites."""
    layers = [layer for layer in image_layers(viewer) if kind_of(layer) != "preview"]
    return [
        layer
        for layer in layers
        if kind_of(layer) == "simulated" or (about(layer).get("synthetic") and site_layers(viewer, layer))
    ]


class StackChooser(ImagesChooser):
    """The simulated stack that takes the place of a crystal and a microscope."""

    word = "Stack"
    tip = "Simulated images with the layers of their columns and defects, as the Simulate dock makes them"
    title = "Simulated images with their sites"
    empty = "simulate first"
    nothing = "Simulate a stack in the Simulate dock first, or choose files with their sites."

    wanted = Wanted(None, 32, 1)
    """What the stack must fit."""
    used = False
    """Nothing is looked at before a stack is wanted."""

    def __init__(self, viewer: ViewerModel):
        super().__init__(viewer)
        # layers of sites come after their image, and several at once
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(0)
        self._later.timeout.connect(self._sites_changed)
        for event in (viewer.layers.events.inserted, viewer.layers.events.removed):
            event.connect(self._on_data)

    def use(self, used: bool) -> None:
        """Show the chooser and look at the stack, or let both be."""
        self.setVisible(used)
        if used != self.used:
            self.used = used
            self.refresh()

    def refresh(self) -> None:
        """Look again at what is chosen."""
        if self.used:
            super().refresh()

    def fit_to(self, wanted: Wanted) -> None:
        """Look again where the stack must fit something else."""
        if wanted != self.wanted:
            self.wanted = wanted
            self.refresh()

    def sites(self) -> pd.DataFrame:
        """Site table of the chosen layer, as it is now.

        Raises
        ------
        SitesError
            If it has no sites.
        """
        return sites_of(self.viewer, self.layers.layer())

    def offered(self, viewer: ViewerModel) -> list[Any]:
        """Layers that can be a simulated stack."""
        return simulated_layers(viewer)

    def look_at_files(self) -> None:
        """Look at the chosen files in a thread."""
        self._background.start(look_at_stack_files, self.files, self.wanted)

    def look_at_layer(self, layer: Any, micrograph: Micrograph) -> None:
        """Look at the chosen layer and its sites in a thread.

        Raises
        ------
        SitesError
            If it has no sites.
        """
        self._background.start(look_at_stack_layer, micrograph, self.sites(), self.wanted)

    def take(self, look: StackLook) -> None:
        """Take the stack, and tell what it holds."""
        self.look, self._problem = look, None
        self.facts.say(*look.sentences)

    def _sites_changed(self) -> None:
        if isalive(self) and not self.files:
            self.refresh()

    def _on_data(self, _event: Any = None) -> None:
        if isalive(self) and not self.files:
            self._later.start()
