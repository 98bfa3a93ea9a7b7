"""Which layers of labels found sites can be scored against, and which of them is meant unless somebody chooses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from napari_stemlearn.scoring.published_names import PUBLISHED_NAMES
from napari_stemlearn.scoring.searched import search_of_record
from napari_stemlearn.widgets.layers import about, class_feature, other_points, our_layers, source_of

if TYPE_CHECKING:
    from napari.components import ViewerModel

NOTHING_IN_COMMON = "These labels have none of the classes that the search looked for."


def labels_to_score(viewer: ViewerModel) -> list[Any]:
    """Labels, truth and points of others; not the specimen of the Structure dock, which is of no image."""
    ours = [layer for layer in our_layers(viewer, ("hand", "truth")) if about(layer).get("step") != "structure"]
    return ours + other_points(viewer)


def meant_labels(viewer: ViewerModel, found: Any, labels: Sequence[Any]) -> Any:
    """Labels to score found sites against: of the same image, and with classes that the search looked for.

    Parameters
    ----------
    viewer
        That has the layers.
    found
        Layer of found sites, or None.
    labels
        Layers to choose from; of those that are as good the first.
    """
    if not labels:
        return None
    image = None if found is None else source_of(viewer, found)

    def goodness(layer: Any) -> tuple[int, bool]:
        other = source_of(viewer, layer)
        # those that name no image may be of this one, those of another are not
        of_image = 1 if image is None or other is None else 2 * (other == image)
        return of_image, found is not None and share_classes(found, layer)

    return max(labels, key=goodness)


def share_classes(found: Any, labels: Any) -> bool:
    """Whether labels have a class that the search looked for, under our name of it or a published one."""
    names = _classes_in(labels)
    return bool((names | {PUBLISHED_NAMES.get(name, name) for name in names}) & _looked_for(found))


def nothing_in_common(found: Any, labels: Any) -> str | None:
    """The sentence for labels and a search without any class in common; None where there is one, or none at all."""
    if not _looked_for(found) or not _classes_in(labels) or share_classes(found, labels):
        return None
    return NOTHING_IN_COMMON


def _looked_for(found: Any) -> set[str]:
    """Classes of a layer of found sites, and those that its search looked for where that is known."""
    record = about(found)
    provenance = record.get("provenance")
    known = {**(provenance if isinstance(provenance, dict) else {}), **record}
    return _classes_in(found) | set(search_of_record(known).get("searched_classes") or ())


def _classes_in(layer: Any) -> set[str]:
    """Classes of the sites of a layer."""
    name = class_feature(layer)
    if name is None:
        return {"atom"} if len(layer.data) else set()
    return {str(value) for value in layer.features[name].unique()}
