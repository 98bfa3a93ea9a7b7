"""Rows of a dock: what something is called at the left, the same width everywhere, and the thing itself beside it."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QWidget

LABEL_WIDTH = 120
"""Pixels for the labels of a form."""

NARROWEST_LABEL = 88
"""Pixels for them where they stand far to the right."""

BUTTON_WIDTH = 24
"""Pixels of a small button at the end of a row."""

GAP = 8
"""Pixels between a label and what stands beside it."""


def label_width(shift: int = 0) -> int:
    """Pixels for labels that stand some pixels further to the right: what is beside them stands in line."""
    return max(LABEL_WIDTH - shift, NARROWEST_LABEL)


def row_label(text: str, shift: int = 0) -> QLabel:
    """The label at the left of a row."""
    label = QLabel(text)
    label.setMinimumWidth(label_width(shift))
    return label


def labelled_row(text: str, widget: QWidget, *buttons: QWidget, shift: int = 0) -> QWidget:
    """A label, a widget that takes the room, and small buttons after it."""
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(GAP)
    layout.addWidget(row_label(text, shift))
    layout.addWidget(widget, 1)
    for button in buttons:
        layout.addWidget(button)
    return row


def lay_out_chooser(
    chooser: QWidget,
    text: str,
    choices: Sequence[QWidget],
    *,
    buttons: Sequence[QWidget] = (),
    beneath: Sequence[QWidget] = (),
) -> None:
    """Lay out a chooser: its label, what can be chosen, small buttons after it, and words about it beneath.

    Parameters
    ----------
    chooser
        Gets the layout.
    text
        Of the label.
    choices
        In one place; one of them is shown at a time.
    buttons
        At the end of the row.
    beneath
        Each takes the whole width.
    """
    grid = QGridLayout(chooser)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(GAP)
    grid.setVerticalSpacing(2)
    grid.setColumnStretch(1, 1)
    grid.addWidget(row_label(text), 0, 0)
    for choice in choices:
        grid.addWidget(choice, 0, 1)
    for column, button in enumerate(buttons, 2):
        grid.addWidget(button, 0, column)
    for row, widget in enumerate(beneath, 1):
        grid.addWidget(widget, row, 0, 1, 2 + len(buttons))
