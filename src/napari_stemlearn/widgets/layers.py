"""Layers in, layers out: pixel size, units and axis labels are kept, and our own layers are known by their metadata.

Compare layers with ``==``: a dock gets its viewer in a wrapper that wraps layers too, so ``is`` finds no two alike.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.errors import MicrographError, SitesError
from napari_stemlearn.marking.statement import SYNTHETIC_STATEMENT, is_synthetic
from napari_stemlearn.micrograph import Micrograph, check_pixel_size
from napari_stemlearn.widgets.class_colours import KNOWN, colours_of

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel
    from napari.layers import Image, Layer, Points

Place: TypeAlias = tuple[tuple[Any, ...], NDArray[np.float64], NDArray[np.float64]]

KEY = "napari_stemlearn"
SCHEMA_VERSION = 1
SITE_KINDS = ("truth", "predicted", "hand", "tp", "fp", "fn", "matches", "marker")
SYMBOLS = {"truth": "square", "predicted": "disc", "hand": "diamond", "tp": "disc", "fp": "x", "fn": "square"}
UNREVIEWED_ALPHA = 0.55
"""Opacity of hand labels that are promoted predictions nobody looked at."""
SITE_DIAMETER = 1.6
"""Diameter of a drawn site in angstrom."""
SITE_DIAMETER_PIXELS = 8.0
"""Diameter of a drawn site in pixels where the pixel size is not known."""


# --- what we know of a layer ------------------------------------------------------------------------------------------


def about(layer: Layer) -> dict[str, Any]:
    """What we wrote down about a layer when we made it; empty for layers of others."""
    record = layer.metadata.get(KEY)
    return record if isinstance(record, dict) else {}


def kind_of(layer: Layer) -> str | None:
    """Kind of one of our layers, or None."""
    kind = about(layer).get("kind")
    return kind if isinstance(kind, str) else None


def our_layers(viewer: ViewerModel, kind: str | tuple[str, ...] | None = None) -> list[Layer]:
    """Our layers of one kind, of several kinds, or all, in the order of the layer list; names play no part."""
    kinds = (kind,) if isinstance(kind, str) else kind
    return [
        layer for layer in viewer.layers if kind_of(layer) is not None and (kinds is None or kind_of(layer) in kinds)
    ]


def image_layers(viewer: ViewerModel) -> list[Image]:
    """Image layers that can be a micrograph: grey, with at least two axes; maps of ours are left out."""
    from napari.layers import Image

    return [
        layer
        for layer in viewer.layers
        if isinstance(layer, Image) and not layer.rgb and layer.ndim >= 2 and kind_of(layer) != "map"
    ]


def why_no_image(viewer: ViewerModel, otherwise: str = "Open an image or a stack first.") -> str:
    """Why there is no layer to choose: there are only colour pictures, or else what to do."""
    from napari.layers import Image

    colour = next((layer for layer in viewer.layers if isinstance(layer, Image) and layer.rgb), None)
    if colour is None or image_layers(viewer):
        return otherwise
    return f"'{colour.name}' is a colour picture; convert it to grey first, for example with “Split RGB” in its menu."


def source_of(viewer: ViewerModel, layer: Layer) -> Layer | None:
    """The layer that one of ours was made from, while it is still in the viewer.

    Sites that were read from a file know the file of their image, or only its name.
    """
    record = about(layer)
    wanted, name, file = record.get("source_id"), record.get("source"), record.get("source_file")
    if wanted:
        return next((other for other in viewer.layers if str(other.unique_id) == wanted), None)
    images = image_layers(viewer)
    of_file = [other for other in images if file and file_of(other) == file]
    named = [other for other in of_file or images if name and other.name == name]
    if of_file:
        return (named or of_file)[0]
    # an image of the same name in another folder is another one
    return next((other for other in named if not file or file_of(other) is None), None)


def file_of(image: Layer) -> str | None:
    """The file that an image was read from; None where it is from none."""
    path = about(image).get("path") or getattr(getattr(image, "source", None), "path", None)
    return str(Path(path).absolute()) if path else None


def image_of_sites(viewer: ViewerModel, layer: Layer) -> Layer | None:
    """The image that the sites of a layer belong to; the only one there is where they do not know theirs."""
    image = source_of(viewer, layer)
    if image is not None or about(layer).get("source_id"):
        return image
    images = image_layers(viewer)
    return images[0] if len(images) == 1 else None


def other_points(viewer: ViewerModel) -> list[Points]:
    """Points layers that we did not make."""
    from napari.layers import Points

    return [layer for layer in viewer.layers if isinstance(layer, Points) and kind_of(layer) is None]


def _record(kind: str, source_layer: Layer | None, details: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": kind,
        "source": source_layer.name if source_layer is not None else None,
        "source_id": str(source_layer.unique_id) if source_layer is not None else None,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **details,
    }


# --- pixel size and placement -----------------------------------------------------------------------------------------


def angstrom_per_unit(layer: Layer) -> float | None:
    """Length of one unit of a layer's last axis in angstrom, or None where the unit is no length."""
    import pint

    factors = []
    for unit in layer.units[-2:]:
        try:
            factors.append(float((1 * unit).to("angstrom").magnitude))
        except pint.DimensionalityError:
            return None
    return factors[-1] if np.isclose(factors[0], factors[1]) else None


