"""The lines of Python that do the same as a dock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QPushButton

from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.settings import Settings


class CopyButton(QPushButton):
    """Puts the lines that `lines` gives onto the clipboard, and says so on itself."""

    TEXT = "Copy as Python"

    def __init__(self, lines: Callable[[], str]):
        super().__init__(self.TEXT)
        self._lines = lines
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._offer)
        self.setToolTip("Copy the lines of Python that do the same")
        self.clicked.connect(self.copy)

    def copy(self) -> None:
        """Copy the lines."""
        try:
            text = self._lines()
        except StemlearnError as error:
            self.setText("Nothing copied")
            self.setToolTip(str(error))
        else:
            clipboard = QApplication.clipboard()
            if clipboard is not None:
                clipboard.setText(text)
            self.setText("Copied ✓")
        self._timer.start(1500)

    def _offer(self) -> None:
        self.setText(self.TEXT)


def changes(settings: Settings) -> tuple[str, dict[str, Any]]:
    """The preset that a settings object is nearest to, and the fields in which it differs from it."""
    record = settings.record()
    best: tuple[str, dict[str, Any]] | None = None
    for name in type(settings).presets:
        base = type(settings).preset(name).record()
        different = {key: value for key, value in record.items() if value != base[key]}
        if best is None or len(str(different)) < len(str(best[1])):
            best = name, different
    assert best is not None
    return best


def expression(settings: Settings, indent: int = 0) -> str:
    """Python that builds a settings object: its nearest preset, and what differs from it."""
    preset, different = changes(settings)
    name = type(settings).__name__
    if not different:
        return f'{name}.preset("{preset}")'
    inside = " " * (indent + 4)
    lines = [f"{name}.preset(", f'{inside}"{preset}",']
    for key, value in different.items():
        nested = getattr(settings, key)
        if isinstance(nested, Settings):
            # the nested model writes only what differs from its own preset
            lines.append(f"{inside}{key}={expression(nested, indent + 4)},")
        else:
            lines.append(f"{inside}{key}={value!r},")
    return "\n".join([*lines, " " * indent + ")"])


def models_in(settings: Settings) -> dict[str, str]:
    """Names of the settings classes that `expression` writes, with their modules."""
    found = {type(settings).__name__: type(settings).__module__}
    for key in changes(settings)[1]:
        nested = getattr(settings, key)
        if isinstance(nested, Settings):
            found |= models_in(nested)
    return found


def imports(settings: Settings) -> list[str]:
    """The import lines for `expression`."""
    by_module: dict[str, list[str]] = {}
    for name, module in models_in(settings).items():
        by_module.setdefault(module, []).append(name)
    return [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(by_module.items())]


def structure_lines(settings: Settings, seed: int) -> str:
    """Build a specimen."""
    return "\n".join(
        [
            "from napari_stemlearn.structures import build",
            *imports(settings),
            "",
            f"settings = {expression(settings)}",
            f"specimen = build(settings, seed={seed})",
            "print(specimen.columns, specimen.defects)",
            "",
        ]
    )


def simulate_lines(settings: Settings, index: int) -> str:
    """Simulate one labelled micrograph of a set."""
    return "\n".join(
        [
            "from napari_stemlearn.datasets.simulated import simulate_one",
            *imports(settings),
            "",
            f"settings = {expression(settings)}",
            f"labelled, seeds = simulate_one(settings, {index})",
            "print(labelled.micrograph, labelled.columns, labelled.defects)",
            "",
        ]
    )


def job_lines(kind: str, settings: Settings, runs_folder: object, label: str = "") -> str:
    """Start a job in a process of its own and print what it reports."""
    return "\n".join(
        [
            "from napari_stemlearn import jobs",
            *imports(settings),
            "",
            f"settings = {expression(settings)}",
            f'run = jobs.start("{kind}", settings, runs_folder={str(runs_folder)!r}, label={label!r})',
            "for event in run.follow():",
            "    print(event)",
            "",
        ]
    )
