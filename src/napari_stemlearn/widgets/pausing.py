"""Why a click does not label just now, and how to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.components import ViewerModel


def why_no_place(viewer: ViewerModel, layer: Any) -> str | None:
    """Why a place on the screen is no place in the image that one can see, or None."""
    if not layer.visible:
        return "the layer of the labels is hidden."
    if viewer.dims.ndisplay != 2:
        return "the view is 3D."
    if shows_every_frame(viewer):
        return "the axes are rolled, so the view shows no frame."
    return None


def shows_every_frame(viewer: ViewerModel) -> bool:
    """Whether the view is no single frame, but shows the axis of the frames."""
    return sorted(viewer.dims.displayed) != [viewer.dims.ndim - 2, viewer.dims.ndim - 1]


def why_paused(viewer: ViewerModel, layer: Any) -> str | None:
    """Why clicks do not label, or None."""
    if viewer.layers.selection.active != layer:
        return "another layer is selected."
    if layer.mode != "pan_zoom":
        return f"napari's own tool “{str(layer.mode).replace('_', ' ')}” is on."
    return why_no_place(viewer, layer)


def resume(viewer: ViewerModel, layer: Any) -> None:
    """Show frames of the image and the labels, and let clicks on them label."""
    layer.visible = True
    layer.mode = "pan_zoom"
    viewer.dims.ndisplay = 2
    if why_no_place(viewer, layer):
        viewer.dims.order = tuple(range(viewer.dims.ndim))
    viewer.layers.selection.active = layer
