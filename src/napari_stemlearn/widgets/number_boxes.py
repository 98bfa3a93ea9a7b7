"""Boxes of numbers that read and show the same in every language, where Qt takes some points for those of thousands."""

from __future__ import annotations

from qtpy.QtCore import QLocale, Signal
from qtpy.QtGui import QValidator
from qtpy.QtWidgets import QAbstractSpinBox, QDoubleSpinBox, QSpinBox, QWidget

from napari_stemlearn.widgets.typed_numbers import plain_number


class NumberBox(QDoubleSpinBox):
    """A box for a number; decimals stand behind a point or a comma.

    What is no number inside the bounds stays while somebody types; then the last number comes back.

    Parameters
    ----------
    symbol
        Stands behind the number.
    unit
        That of the number, as settings name it. Where it is a length, others may be typed.
    """

    changed = Signal()

    def __init__(self, symbol: str = "", unit: str = "", parent: QWidget | None = None):
        super().__init__(parent)
        self._unit = unit
        _prepare(self, symbol)
        self.valueChanged.connect(lambda _value: self.changed.emit())

    def raw(self) -> float:
        """The number."""
        return self.value()

    def set_raw(self, value: float) -> None:
        """Show a number."""
        self.setValue(value)

    def valueFromText(self, text: str) -> float:
        number = _number_in(self, text, self._unit)
        return self.value() if number is None else number

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        return _state(_number_in(self, text, self._unit), self.minimum(), self.maximum()), text, position

    def fixup(self, text: str) -> str:
        # Qt would take out the commas
        return text


class WholeNumberBox(QSpinBox):
    """A box for a whole number; one with decimals is none.

    Parameters
    ----------
    symbol
        Stands behind the number.
    """

    changed = Signal()

    def __init__(self, symbol: str = "", parent: QWidget | None = None):
        super().__init__(parent)
        _prepare(self, symbol)
        self.valueChanged.connect(lambda _value: self.changed.emit())

    def raw(self) -> int:
        """The number."""
        return self.value()

    def set_raw(self, value: int) -> None:
        """Show a number."""
        self.setValue(value)

    def valueFromText(self, text: str) -> int:
        number = self._whole(text)
        return self.value() if number is None else number

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        return _state(self._whole(text), self.minimum(), self.maximum()), text, position

    def fixup(self, text: str) -> str:
        # Qt would take out the commas
        return text

    def _whole(self, text: str) -> int | None:
        if text == self.specialValueText():
            return self.minimum()
        number = _number_in(self, text, "")
        return int(number) if number is not None and number.is_integer() else None


def _prepare(box: NumberBox | WholeNumberBox, symbol: str) -> None:
    box.setLocale(QLocale.c())
    box.setCorrectionMode(QAbstractSpinBox.CorrectionMode.CorrectToPreviousValue)
    if symbol:
        box.setSuffix(f" {symbol}")


def _number_in(box: NumberBox | WholeNumberBox, text: str, unit: str) -> float | None:
    try:
        return float(plain_number(text.strip().removesuffix(box.suffix().strip()), unit))
    except ValueError:
        return None


def _state(number: float | None, low: float, high: float) -> QValidator.State:
    good = number is not None and low <= number <= high
    return QValidator.State.Acceptable if good else QValidator.State.Intermediate