def placement(layer: Layer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix (n, n) and offset (n,) that take data coordinates of a layer to world coordinates."""
    n = layer.ndim
    offset = np.asarray(layer.data_to_world(np.zeros(n)), dtype=float)
    columns = [np.asarray(layer.data_to_world(axis), dtype=float) - offset for axis in np.eye(n)]
    return np.stack(columns, axis=1), offset


def place_of(layer: Layer) -> Place:
    """Units, matrix and offset of a layer: where its data coordinates lie."""
    return tuple(layer.units), *placement(layer)


def same_place(one: Place, other: Place) -> bool:
    """Whether two layers of these places have the same data coordinates everywhere."""
    # units first: they tell layers with other numbers of axes
    return one[0] == other[0] and all(np.array_equal(a, b) for a, b in zip(one[1:], other[1:], strict=True))


def pixel_size_of(layer: Layer) -> float | None:
    """Pixel size in angstrom from a layer's scale and units; None where the units are no lengths.

    Raises
    ------
    MicrographError
        If the pixels are not square, or the two axes have different units of length.
    """
    import pint

    matrix, _ = placement(layer)
    sizes = []
    for axis in (-2, -1):
        try:
            factor = float((1 * layer.units[axis]).to("angstrom").magnitude)
        except pint.DimensionalityError:
            return None
        sizes.append(float(np.linalg.norm(matrix[:, axis])) * factor)
    return check_pixel_size(sizes, layer.name)


def set_pixel_size(layer: Layer, pixel_size: float) -> None:
    """Write a pixel size in angstrom on a layer: scale, units, axis labels and the place of its corner.

    Raises
    ------
    MicrographError
        If the pixel size is not allowed.
    """
    pixel_size = check_pixel_size(pixel_size, layer.name)
    _stretch(layer, pixel_size / np.array(layer.scale[-2:], dtype=float))
    if layer.axis_labels == default_labels(layer.ndim):
        layer.axis_labels = axis_labels(layer.ndim)


def calibrate(viewer: ViewerModel, layer: Layer, pixel_size: float) -> None:
    """Write a pixel size in angstrom on an image; our layers that were made from it stay on its pixels.

    What the viewer shows of the image stays where it is on the screen.

    Raises
    ------
    MicrographError
        If the pixel size is not allowed.
    """
    pixel_size = check_pixel_size(pixel_size, layer.name)
    factor = pixel_size / np.array(layer.scale[-2:], dtype=float)
    followers = [other for other in our_layers(viewer) if other != layer and source_of(viewer, other) == layer]
    wanted = [np.array(other.scale[-2:], dtype=float) * factor for other in followers]
    seen = _seen(viewer, layer)
    set_pixel_size(layer, pixel_size)
    for other, scale in zip(followers, wanted, strict=True):
        _stretch(other, scale / np.array(other.scale[-2:], dtype=float))
    if seen is not None:
        _show_again(viewer, layer, *seen)


def _seen(viewer: ViewerModel, layer: Layer) -> tuple[NDArray[np.float64], float] | None:
    """Pixel (y, x) of an image in the middle of the view and how large its pixels are there; None where it is not."""
    axes = viewer.dims.ndim
    if not layer.visible or tuple(viewer.dims.displayed) != (axes - 2, axes - 1):
        return None
    matrix, offset = _pixels_in_view(viewer, layer)
    middle = np.linalg.solve(matrix, np.array(viewer.camera.center[-2:], dtype=float) - offset)
    shape = (layer.data[0] if getattr(layer, "multiscale", False) else layer.data).shape[-2:]
    outside = np.any(middle < -0.5) or np.any(middle > np.array(shape) - 0.5)
    if outside and len(image_layers(viewer)) > 1:
        return None
    return middle, float(viewer.camera.zoom * pixel_in_view(viewer, layer))


def _show_again(viewer: ViewerModel, layer: Layer, middle: NDArray[np.float64], size: float) -> None:
    """Put a pixel of an image back into the middle of the view, as large as it was."""
    matrix, offset = _pixels_in_view(viewer, layer)
    viewer.camera.center = (0.0, *(matrix @ middle + offset))
    viewer.camera.zoom = size / pixel_in_view(viewer, layer)


def placement_in_view(viewer: ViewerModel, layer: Layer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix (n, n) and offset (n,) that take data coordinates of a layer to places of the viewer.

    Camera, cursor and sliders have the units of the viewer, which are not those of every layer.
    """
    matrix, offset = placement(layer)
    units = viewer.layers.units
    if units is None:
        return matrix, offset
    # napari shows layers of several units of length in one of them
    factors = np.array(
        [float((1 * ours).to(theirs).magnitude) for ours, theirs in zip(layer.units, units[-layer.ndim :], strict=True)]
    )
    return matrix * factors[:, None], offset * factors


def place_in_view(viewer: ViewerModel, layer: Layer, position: Any) -> NDArray[np.float64]:
    """Place in the viewer of data coordinates (n,) of a layer."""
    matrix, offset = placement_in_view(viewer, layer)
    return matrix @ np.asarray(position, dtype=float) + offset


def position_from_view(viewer: ViewerModel, layer: Layer, place: Any) -> NDArray[np.float64]:
    """Data coordinates (n,) of a layer at a place in the viewer, which may have more axes."""
    matrix, offset = placement_in_view(viewer, layer)
    return np.linalg.solve(matrix, np.asarray(place, dtype=float)[-layer.ndim :] - offset)


def pixel_in_view(viewer: ViewerModel, layer: Layer) -> float:
    """Length of a pixel of an image in the units of the viewer."""
    matrix, _offset = _pixels_in_view(viewer, layer)
    return float(np.sqrt(abs(np.linalg.det(matrix))))


def _pixels_in_view(viewer: ViewerModel, layer: Layer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix (2, 2) and offset (2,) that take pixels (y, x) of a layer to the places that the camera knows."""
    matrix, offset = placement_in_view(viewer, layer)
    return matrix[-2:, -2:], offset[-2:]


def _stretch(layer: Layer, factor: NDArray[np.float64]) -> None:
    """Make the pixels of a layer larger, with its corner, in angstrom from now on."""
    scale = np.array(layer.scale, dtype=float)
    translate = np.array(layer.translate, dtype=float)
    translate[-2:] *= factor
    scale[-2:] *= factor
    # scale and units are listened to, so what they hear is complete
    layer.translate = translate
    layer.scale = scale
    layer.units = (*layer.units[:-2], "angstrom", "angstrom")


def default_labels(ndim: int) -> tuple[str, ...]:
    """The labels that napari gives to axes nobody named."""
    return tuple(str(axis) for axis in range(-ndim, 0))


def axis_labels(ndim: int) -> tuple[str, ...]:
    """Our labels for an image with `ndim` axes."""
    return (*default_labels(ndim)[:-3], *("frame", "y", "x")[-min(ndim, 3) :])


def layout(ndim: int, pixel_size: float | None, source_layer: Layer | None = None) -> dict[str, Any]:
    """Keyword arguments that put a new layer of `ndim` axes on the pixels of its source, or on a pixel size alone."""
    if source_layer is not None and source_layer.ndim == ndim:
        return {
            "scale": source_layer.scale,
            "translate": source_layer.translate,
            "rotate": source_layer.rotate,
            "shear": source_layer.shear,
            "affine": source_layer.affine,
            "units": source_layer.units,
            "axis_labels": source_layer.axis_labels,
        }
    scale = np.ones(ndim)
    translate = np.zeros(ndim)
    units: list[Any] = ["pixel"] * ndim
    labels = list(axis_labels(ndim))
    if source_layer is not None:
        shared = min(ndim, source_layer.ndim)
        scale[-shared:] = source_layer.scale[-shared:]
        translate[-shared:] = source_layer.translate[-shared:]
        units[-shared:] = source_layer.units[-shared:]
        labels[-shared:] = source_layer.axis_labels[-shared:]
    elif pixel_size is not None:
        scale[-2:] = pixel_size
        units[-2:] = ["angstrom", "angstrom"]
    return {"scale": scale, "translate": translate, "units": tuple(units), "axis_labels": tuple(labels)}


# --- micrographs ------------------------------------------------------------------------------------------------------


def origin_of(micrograph: Micrograph) -> dict[str, Any]:
    """What a layer's metadata say of a micrograph's origin: ``synthetic``, and its statement; empty where not known."""
    flag = is_synthetic(micrograph.provenance)
    if not flag:
        return {} if flag is None else {"synthetic": False}
    return {"synthetic": True, "statement": str(micrograph.provenance.get("statement") or SYNTHETIC_STATEMENT)}


def micrograph_from_layer(layer: Layer) -> Micrograph:
    """The micrograph that an image layer shows; its pixel size is None where the layer's units are no lengths.

    Leading axes of length one are dropped; a multiscale image gives its finest level.

    Raises
    ------
    MicrographError
        If the layer cannot be a micrograph (colour, too many axes, pixels that are not square).
    """
    if getattr(layer, "rgb", False):
        raise MicrographError(f"'{layer.name}' is a colour image; a micrograph is grey.")
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    while data.ndim > 3 and data.shape[0] == 1:
        data = data[0]
    record = about(layer)
    provenance = dict(record.get("provenance") or {})
    path = getattr(getattr(layer, "source", None), "path", None)
    if path:
        provenance.setdefault("source_file", str(path))
    provenance.setdefault("layer", layer.name)
    return Micrograph(data, pixel_size_of(layer), layer.name, provenance)


def add_image(
    viewer: ViewerModel,
    micrograph: Micrograph,
    name: str | None = None,
    *,
    kind: str = "image",
    source_layer: Layer | None = None,
    record: dict[str, Any] | None = None,
    **options: Any,
) -> Image:
    """Add a micrograph as an image layer with scale, units, axis labels and our metadata.

    Parameters
    ----------
    viewer
        Viewer to add to.
    micrograph
        Image or stack.
    name
        Layer name; the micrograph's where not given.
    kind
        Written to the metadata: ``image``, ``simulated``, ``preview``, ``map``, …
    source_layer
        Layer whose pixels the image shares; its placement is copied.
    record
        Further plain values for the metadata (run, model, settings).
    **options
        Passed on to napari (colormap, opacity, blending, visible, …).
    """
    from napari.layers import Image

    ndim = micrograph.data.ndim
    if source_layer is not None and ndim < source_layer.ndim and 1 in source_layer.data.shape[: source_layer.ndim - 2]:
        ndim = source_layer.ndim
    data = micrograph.data
    while data.ndim < ndim:
        data = data[None]
    details = {"provenance": micrograph.provenance, **origin_of(micrograph), **(record or {})}
    layer = Image(
        data,
        name=name or micrograph.name,
        metadata={KEY: _record(kind, source_layer, details)},
        rgb=False,
        **{**layout(ndim, micrograph.pixel_size, source_layer), **options},
    )
    viewer.add_layer(layer)
    return layer


# --- sites ------------------------------------------------------------------------------------------------------------


def current_frame(viewer: ViewerModel, layer: Layer) -> int:
    """Frame of a layer that the viewer shows; 0 for a single image."""
    if layer.ndim < 3:
        return 0
    frame = round(float(position_from_view(viewer, layer, viewer.dims.point)[-3]))
    return int(np.clip(frame, 0, layer.data.shape[-3] - 1)) if hasattr(layer.data, "shape") else max(frame, 0)


def go_to_frame(viewer: ViewerModel, layer: Layer, frame: int) -> None:
    """Let the viewer show a frame of a layer."""
    if layer.ndim >= 3:
        place = np.zeros(layer.ndim)
        place[-3] = frame
        viewer.dims.set_point(viewer.dims.ndim - 3, float(place_in_view(viewer, layer, place)[-3]))


def site_data(sites: pd.DataFrame, ndim: int) -> NDArray[np.float64]:
    """Coordinates (n, ndim) of a site table for a Points layer in pixels; axes before the frame are 0."""
    data = np.zeros((len(sites), ndim))
    data[:, -2] = sites["y"]
    data[:, -1] = sites["x"]
    if ndim > 2:
        data[:, -3] = sites["frame"]
    return data


def site_features(sites: pd.DataFrame) -> pd.DataFrame:
    """Feature table of a Points layer: class, score, origin and whatever else the table carries beyond positions."""
    drop = [name for name in ("frame", "y", "x", "y_angstrom", "x_angstrom") if name in sites.columns]
    return sites.drop(columns=drop).reset_index(drop=True)


def site_colours(sites: pd.DataFrame, kind: str = "predicted") -> NDArray[np.float64]:
    """Colours (n, 4) of sites: by class, or by what the match says for the kinds tp, fp, fn and matches."""
    from napari.utils.colormaps.standardize_color import transform_color

    if len(sites) == 0:
        return np.zeros((0, 4))
    by = (sites["match"] if kind == "matches" else sites["class"]).to_numpy(dtype=object)
    # by hand, because the table's own ways of telling apart texts take ten times as long
    number: dict[str, int] = {}
    codes = np.fromiter((number.setdefault(str(name), len(number)) for name in by), dtype=np.intp, count=len(by))
    lookup = dict.fromkeys(number, KNOWN[kind]) if kind in ("tp", "fp", "fn") else colours_of(number)
    colours = np.concatenate([transform_color(lookup[name]) for name in number])[codes]
    if kind == "hand":
        colours[(sites["origin"] == "predicted").to_numpy(), 3] = UNREVIEWED_ALPHA
    return colours


def site_symbols(sites: pd.DataFrame, kind: str) -> str | NDArray[np.object_]:
    """Symbol of each site; those of a match differ in shape as well as in colour."""
    if kind == "matches":
        return sites["match"].map(SYMBOLS).to_numpy(dtype=object) if len(sites) else "disc"
    return SYMBOLS.get(kind, "disc")


def add_sites(
    viewer: ViewerModel,
    sites: pd.DataFrame,
    *,
    kind: str,
    pixel_size: float | None = None,
    source_layer: Layer | None = None,
    name: str | None = None,
    record: dict[str, Any] | None = None,
    stack: bool | None = None,
    **options: Any,
) -> Points:
    """Add a site table as a Points layer with features ``class, score, origin``, coloured by class.

    Parameters
    ----------
    viewer
        Viewer to add to.
    sites
        Site table, positions in pixels of the image.
    kind
        One of `SITE_KINDS`; ``matches`` needs a column ``match`` of tp, fp, fn.
    pixel_size
        In angstrom, where there is no source layer.
    source_layer
        The image that the sites belong to; its placement is copied, with leading axes.
    name
        Layer name; made from the source's name and the kind where not given.
    record
        Further plain values for the metadata (run, model, settings).
    stack
        Whether the layer has a frame axis; by default as its source, or as the table needs.
    **options
        Passed on to napari.

    Raises
    ------
    SitesError
        If the kind is unknown.
    """
    from napari.layers import Points

    if kind not in SITE_KINDS:
        raise SitesError(f"A layer of sites cannot be of kind '{kind}'; allowed: {', '.join(SITE_KINDS)}.")
    if stack is None:
        many = len(sites) > 0 and int(sites["frame"].max()) > 0
        ndim = source_layer.ndim if source_layer is not None else (3 if many else 2)
    else:
        ndim = 3 if stack else 2
    if pixel_size is None and source_layer is not None:
        pixel_size = pixel_size_of(source_layer)
    diameter = SITE_DIAMETER / pixel_size if pixel_size else SITE_DIAMETER_PIXELS
    layer = Points(
        site_data(sites, ndim),
        ndim=ndim,
        name=name or (f"{source_layer.name} {kind}" if source_layer is not None else kind),
        features=site_features(sites),
        metadata={KEY: _record(kind, source_layer, dict(record or {}))},
        symbol=site_symbols(sites, kind),
        size=max(diameter, 3.0),
        face_color="transparent",
        border_color=site_colours(sites, kind) if len(sites) else "white",
        border_width=0.12,
        canvas_size_limits=(7, 10000),
        **{**layout(ndim, pixel_size, source_layer), **options},
    )
    _set_feature_defaults(layer, sites, kind)
    viewer.add_layer(layer)
    return layer


def update_sites(layer: Points, sites: pd.DataFrame) -> None:
    """Show another site table in one of our layers: positions, features, colours and symbols in one go."""
    kind = kind_of(layer) or "predicted"
    diameter = float(np.max(layer.size)) if len(layer.data) else float(layer.current_size)
    with _without_refresh(layer):
        with layer.events.data.blocker(), layer.events.highlight.blocker():
            layer.selected_data = set()
            layer.data = site_data(sites, layer.ndim)
            layer.shown = True
            # colours and symbols are drawn at once, so the canvas must already know which sites are in view
            layer.set_view_slice()
            layer.features = site_features(sites)
        if len(sites):
            layer.size = diameter
            layer.border_color = site_colours(sites, kind)
            layer.face_color = "transparent"
            layer.symbol = site_symbols(sites, kind)
        _set_feature_defaults(layer, sites, kind)
    layer.refresh()


def _without_refresh(layer: Points) -> contextlib.AbstractContextManager[None]:
    """Let a layer be changed in several steps without being sliced and drawn small again after each of them."""
    # napari offers this only to itself; where it is gone, the steps take longer
    block = getattr(layer, "_block_refresh", contextlib.nullcontext)
    return block()  # type: ignore[no-any-return]


def show_only(layer: Points, shown: NDArray[np.bool_]) -> None:
    """Show some sites of a layer and hide the others; hidden ones stay in the layer."""
    layer.shown = shown
    if layer.ndim == 2 and len(layer.data):
        # napari 0.9 draws hidden points of layers that have no axis to slice
        colours = np.array(layer.border_color)
        colours[:, 3] = np.where(shown, 1.0, 0.0)
        layer.border_color = colours


def made_by_hand(layer: Points, indices: Sequence[int]) -> None:
    """Take score and origin from points that were just added: napari copies them from a selected point."""
    features = layer.features
    for name, value in (("score", np.nan), ("origin", "hand")):
        features.iloc[list(indices), features.columns.get_loc(name)] = value


def shown_counts(layer: Points) -> dict[str, int]:
    """Number of sites of each class that a layer shows."""
    names = layer.features["class"].to_numpy(dtype=object)[np.asarray(layer.shown, dtype=bool)]
    return {str(name): int(np.count_nonzero(names == name)) for name in dict.fromkeys(names)}


def _set_feature_defaults(layer: Points, sites: pd.DataFrame, kind: str) -> None:
    # without defaults a point added by hand copies class and score of the last row
    previous = layer.feature_defaults
    defaults: dict[str, Any] = {}
    for column in layer.features.columns:
        if column == "class":
            known = str(previous["class"].iloc[0]) if "class" in previous and len(previous) else ""
            defaults[column] = known if known not in ("", "nan", "None") else _first_class(sites)
        elif column == "score":
            defaults[column] = np.nan
        elif column == "origin":
            defaults[column] = "hand"
        else:
            is_float = layer.features[column].dtype.kind == "f"
            defaults[column] = np.nan if is_float else previous[column].iloc[0]
    if defaults:
        layer.feature_defaults = defaults


def _first_class(sites: pd.DataFrame) -> str:
    return str(sites["class"].iloc[0]) if len(sites) else "atom"


def class_feature(layer: Points) -> str | None:
    """Name of the feature that holds the classes of points; None where they have none and count as ``atom``."""
    return next((name for name in ("class", "species", "label", "Class") if name in layer.features), None)


def sites_from_layer(
    layer: Points,
    image_layer: Layer | None = None,
    *,
    pixel_size: float | None = None,
    origin: str | None = None,
    shown_only: bool = True,
) -> pd.DataFrame:
    """The site table that a Points layer shows.

    Parameters
    ----------
    layer
        Points layer, ours or anyone's; classes come from a feature ``class``, ``species`` or ``label``.
    image_layer
        The image on whose pixels the positions are wanted. Points of others with another scale, unit or corner are
        converted; those of ours that were made from the image are on its pixels, wherever the two lie.
        Without it, positions are data coordinates of the Points layer.
    pixel_size
        In angstrom; taken from the layers where not given.
    origin
        For points without one; by default ``hand`` for foreign layers, and what the layer is for ours.
    shown_only
        Leave out points that are hidden, such as candidates below their threshold.

    Raises
    ------
    SitesError
        If the points have no frame axis but the image is a stack, or their units cannot be compared with the image's.
    """
    from napari_stemlearn.sites import ORIGINS, complete_sites, make_sites

    data = np.asarray(layer.data, dtype=float).reshape(-1, layer.ndim)
    if image_layer is not None:
        data = _on_pixels_of(image_layer, layer, data)
        pixel_size = pixel_size_of(image_layer) if pixel_size is None else pixel_size
    elif pixel_size is None:
        pixel_size = pixel_size_of(layer)
    if origin is None:
        kind = kind_of(layer)
        origin = kind if kind in ORIGINS else "hand"
    features = layer.features.reset_index(drop=True)
    if shown_only and not np.all(layer.shown):
        shown = np.asarray(layer.shown, dtype=bool)
        data, features = data[shown], features[shown].reset_index(drop=True)
    if "class" not in features:
        other = class_feature(layer)
        features = features.assign(**{"class": features[other] if other else "atom"})
    if len(data) == 0:
        extra = {name: [] for name in features.columns if name not in ("class", "score", "origin")}
        return make_sites([], [], "", pixel_size=pixel_size, extra=extra)
    table = features.assign(
        y=data[:, -2], x=data[:, -1], frame=np.rint(data[:, -3]).astype(int) if data.shape[1] > 2 else 0
    )
    if "origin" in table:
        table["origin"] = table["origin"].where(table["origin"].isin(ORIGINS), origin)
    return complete_sites(table, pixel_size=pixel_size, origin=origin, name=f"layer '{layer.name}'")


def _on_pixels_of(image_layer: Layer, layer: Points, data: NDArray[np.float64]) -> NDArray[np.float64]:
    """Data coordinates of points as data coordinates of an image layer."""
    n = image_layer.ndim
    made_from_it = layer.ndim == n and about(layer).get("source_id") == str(image_layer.unique_id)
    # through world coordinates only where it must be: they cost the last digit
    if made_from_it or same_place(place_of(layer), place_of(image_layer)):
        return data
    if layer.ndim < n and any(length > 1 for length in image_layer.data.shape[: n - layer.ndim]):
        raise SitesError(
            f"Layer '{layer.name}' has no frame axis but '{image_layer.name}' is a stack, "
            "so its points belong to no frame; make the points on the stack itself."
        )
    ours, theirs = angstrom_per_unit(image_layer), angstrom_per_unit(layer)
    if (ours is None) != (theirs is None):
        raise SitesError(
            f"Layer '{layer.name}' is in {layer.units[-1]} and '{image_layer.name}' in {image_layer.units[-1]}; "
            "give both layers units of length, or neither."
        )
    matrix, offset = placement(layer)
    world = data @ matrix.T + offset
    if ours and theirs:
        world[:, -2:] *= theirs / ours
    if world.shape[1] < n:
        world = np.hstack([np.zeros((len(world), n - world.shape[1])), world])
    world = world[:, -n:]
    matrix, offset = placement(image_layer)
    return np.linalg.solve(matrix, (world - offset).T).T
