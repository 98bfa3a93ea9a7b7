"""The question for a pixel size takes a number alone or with a unit, and nothing that can be read in two ways."""

from __future__ import annotations

import pytest
from napari.components import ViewerModel

from napari_stemlearn.widgets.choosers import PixelSizeRow


@pytest.fixture
def answers(qtbot):
    """What a question was answered, and the question."""
    row = PixelSizeRow(ViewerModel())
    qtbot.addWidget(row)
    taken = []
    row.ask("day", taken.append)
    return row, taken


@pytest.mark.parametrize("text", ["1,000", "1,000 Å", "12,500"])
def test_a_comma_of_thousands_is_asked_about(answers, text):
    row, taken = answers
    row.line.setText(text)
    row.write()
    assert not taken
    assert row.asks
    number = text.split()[0]
    words = f"can be read as {number.replace(',', '.')} or as {number.replace(',', '')}: leave the comma out."
    assert words in row.error.text()


@pytest.mark.parametrize(("text", "size"), [("0,2", 0.2), ("0,250", 0.25), ("1.000", 1.0), ("20 pm", 0.2)])
def test_a_decimal_comma_is_none_of_thousands(answers, text, size):
    row, taken = answers
    row.line.setText(text)
    row.write()
    assert taken == [pytest.approx(size)]
