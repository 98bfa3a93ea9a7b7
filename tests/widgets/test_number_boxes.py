"""Numbers typed into boxes are read the same in every language: a point and a comma both stand before decimals."""

from __future__ import annotations

import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QLocale, Qt

from napari_stemlearn.finding.candidates import Candidates
from napari_stemlearn.widgets.image_watch import ImageWatch
from napari_stemlearn.widgets.score_panel import ScorePanel
from napari_stemlearn.widgets.threshold_table import ThresholdTable


@pytest.fixture(params=["C", "de_DE", "fr_CH", "ar_EG"])
def language(request):
    before = QLocale()
    QLocale.setDefault(QLocale(request.param))
    yield request.param
    QLocale.setDefault(before)


@pytest.fixture
def panel(language, qtbot):
    viewer = ViewerModel()
    panel = ScorePanel(viewer, ImageWatch(viewer))
    qtbot.addWidget(panel)
    return panel


def typed(qtbot, box, text):
    """The value after somebody typed a text and pressed Return."""
    box.selectAll()
    qtbot.keyClicks(box, text)
    qtbot.keyClick(box, Qt.Key.Key_Return)
    return box.value()


def test_a_tolerance_is_read_the_same_everywhere(panel, qtbot):
    assert panel.tolerance.text() == "0.60 Å"
    for text, value in (("0.5", 0.5), ("0,5", 0.5), ("1.25", 1.25), ("1,25", 1.25), ("0.75 Å", 0.75), ("90 pm", 0.9)):
        assert typed(qtbot, panel.tolerance, text) == value, text
        assert panel.tolerance.text() == f"{value:.2f} Å"


def test_what_is_no_number_is_not_read_as_another_one(panel, qtbot):
    for text in ("abc", ".", "V 5", "20", "-1"):
        panel.tolerance.setValue(0.5)
        # the beginning of a number is typed as well
        assert typed(qtbot, panel.tolerance, text) == {"20": 2.0}.get(text, 0.5), text
        assert panel.tolerance.text() == f"{panel.tolerance.value():.2f} Å"
    assert typed(qtbot, panel.border, "12") == 12
    assert panel.border.text() == "12 px"
    for text in ("1.5", "1,5"):
        assert typed(qtbot, panel.border, text) == 1
        assert panel.border.text() == "1 px"
    assert typed(qtbot, panel.border, "-1") == -1
    assert panel.border.text() == "as searched"


def test_a_threshold_is_read_the_same_everywhere(language, qtbot):
    table = ThresholdTable()
    qtbot.addWidget(table)
    table.show_candidates(Candidates({"vacancy1": 0.46}, {"vacancy1": 0.1}, 0.2, (64, 64)))
    number = table.rows["vacancy1"][2]
    assert number.text() == "0.46"
    assert typed(qtbot, number, "0.31") == 0.31
    assert typed(qtbot, number, "0,57") == 0.57
    assert number.text() == "0.57"
    assert table.candidates.thresholds == {"vacancy1": 0.57}
