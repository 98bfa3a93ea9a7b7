"""Text, JSON, YAML and arrays that are either whole or not there."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from napari_stemlearn.atomic_writing import write_bytes


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write a JSON mapping atomically."""
    write_text(path, json.dumps(values, indent=1) + "\n")


def write_yaml(path: Path, values: dict[str, Any]) -> None:
    """Write a YAML mapping atomically, in the order given."""
    write_text(path, yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array as ``.npy`` atomically."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_bytes(path, buffer.getbuffer())
