"""``job.yaml``: what a run was asked to do, so that it can be repeated."""

from __future__ import annotations

import itertools
import re
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_stemlearn.errors import JobError
from napari_stemlearn.jobs.atomic_files import write_yaml

SCHEMA = 1

HEAD = 100
"""Lines at the beginning of the file in which kind, label and time stand."""

PACKAGES = ("napari-stemlearn", "torch", "numpy", "scipy", "pandas", "ase", "rosettasciio", "pydantic")
"""Packages whose versions are recorded."""


class JobFile(BaseModel):
    """The content of ``job.yaml``; fields of later versions are kept out, not refused."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA
    kind: str
    label: str = ""
    created: float = Field(default_factory=time.time)
    seed: int | None = None
    working_directory: str = ""
    settings: dict[str, Any] = Field(default_factory=dict)
    inputs: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write as YAML, atomically."""
        write_yaml(path, self.model_dump(mode="json"))


def read_job_file(path: Path) -> JobFile:
    """Read a ``job.yaml``.

    Raises
    ------
    JobError
        If it is missing or damaged.
    """
    try:
        return JobFile(**yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise JobError(f"{path.parent} is no run folder: it has no job.yaml.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, ValidationError) as error:
        raise JobError(f"{path} is damaged: {str(error).splitlines()[0]}.") from error


def read_job_head(path: Path) -> tuple[str, float] | None:
    """Read the label of a ``job.yaml``, and when the run was made, without reading the rest.

    Returns
    -------
    tuple of str and float, or None
        Label, and seconds since 1970; None where the file is missing or damaged.
    """
    try:
        record = yaml.safe_load(_head(path))
        return str(record["label"]), float(record["created"])
    except (OSError, yaml.YAMLError, TypeError, KeyError, ValueError):
        return None


def read_creation(path: Path) -> float:
    """When the run of a ``job.yaml`` was made, in seconds since 1970; faster than `read_job_head`.

    Of a damaged record the time of the file tells, of one that is gone 0.
    """
    try:
        found = re.search(r"^created: ([0-9.]+)", _head(path), re.MULTILINE)
        return float(found.group(1)) if found else path.stat().st_mtime
    except (OSError, ValueError):
        return 0.0


def _head(path: Path) -> str:
    """What stands before the settings: reading a whole record takes long, and there can be hundreds."""
    with open(path, encoding="utf-8", errors="replace") as stream:
        lines = itertools.islice(stream, HEAD)
        return "".join(itertools.takewhile(lambda line: not line.startswith("seed:"), lines))


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a product."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
