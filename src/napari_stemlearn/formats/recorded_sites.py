"""Site tables with what lies beside them: the search that found them, or what was labelled."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from napari_stemlearn.formats.site_files import SitesSidecar, read_with_sidecar


@dataclass(frozen=True)
class RecordedTable:
    """Sites of a file with their record; `scoring.score` takes it as it is, as found and as true sites.

    Parameters
    ----------
    sites
        Site table in pixels.
    record
        The provenance of the sidecar, and the ``shape`` (y, x) in pixels of a frame where the sidecar names its image;
        empty without a sidecar.
    """

    sites: pd.DataFrame
    record: dict[str, Any] = field(default_factory=dict)


def read_recorded(path: str | Path, *, pixel_size: float | None = None, origin: str = "hand") -> RecordedTable:
    """Read a site table with the record of its search or its labels; parameters and errors as of `read_sites`."""
    sites, sidecar = read_with_sidecar(path, pixel_size=pixel_size, origin=origin)
    return RecordedTable(sites, record_of(sidecar))


def record_of(sidecar: SitesSidecar | None) -> dict[str, Any]:
    """What a sidecar tells of a search or of labels, for scoring; empty where there is no sidecar."""
    if sidecar is None:
        return {}
    shape = {} if sidecar.image is None else {"shape": list(sidecar.image.shape[-2:])}
    return {**shape, **{name: value for name, value in sidecar.provenance.items() if value is not None}}
