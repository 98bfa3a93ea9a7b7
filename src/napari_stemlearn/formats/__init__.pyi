from .provenance import Mark, ProvenanceReport, read_provenance
from .reading import (
    EXTENSIONS,
    read_micrograph,
    read_micrographs,
    read_stack,
)
from .recorded_sites import RecordedTable, read_recorded
from .site_files import (
    SitesSidecar,
    belongs_to,
    hash_micrograph,
    read_sidecar,
    read_sites,
    sidecar_path,
    write_sites,
)
from .tiff_writing import write_tiff

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
