"""What the packages offer: completion shows it, each name loads, and nothing heavy comes before."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import napari_stemlearn

ROOT = Path(napari_stemlearn.__file__).parent
PACKAGES = sorted(path.parent.name for path in ROOT.glob("*/__init__.pyi"))


@pytest.mark.parametrize("name", PACKAGES)
def test_every_name_of_a_stub_loads_and_is_shown(name: str) -> None:
    package = import_module(f"napari_stemlearn.{name}")
    tree = ast.parse((ROOT / name / "__init__.pyi").read_text(encoding="utf-8"))
    imported = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported == set(package.__all__) == set(dir(package))
    for each in imported:
        assert getattr(package, each) is not None


def test_asking_for_names_loads_nothing_heavy() -> None:
    code = (
        "import sys, importlib;"
        f"[dir(importlib.import_module('napari_stemlearn.' + name)) for name in {PACKAGES!r}];"
        "print([name for name in ('torch', 'napari', 'matplotlib', 'rsciio', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
