"""An empty data set on disk."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_stemlearn.datasets.data_set_card import new_card, write_card
from napari_stemlearn.datasets.image_table import create_image_table
from napari_stemlearn.datasets.places import ENDING
from napari_stemlearn.datasets.store import IMAGES, TABLE, DataSet
from napari_stemlearn.errors import FormatError, MicrographError
from napari_stemlearn.file_errors import reason
from napari_stemlearn.micrograph import check_pixel_size


def create_data_set(
    path: str | Path,
    *,
    shape: tuple[int, int],
    pixel_size: float,
    synthetic: bool,
    name: str = "",
    number: int = 0,
    settings: Mapping[str, Any] | None = None,
    generator: Mapping[str, Any] | None = None,
    marks: Mapping[str, bool] | None = None,
) -> DataSet:
    """Make an empty data set.

    Parameters
    ----------
    path
        Folder to make, ending in ``.stemset``.
    shape
        Shape (y, x) of every image in pixels.
    pixel_size
        Of every image in angstrom.
    synthetic
        True for images that were computed: all of them will say so. False for images that were measured. A set holds
        one of the two.
    name
        For people; by default the folder's.
    number
        How many images it shall have; it can grow.
    settings
        Record of the settings that it is made with.
    generator
        Which generator translates the images (``name``), and what else is known about it; None for none.
    marks
        Which marks the pixels carry: ``watermark``, ``visible_mark``.

    Returns
    -------
    DataSet
        Empty.

    Raises
    ------
    FormatError
        If the folder is there already or cannot be made.
    MicrographError
        If the pixel size cannot be one, or the shape is below 2 by 2 pixels.
    """
    import zarr
    from zarr.codecs import BloscCodec, Crc32cCodec

    path = Path(path).expanduser()
    if path.suffix != ENDING:
        raise FormatError(f"{path.name} must end in {ENDING}.")
    if path.exists():
        raise FormatError(f"{path} is there already; choose another name.")
    height, width = (int(side) for side in shape)
    if min(height, width) < 2:
        raise MicrographError(
            f"The images of {path.name} would have {height} by {width} pixels; at least 2 by 2 are needed."
        )
    card = new_card(
        name or path.stem,
        shape=(height, width),
        pixel_size=check_pixel_size(pixel_size, path.stem),
        number=int(number),
        settings=settings,
        generator=generator,
        marks=marks,
        synthetic=synthetic,
    )
    part = path.with_name(f".{path.stem[:40]}-{uuid.uuid4().hex[:12]}")
    try:
        part.mkdir(parents=True)
        zarr.create_array(
            store=part / IMAGES,
            shape=(int(number), height, width),
            chunks=(1, height, width),
            dtype="float32",
            # noise hardly shrinks, so the fastest will do; the sum finds damage
            compressors=[BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"), Crc32cCodec()],
            fill_value=float("nan"),
            dimension_names=("image", "y", "x"),
            chunk_key_encoding={"name": "v2", "separator": "."},
            attributes={
                "synthetic": synthetic,
                "statement": card["statement"],
                "pixel_size_angstrom": card["pixel_size_angstrom"],
            },
            zarr_format=3,
        )
        create_image_table(part / TABLE)
        write_card(part, card)
        os.replace(part, path)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if isinstance(error, OSError) and not isinstance(error, FormatError):
            raise FormatError(f"The data set {path} cannot be made: {reason(error)}.") from error
        raise
    return DataSet(path, card)
