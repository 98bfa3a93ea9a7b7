"""Files that are either whole or not there."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import yaml
from numpy.typing import NDArray


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it; on any error nothing is left behind."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_atomically(path, lambda stream: stream.write(text.encode("utf-8")))


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
    write_atomically(path, lambda stream: stream.write(buffer.getbuffer()))
