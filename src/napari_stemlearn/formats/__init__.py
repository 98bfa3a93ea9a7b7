"""Files in and out: micrographs of every common microscope format, calibrated TIFF, site tables with their sidecars."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_stemlearn.formats.provenance import Mark, ProvenanceReport, read_provenance
    from napari_stemlearn.formats.reading import EXTENSIONS, read_micrograph, read_micrographs, read_stack
    from napari_stemlearn.formats.recorded_sites import RecordedTable, read_recorded
    from napari_stemlearn.formats.site_files import (
        SitesSidecar,
        belongs_to,
        hash_micrograph,
        read_sidecar,
        read_sites,
        sidecar_path,
        write_sites,
    )
    from napari_stemlearn.formats.tiff_writing import write_tiff

_HOMES = {
    "EXTENSIONS": "reading",
    "read_micrograph": "reading",
    "read_micrographs": "reading",
    "read_stack": "reading",
    "write_tiff": "tiff_writing",
    "Mark": "provenance",
    "ProvenanceReport": "provenance",
    "read_provenance": "provenance",
    "RecordedTable": "recorded_sites",
    "read_recorded": "recorded_sites",
    "SitesSidecar": "site_files",
    "belongs_to": "site_files",
    "hash_micrograph": "site_files",
    "read_sidecar": "site_files",
    "read_sites": "site_files",
    "sidecar_path": "site_files",
    "write_sites": "site_files",
}

__all__ = [
    "EXTENSIONS",
    "Mark",
    "ProvenanceReport",
    "RecordedTable",
    "SitesSidecar",
    "belongs_to",
    "hash_micrograph",
    "read_micrograph",
    "read_micrographs",
    "read_provenance",
    "read_recorded",
    "read_sidecar",
    "read_sites",
    "read_stack",
    "sidecar_path",
    "write_sites",
    "write_tiff",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
