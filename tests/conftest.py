"""Shared by all tests."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import pytest

# a canvas on Mesa crashes when triton comes second, so triton comes first where a torch build brings it
with contextlib.suppress(ImportError):
    import triton  # noqa: F401

os.environ.setdefault("OMP_NUM_THREADS", "2")
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True, scope="session")
def _own_project(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test sees models that a person has kept in a project, nor does a process that it starts."""
    os.environ["STEMLEARN_PROJECT"] = str(tmp_path_factory.mktemp("project"))
