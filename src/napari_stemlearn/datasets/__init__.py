"""Many labelled micrographs on disk, with all that is known about them.

Sets that can be queried are in `napari_stemlearn.datasets.store`, folders of TIFF and CSV files in
`napari_stemlearn.datasets.simulated`; what is named here loads on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "DataSet": "store",
    "SimulateSettings": "settings",
    "create_data_set": "creation",
    "open_data_set": "store",
    "simulate_data_set": "simulated",
    "simulate_one": "simulated",
    "write_data_set": "simulated",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
