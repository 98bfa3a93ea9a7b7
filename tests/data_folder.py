"""Where the measured and virtual micrographs lie that tests read in place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def data_folder(*parts: str) -> Path:
    """Path inside the data folder; the test is skipped where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("STEMLEARN_DATA", default)).joinpath(*parts)
    if not folder.exists():
        pytest.skip(f"no test data at {folder.name}: set STEMLEARN_DATA to the folder of micrographs")
    return folder
