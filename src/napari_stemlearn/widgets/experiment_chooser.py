"""Choose the experimental images of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_stemlearn.widgets.experiment_look import ExperimentLook, look_at_files, look_at_layer
from napari_stemlearn.widgets.images_chooser import UNCALIBRATED, ImagesChooser
from napari_stemlearn.widgets.layers import image_layers, kind_of, why_no_image

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_stemlearn.micrograph import Micrograph

OURS = ("preview", "simulated", "generated", "map")
"""Kinds of layers that are no experiment."""

NOTHING = "Open an experimental image or stack first, or choose files."


def experiment_layers(viewer: ViewerModel) -> list[Any]:
    """Image layers that can be an experiment."""
    return [layer for layer in image_layers(viewer) if kind_of(layer) not in OURS]


class ExperimentChooser(ImagesChooser):
    """The experimental images, which simulations take on the look of."""

    word = "Experiment"
    tip = "Images of one microscope and one day, without labels"
    title = "Experimental images"
    nothing = NOTHING

    def offered(self, viewer: ViewerModel) -> list[Any]:
        """Layers that can be an experiment."""
        return experiment_layers(viewer)

    def why_nothing(self) -> str:
        """What to do where there is nothing to choose."""
        return why_no_image(self.viewer, NOTHING)

    def look_at_files(self) -> None:
        """Look at the chosen files in a thread."""
        self._background.start(look_at_files, self.files, self.pixel_size)

    def look_at_layer(self, layer: Any, micrograph: Micrograph) -> None:
        """Look at the chosen layer in a thread."""
        self._background.start(look_at_layer, micrograph, getattr(layer.source, "path", None))

    def take(self, look: ExperimentLook) -> None:
        """Take the images, or ask for their pixel size."""
        if look.pixel_size is None:
            self.facts.say(look.words())
            self._problem = UNCALIBRATED
            self.size_row.ask(look.name, lambda value: self.choose_files(self.files, value))
        else:
            self.look, self._problem = look, None
            self.facts.say(f"{look.words()} Simulations get the same pixel size.")
