"""Parts of a microscope laid over the one that a generator learnt from; free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_stemlearn.errors import ModelError
from napari_stemlearn.imaging.settings import ImagingSettings
from napari_stemlearn.learning.generator_cards import learnt_stack, read_generator_card
from napari_stemlearn.micrograph import same_pixel_size
from napari_stemlearn.settings import laid_over


def laid_over_learnt(parts: Mapping[str, Any], generator: str) -> dict[str, Any]:
    """Values of a microscope of which some are given, the others as the generator learnt them.

    Parameters
    ----------
    parts
        Values of `ImagingSettings`, nested as there. Where every section is named there is nothing to add.
    generator
        Folder of a trained generator; empty for none.

    Returns
    -------
    dict
        Nested values; what neither knows is left out. A generator that learnt from a simulated stack knows nothing.

    Raises
    ------
    ValueError
        If the parts name a shape, which the data set has, or a pixel size other than the generator's, or if the
        generator cannot be read.
    """
    if set(ImagingSettings.model_fields) <= set(parts):
        return dict(parts)
    if parts.get("shape") is not None:
        raise ValueError(words_on_shape(parts["shape"]))
    if not generator:
        return dict(parts)
    try:
        card = read_generator_card(Path(generator).expanduser())
    except ModelError as error:
        words = str(error).rstrip(".")
        raise ValueError(f"what is not given would come from the generator: {words[0].lower()}{words[1:]}") from error
    other = words_on_pixel_size(parts.get("pixel_size"), card)
    if other:
        raise ValueError(other)
    if learnt_stack(card):
        return dict(parts)
    learnt = card["settings"].get("imaging")
    if not isinstance(learnt, Mapping):
        raise ValueError(
            f"the generator in {generator} does not tell which microscope it learnt from; give every section of imaging"
        )
    return laid_over(ImagingSettings, learnt, parts)


def words_on_shape(shape: Any) -> str:
    """Why a shape inside imaging is refused."""
    sides = f"[{', '.join(map(str, shape))}]" if isinstance(shape, (list, tuple)) else shape
    return f"the shape of the images is a setting of the set itself, so give shape={sides} in place of imaging.shape"


def words_on_pixel_size(pixel_size: Any, card: Mapping[str, Any]) -> str:
    """Why a pixel size inside imaging does not go with a generator; empty where it does.

    Parameters
    ----------
    pixel_size
        In angstrom; None where none is given.
    card
        Of the generator; see `read_generator_card`.
    """
    made = card.get("pixel_size")
    if not isinstance(pixel_size, (int, float)) or not isinstance(made, (int, float)):
        return ""
    if same_pixel_size(pixel_size, made):
        return ""
    return (
        f"imaging.pixel_size is {pixel_size:g} angstrom, but the generator '{card.get('name')}' makes images of "
        f"{made:g} angstrom; leave imaging.pixel_size out"
    )
