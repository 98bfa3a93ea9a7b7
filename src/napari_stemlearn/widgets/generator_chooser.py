"""Choose a trained generator: one of the project, of a finished training, or of any folder; or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_stemlearn import jobs
from napari_stemlearn.atomic_writing import visible_files
from napari_stemlearn.errors import ModelError
from napari_stemlearn.learning.generator_cards import (
    GENERATOR_CARD,
    GENERATOR_WEIGHTS,
    generators_in,
    learnt_stack,
    read_generator_card,
    words_on,
)
from napari_stemlearn.widgets.background import Background
from napari_stemlearn.widgets.choosers import Sentences
from napari_stemlearn.widgets.editors import CalmComboBox
from napari_stemlearn.widgets.labels import ErrorLabel
from napari_stemlearn.widgets.project import Project, shared_project
from napari_stemlearn.widgets.rows import lay_out_chooser

PLAIN = "none: plain simulations"
OTHER = "another folder…"

DATE = len("20261121-141503")
"""Letters of date and time in the name of a run."""

RUNS_READ = 200
"""Newest runs that are looked through for generators."""


class GeneratorChooser(QWidget):
    """A list of generators, and beneath it what the chosen one learnt from and how well it keeps labels."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.project = shared_project()
        self.folder = ""
        self.card: dict[str, Any] = {}
        self._problem: str | None = None
        self._folders: list[str] = [""]
        self._entries: list[tuple[Path, str]] = []
        self.box = CalmComboBox()
        self.box.setToolTip("Gives simulations the look of the experiment that it learnt from")
        self.words = Sentences()
        self.error = ErrorLabel()
        lay_out_chooser(self, "Generator", [self.box], beneath=[self.words, self.error])
        self._lister = Background(self)
        self._lister.done.connect(self._listed)
        self._lister.failed.connect(lambda sentence, _detail: self.error.say(sentence))
        self.box.activated.connect(self._chosen)
        self.project.changed.connect(self.refresh)
        self._fill()

    def choose(self, folder: str | Path) -> None:
        """Choose the generator of a folder, or of a folder in it; none for an empty text."""
        self.show_folder(str(folder))
        self.changed.emit()

    def show_folder(self, folder: str) -> None:
        """Show the generator of a folder without telling that it changed."""
        self.folder = str(generator_near(Path(folder)) or folder) if folder else ""
        self._fill()

    def problem(self) -> str | None:
        """Why the chosen generator cannot be used, or None."""
        return self._problem

    def refresh(self) -> None:
        """List the generators again, in a thread: many folders are looked through."""
        self._lister.start(known_generators, self.project)

    def _listed(self, entries: list[tuple[Path, str]]) -> None:
        self._entries = entries
        self._fill()

    def _fill(self) -> None:
        """Show the list, and read the card of the chosen generator."""
        entries = list(self._entries)
        if self.folder and all(Path(self.folder) != folder for folder, _words in entries):
            entries.append((Path(self.folder), Path(self.folder).name))
        self._folders = ["", *(str(folder) for folder, _words in entries)]
        self.box.clear()
        self.box.addItem(PLAIN)
        for folder, words in entries:
            self.box.addItem(words)
            self.box.setItemData(self.box.count() - 1, str(folder), Qt.ItemDataRole.ToolTipRole)
        self.box.addItem(OTHER)
        self._show_chosen()

    def _show_chosen(self) -> None:
        same = [index for index, folder in enumerate(self._folders) if Path(folder) == Path(self.folder)]
        self.box.setCurrentIndex(same[0] if self.folder else 0)
        self.card, self._problem = {}, None
        if self.folder:
            try:
                self.card = read_generator_card(self.folder)
                if not is_generator(self.folder):
                    self._problem = f"The generator in {self.folder} has no weights."
            except ModelError as error:
                self._problem = str(error)
        words = card_words(self.card) if self.card else []
        self.words.say(*words if self.folder else ["Images stay as they are simulated."])
        self.words.setToolTip(self.folder)
        self.error.say(self._problem)

    def showEvent(self, event: QShowEvent) -> None:
        # a generator trained meanwhile is there when the dock is looked at again
        self.refresh()
        super().showEvent(event)

    def _chosen(self, index: int) -> None:
        if index < len(self._folders):
            self.choose(self._folders[index])
            return
        self._show_chosen()
        dialog = QFileDialog(self, "Folder of a generator", str(self.project.folder))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(self.choose)
        dialog.open()


def is_generator(folder: str | Path) -> bool:
    """Whether a folder has the files of a generator."""
    return all((Path(folder) / name).is_file() for name in (GENERATOR_CARD, GENERATOR_WEIGHTS))


def generator_near(folder: Path) -> Path | None:
    """The generator of a folder, or of a run whose folder it is; None where there is none."""
    if (folder / GENERATOR_CARD).is_file():
        return folder
    # not everything below: that can be a whole disk
    for place in (folder, folder / "result"):
        cards = visible_files(place, f"*/{GENERATOR_CARD}")
        if cards:
            return cards[0].parent
    return None


def known_generators(project: Project) -> list[tuple[Path, str]]:
    """Folders and names of the generators of a project: those that were kept, then those of its runs, newest first."""
    found = [(folder, folder.name) for folder in generators_in(project.generators)]
    cards = {(folder / GENERATOR_CARD).read_bytes() for folder, _name in found}
    for run in jobs.list_runs(project.runs)[:RUNS_READ]:
        if "-cyclegan" not in run.name:
            continue
        for folder in generators_in(run.result_folder):
            card = (folder / GENERATOR_CARD).read_bytes()
            if card not in cards:
                cards.add(card)
                # date and time tell trainings of one name apart
                found.append((folder, f"{folder.name} ({run.name[:DATE]})"))
    return found


def crystals_of(card: dict[str, Any]) -> list[str]:
    """Crystals that a generator learnt from."""
    names: list[str] = []
    for part in (card.get("settings") or {}).get("structures") or ():
        own = str((part.get("structure") or {}).get("crystal") or "")
        names += [str(name) for name in part.get("crystals") or ()] or [own]
    return list(dict.fromkeys(Path(name).name for name in names if name))


def card_words(card: dict[str, Any]) -> list[str]:
    """What a generator learnt from and what was measured then, one sentence a line."""
    settings = card.get("settings") or {}
    images = [Path(str(path)).name for path in settings.get("experiment") or ()]
    learnt = f"Learnt from {images[0] if len(images) == 1 else f'{len(images)} files'}" if images else "Learnt"
    crystals = crystals_of(card)
    simulated = f" and simulations of {', '.join(crystals)}" if crystals else ""
    stack = learnt_stack(card)
    if stack:
        simulated = f" and the simulated stack {stack[0] if len(stack) == 1 else f'of {len(stack)} files'}"
    size = card.get("pixel_size")
    at = f", at {size:.4g} Å/\u2060px" if isinstance(size, int | float) else ""
    return [f"{learnt}{simulated}{at}.", *words_on(card)]
