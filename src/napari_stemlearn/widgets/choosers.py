"""Parts that docks share: a chooser of layers, the question for a pixel size, a button that says why it is off."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QPushButton, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from napari_stemlearn.errors import MicrographError
from napari_stemlearn.formats.lengths import typed_length
from napari_stemlearn.micrograph import check_pixel_size
from napari_stemlearn.widgets.editors import CalmComboBox
from napari_stemlearn.widgets.labels import DimLabel, ErrorLabel
from napari_stemlearn.widgets.layers import calibrate, kind_of, pixel_size_of
from napari_stemlearn.widgets.typed_numbers import two_readings

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer


NARROW = 80
"""Pixels that a list of layers needs at least."""


class LayerChooser(CalmComboBox):
    """Choose one of some layers of a viewer; follows the layer list and its names.

    `chosen` brings another layer, `calibrated` tells that scale or units of the chosen one changed, `listed` that the
    layers of the viewer are others. Previews are chosen by hand alone.

    Parameters
    ----------
    viewer
        Whose layers.
    accepts
        Gives the layers to choose from, in the order of the list.
    empty_text
        Shown while there is nothing to choose.
    follows
        Asked when another layer is selected in the viewer; where it is true, that layer is chosen. None stays with the
        chosen layer.
    prefers
        Gives the one of the layers that stands there until a layer is chosen; by default the first that is no preview.
    tip
        What is chosen here, for the tool tip; the whole name of the layer stands beneath it.
    """

    chosen = Signal(object)
    calibrated = Signal()
    listed = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        accepts: Callable[[ViewerModel], list[Any]],
        *,
        empty_text: str = "",
        follows: Callable[[Any], bool] | None = None,
        prefers: Callable[[list[Any]], Any] | None = None,
        tip: str = "",
        parent: QWidget | None = None,
    ):
        super().__init__(parent)
        self._viewer = viewer
        self._accepts = accepts
        self._follows = follows
        self._prefers = prefers
        self._is_choice = False
        self._tip = tip
        self._layers: list[Layer] = []
        self._last: Layer | None = None
        self.setPlaceholderText(empty_text)
        # its words must not make the dock wider
        self.setMinimumWidth(NARROW)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        events = viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered):
            event.connect(self._on_list)
        if follows is not None:
            viewer.layers.selection.events.active.connect(self._on_active)
        self.activated.connect(lambda _index: self._take())
        self.refresh()

    def layer(self) -> Any:
        """The chosen layer, or None."""
        index = self.currentIndex()
        return self._layers[index] if 0 <= index < len(self._layers) else None

    def choose(self, layer: Layer | None) -> None:
        """Choose a layer; nothing happens where it is not in the list."""
        if layer in self._layers:
            self.setCurrentIndex(self._layers.index(layer))
            self._take()

    def let_go(self) -> None:
        """Forget that a layer was chosen, where there is one that is preferred."""
        self._is_choice = False
        self.prefer()

    def prefer(self) -> None:
        """Show the layer that is preferred now, unless one was chosen."""
        if self._prefers is not None and not self._is_choice and self._layers:
            self.setCurrentIndex(self._layers.index(self._prefers(self._layers)))
            self._tell()

    def refresh(self) -> None:
        """Read the layer list again; the chosen layer stays chosen while it is there."""
        now: list[Layer] = list(self._accepts(self._viewer))
        present = self.layer()
        self.blockSignals(True)
        self.clear()
        self._layers = now
        for layer in now:
            self.addItem(layer.name)
            layer.events.name.connect(self._on_name)
            for event in (layer.events.scale, layer.events.units):
                event.connect(self._on_calibration)
        self._is_choice &= present in now
        if present in now and (self._is_choice or self._prefers is None):
            self.setCurrentIndex(now.index(present))
        elif now and self._prefers is not None:
            self.setCurrentIndex(now.index(self._prefers(now)))
        else:
            self.setCurrentIndex(next((index for index, layer in enumerate(now) if kind_of(layer) != "preview"), -1))
        self.blockSignals(False)
        self.setEnabled(bool(now))
        self._tell()
        self.listed.emit()

    def _take(self) -> None:
        self._is_choice = True
        self._tell()

    def _tell(self) -> None:
        layer = self.layer()
        self.setToolTip("\n".join(filter(None, (self._tip, layer.name if layer is not None else ""))))
        if layer != self._last:
            self._last = layer
            self.chosen.emit(layer)

    def _on_list(self, _event: Any = None) -> None:
        if isalive(self):
            self.refresh()

    def _on_active(self, _event: Any = None) -> None:
        layer = self._viewer.layers.selection.active
        if isalive(self) and layer is not None and layer in self._layers and self._follows and self._follows(layer):
            self.choose(layer)

    def _on_calibration(self, event: Any = None) -> None:
        if isalive(self) and getattr(event, "source", None) == self.layer():
            self.calibrated.emit()

    def _on_name(self, _event: Any = None) -> None:
        if isalive(self):
            for index, layer in enumerate(self._layers):
                self.setItemText(index, layer.name)
            self._tell()


MISSING_SIZE = "This image has no pixel size. How wide is a pixel?"
WRONG_SIZE = "How wide is a pixel? What was found and labelled stays on its pixels."


class PixelSizeRow(QWidget):
    """Asks for the pixel size of a layer or of files that have none; tells the one of a layer, and lets it be changed.

    The answer is written on the layer, or handed to whoever asked.

    Parameters
    ----------
    viewer
        Whose layers are asked about.
    """

    given = Signal()

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None):
        super().__init__(parent)
        self._viewer = viewer
        self._layer: Layer | None = None
        self._name = ""
        self._take: Callable[[float], None] | None = None
        self.known = DimLabel()
        self.change_button = QToolButton()
        self.change_button.setText("Change")
        self.change_button.setToolTip("Give another pixel size, where that of the file is wrong")
        self.question = QLabel(MISSING_SIZE)
        self.question.setWordWrap(True)
        self.line = QLineEdit()
        self.line.setPlaceholderText("0.2")
        self.line.setToolTip("In angstrom, or with another unit of length: 20 pm")
        self.line.setMaximumWidth(90)
        self.unit = QLabel("Å")
        self.button = QPushButton("Use")
        self.error = ErrorLabel()
        told = QHBoxLayout()
        told.addWidget(self.known, 1)
        told.addWidget(self.change_button)
        row = QHBoxLayout()
        for part in (self.line, self.unit, self.button):
            row.addWidget(part)
        row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(told)
        layout.addWidget(self.question)
        layout.addLayout(row)
        layout.addWidget(self.error)
        self.change_button.clicked.connect(self.change)
        self.button.clicked.connect(self.write)
        self.line.returnPressed.connect(self.write)
        self._show()

    @property
    def asks(self) -> bool:
        """Whether the question stands there."""
        return self._take is not None

    def ask_for(self, layer: Layer | None) -> None:
        """Show the question where the layer needs it, else its pixel size."""
        size = None
        self._layer, self._take = layer, None
        self.error.say(None)
        if layer is not None:
            try:
                size = pixel_size_of(layer)
            except MicrographError:
                # the button beneath says why such an image cannot be used
                self._layer = None
        if self._layer is not None and size is None:
            self._ask_about(self._layer, MISSING_SIZE)
        self.known.setText("" if size is None else f"Pixel size {size:.4g}\u00a0Å")
        self._show()

    def ask(self, name: str, take: Callable[[float], None]) -> None:
        """Show the question; a good answer is handed to `take`."""
        self._name, self._take = name, take
        self.question.setText(MISSING_SIZE)
        self.error.say(None)
        self._show()

    def change(self) -> None:
        """Ask for another pixel size of the layer; asked again, leave it as it is."""
        if self._layer is None or self.asks:
            self.ask_for(self._layer)
            return
        self._ask_about(self._layer, WRONG_SIZE)
        self.line.setText(f"{pixel_size_of(self._layer):.4g}")
        self.line.selectAll()
        self.line.setFocus()
        self._show()

    def _ask_about(self, layer: Layer, question: str) -> None:
        self._name = layer.name
        self._take = lambda value: calibrate(self._viewer, layer, value)
        self.question.setText(question)

    def _show(self) -> None:
        known = self._layer is not None and bool(self.known.text())
        for part in (self.known, self.change_button):
            part.setVisible(known)
        for part in (self.question, self.line, self.unit, self.button):
            part.setVisible(self.asks)
        self.setVisible(known or self.asks)

    def write(self) -> None:
        """Check the number in the line and hand it on."""
        take = self._take
        if take is None:
            return
        if doubtful := two_readings(self.line.text()):
            self.error.say(doubtful)
            return
        try:
            value = check_pixel_size(typed_length(self.line.text()), self._name)
        except MicrographError as error:
            self.error.say(str(error))
        except ValueError:
            text = self.line.text().strip() or "nothing"
            self.error.say(f"'{text}' is no pixel size; give it in angstrom, for example 0.2, or with a unit: 20 pm.")
        else:
            self.error.say(None)
            self._take = None
            take(value)
            self.line.clear()
            if self._layer is not None:
                self.ask_for(self._layer)
            self._show()
            self.given.emit()


class ReasonedButton(QWidget):
    """A button, and while it is off, the reason beneath it."""

    clicked = Signal()

    def __init__(self, text: str, *, main: bool = False, tip: str = "", parent: QWidget | None = None):
        super().__init__(parent)
        self._tip = tip
        self.button = QPushButton(text)
        self.button.setToolTip(tip)
        if main:
            self.button.setMinimumHeight(32)
            self.button.setStyleSheet("font-weight: bold;")
        self.reason = DimLabel()
        self.reason.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.button)
        layout.addWidget(self.reason)
        self.button.clicked.connect(self.clicked)

    def click(self) -> None:
        """Press the button, if it is on."""
        self.button.click()

    def allow(self, reason: str | None) -> None:
        """Switch the button on, or off with the reason."""
        self.button.setEnabled(not reason)
        self.button.setToolTip(reason or self._tip)
        self.reason.setText(reason or "")
        self.reason.setVisible(bool(reason))


class Sentences(DimLabel):
    """A few sentences in quiet text; no room is taken while there are none.

    Parameters
    ----------
    lines
        Room for so many is kept also while there are fewer, so that words that come and go move nothing; 0 keeps none.
    """

    def __init__(self, parent: QWidget | None = None, *, lines: int = 0):
        super().__init__("", parent)
        if lines:
            self.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
            policy = self.sizePolicy()
            policy.setRetainSizeWhenHidden(True)
            self.setSizePolicy(policy)
        self._lines = lines
        self._keep_room()
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.hide()

    def say(self, *sentences: str | None) -> None:
        """Show sentences, one a line; those that are empty are left out."""
        lines = [sentence for sentence in sentences if sentence]
        self.setText("<br>".join(lines))
        self.setVisible(bool(lines))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        # the theme brings another font
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._keep_room()

    def _keep_room(self) -> None:
        self.setMinimumHeight(self._lines * self.fontMetrics().lineSpacing())
