"""One labelled image of a data set, ready to be stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_stemlearn.datasets.image_table import Row
from napari_stemlearn.datasets.site_packing import pack_sites
from napari_stemlearn.errors import SitesError
from napari_stemlearn.formats.plain_values import plain
from napari_stemlearn.nested_names import flattened


@dataclass(frozen=True)
class Entry:
    """An image ready to be stored; small enough to be sent from a worker.

    Parameters
    ----------
    pixels
        Shape (y, x), float32.
    row
        What the table keeps.
    notes
        A full sentence by name for whoever makes the set, such as those of `LabelledMicrograph`; not stored.
    """

    pixels: NDArray[np.float32]
    row: Row
    notes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        image: NDArray[Any],
        sites: pd.DataFrame,
        parameters: Mapping[str, Any],
        *,
        pixel_size: float,
        provenance: Mapping[str, Any] | None = None,
    ) -> Entry:
        """Make an entry.

        Parameters
        ----------
        image
            Shape (y, x).
        sites
            All columns and all defects; ``kind`` tells which (without it, all are columns).
        parameters
            By name; mappings inside are joined by dots.
        pixel_size
            In angstrom.
        provenance
            What the image says of itself beyond what its set says of all images.

        Raises
        ------
        SitesError
            If a site is of another frame than 0, or lacks its class or kind.
        """
        strays = sites.loc[sites["frame"] != 0, "frame"] if "frame" in sites else ()
        if len(strays):
            raise SitesError(
                f"{len(strays)} sites are of frames other than 0, the first of frame {next(iter(strays))}; an image of "
                "a data set is one frame, so give its sites with frame 0."
            )
        for column in ("class", "kind"):
            if column in sites and sites[column].isna().any():
                number = int(np.flatnonzero(sites[column].isna())[0]) + 1
                raise SitesError(f"Row {number} of the sites has no {column}; every site of a data set needs one.")
        kinds = sites["kind"] if "kind" in sites else pd.Series("column", index=sites.index)
        counts: dict[str, dict[str, int]] = {}
        for (kind, name), n in sites.groupby([kinds, sites["class"]]).size().items():
            counts.setdefault(str(kind), {})[str(name)] = int(n)
        said = json.dumps(plain(provenance)) if provenance else ""
        row = Row(flattened(parameters), counts, pack_sites(sites, pixel_size), said)
        return cls(np.ascontiguousarray(image, dtype=np.float32), row)
