"""What a person does, for the tests of the docks."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from sites_and_images import add_stack, lattice_stack

from napari_stemlearn.sites import make_sites
from napari_stemlearn.widgets.layers import add_sites


def type_into(line, text):
    """Type a text in place of what stands in a line."""
    line.setText(text)
    line.textEdited.emit(text)


def start_labelling(dock, data=None):
    """Start labels on a new stack, by default one of three frames."""
    add_stack(dock.viewer, lattice_stack()[0] if data is None else data)
    dock.start_button.button.click()
    dock.viewer.dims.set_point(0, 0)
    return dock


def predictions(viewer, image, frames=(0, 0, 1), scores=(0.9, 0.55, 0.8)):
    """Three predictions on spots of the lattice."""
    table = make_sites(
        [8, 24, 40], [8, 24, 40], "vacancy1", pixel_size=0.2, frame=list(frames), score=list(scores), origin="predicted"
    )
    return add_sites(viewer, table, kind="predicted", source_layer=image, record={"thresholds": {"vacancy1": 0.5}})


def press(dock, key):
    """Press a key as the canvas hands it to the selected layer."""
    from app_model.types import KeyBinding

    layer = dock.session.layer
    found = {KeyBinding.validate(binding) if not isinstance(binding, KeyBinding) else binding: function
             for binding, function in layer.keymap.items()}  # fmt: skip
    found[KeyBinding.from_str(key)](layer)


def click(dock, y, x, button=1, drag=0):
    """Press and release the mouse on the layer, as napari drives its callbacks."""
    session = dock.session
    world = session.image.data_to_world([session.frame, y, x])
    event = SimpleNamespace(type="mouse_press", button=button, modifiers=(), pos=np.array([50, 50]), position=world)
    for callback in session.layer.mouse_drag_callbacks:
        steps = callback(session.layer, event)
        if steps is None:
            # a tool of napari that only takes the press
            continue
        next(steps)
        if drag:
            event.type, event.pos = "mouse_move", np.array([50 + drag, 50])
            next(steps, None)
        event.type = "mouse_release"
        next(steps, None)
