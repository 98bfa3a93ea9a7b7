"""Choose images for a training: a layer of the viewer, files, or a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.widgets.background import Background
from napari_stemlearn.widgets.choosers import LayerChooser, PixelSizeRow, Sentences
from napari_stemlearn.widgets.labels import ElidedLabel, ErrorLabel
from napari_stemlearn.widgets.layers import micrograph_from_layer
from napari_stemlearn.widgets.menu_button import MenuButton
from napari_stemlearn.widgets.rows import BUTTON_WIDTH, lay_out_chooser

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_stemlearn.micrograph import Micrograph

UNCALIBRATED = "Give the pixel size of the images first."
LOOKING = "The images are being looked at."


class ImagesChooser(QWidget):
    """The images, their pixel size, and what is wrong with them.

    Parameters
    ----------
    viewer
        Whose layers are offered.
    """

    changed = Signal()

    word = ""
    """Beside the list of layers."""
    tip = ""
    """Of that list."""
    title = ""
    """Of the dialogs for files."""
    empty = "open an image first"
    """In the list while there is nothing to choose."""
    nothing = ""
    """What to do where nothing is chosen."""

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None):
        super().__init__(parent)
        self.files: tuple[str, ...] = ()
        self.pixel_size: float | None = None
        self.look: Any = None
        self.viewer = viewer
        self._watched: Any = None
        self._problem: str | None = self.nothing
        self.layers = LayerChooser(viewer, self.offered, empty_text=self.empty, tip=self.tip)
        self.chosen_files = ElidedLabel(mode=Qt.TextElideMode.ElideMiddle)
        self.button = MenuButton("Take files or a folder in place of a layer")
        self.button.setFixedWidth(BUTTON_WIDTH)
        entries = self.button.entries
        entries.addAction("Choose files…", lambda: self._ask(QFileDialog.FileMode.ExistingFiles))
        entries.addAction("Choose a folder…", lambda: self._ask(QFileDialog.FileMode.Directory))
        self._back = entries.addAction("A layer of the viewer", lambda: self.choose_files(()))
        self.size_row = PixelSizeRow(viewer)
        self.facts = Sentences()
        self.error = ErrorLabel()
        beneath = [self.size_row, self.facts, self.error]
        lay_out_chooser(self, self.word, [self.layers, self.chosen_files], buttons=[self.button], beneath=beneath)
        self._background = Background(self)
        self._background.done.connect(self._looked)
        self._background.failed.connect(self._refused)
        self.layers.chosen.connect(lambda _layer: self._layer_changed())
        self.layers.calibrated.connect(self.refresh)
        self.layers.listed.connect(self._layers_listed)
        self._layer_changed()

    # -- what the choosers differ in; classes of Qt cannot be abstract ones

    def offered(self, viewer: ViewerModel) -> list[Any]:
        """Layers to choose from."""
        raise NotImplementedError

    def why_nothing(self) -> str:
        """What to do where there is nothing to choose."""
        return self.nothing

    def look_at_files(self) -> None:
        """Look at the chosen files in a thread."""
        raise NotImplementedError

    def look_at_layer(self, layer: Any, micrograph: Micrograph) -> None:
        """Look at the chosen layer in a thread.

        Raises
        ------
        StemlearnError
            If there is nothing to look at.
        """
        raise NotImplementedError

    def take(self, look: Any) -> None:
        """Take what was seen, or say what is missing."""
        raise NotImplementedError

    # -- what is chosen

    def layer(self) -> Any:
        """The chosen layer; None where files are chosen, or nothing."""
        return None if self.files else self.layers.layer()

    def micrograph(self) -> Micrograph:
        """The image of the chosen layer.

        Raises
        ------
        MicrographError
            If it cannot be one.
        """
        return micrograph_from_layer(self.layers.layer())

    def choose_files(self, files: tuple[str, ...] | list[str], pixel_size: float | None = None) -> None:
        """Take files or folders, with a pixel size in angstrom where they have none; nothing goes back to layers."""
        self.files, self.pixel_size = tuple(files), pixel_size
        self.refresh()

    def problem(self) -> str | None:
        """Why nothing can be learnt from what is chosen, or None."""
        return self._problem

    # -- looking

    def refresh(self) -> None:
        """Look again at what is chosen."""
        self.look = None
        self._background.forget()
        self.facts.say()
        self.error.say(None)
        self.layers.setVisible(not self.files)
        self.chosen_files.setVisible(bool(self.files))
        self._back.setVisible(bool(self.files))
        layer = self.layer()
        self._problem = LOOKING
        if self.files:
            self.size_row.ask_for(None)
            self.chosen_files.set_full_text(_short(self.files), "\n".join(self.files))
            self.look_at_files()
        elif layer is None:
            self.size_row.ask_for(None)
            self._problem = self.why_nothing()
        else:
            self._look_at(layer)
        self.changed.emit()

    def _look_at(self, layer: Any) -> None:
        self.size_row.ask_for(layer)
        try:
            micrograph = self.micrograph()
        except StemlearnError as error:
            self._say(str(error))
            return
        if micrograph.pixel_size is None:
            self._problem = UNCALIBRATED
            return
        self.facts.say("Looking at the images…")
        try:
            self.look_at_layer(layer, micrograph)
        except StemlearnError as error:
            self._say(str(error))

    def _looked(self, look: Any) -> None:
        self.take(look)
        self.changed.emit()

    def _refused(self, sentence: str, detail: str) -> None:
        self._say(sentence, detail)
        self.changed.emit()

    def _say(self, sentence: str, detail: str = "") -> None:
        self._problem = sentence
        self.facts.say()
        self.error.say(sentence, detail)

    def _layer_changed(self) -> None:
        layer = self.layers.layer()
        if self._watched is not None:
            self._watched.events.data.disconnect(self._on_data)
        self._watched = layer
        if layer is not None:
            layer.events.data.connect(self._on_data)
        if not self.files:
            self.refresh()

    def _layers_listed(self) -> None:
        if not self.files and self.layers.layer() is None:
            self.refresh()

    def _on_data(self, _event: Any = None) -> None:
        if isalive(self) and not self.files:
            self.refresh()

    # -- files

    def _ask(self, mode: QFileDialog.FileMode) -> None:
        dialog = QFileDialog(self, self.title)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(mode)
        dialog.filesSelected.connect(self.choose_files)
        dialog.open()


def _short(files: tuple[str, ...]) -> str:
    return files[0] if len(files) == 1 else f"{len(files)} files: {files[0]} …"
