"""Demos, benchmarks and tools take from the package what is there, also inside of functions that no test runs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from doc_pages import ROOT

SCRIPTS = sorted(path for folder in ("demo", "benchmarks", "docs", "tools") for path in (ROOT / folder).glob("*.py"))


def taken(path: Path) -> Iterator[tuple[str, str]]:
    """Module and name of everything that a script imports from the package."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("napari_stemlearn"):
            yield from ((node.module or "", alias.name) for alias in node.names)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_a_script_imports_is_there(path: Path) -> None:
    assert [f"{module}.{name}" for module, name in taken(path) if not offers(module, name)] == []


def offers(module: str, name: str) -> bool:
    """Whether a module has a name, or is a package with a module of that name."""
    loaded = import_module(module)
    return hasattr(loaded, name) or (hasattr(loaded, "__path__") and find_spec(f"{module}.{name}") is not None)
