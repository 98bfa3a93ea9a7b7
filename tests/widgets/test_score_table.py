"""Names in the table of a score can be read in a narrow dock."""

from __future__ import annotations

import pytest

from napari_stemlearn.widgets.score_table import BESIDE_NAME, RMS, ROW, ScoreTable

LONG = "a_class_with_a_very_long_name"


def row_of(name):
    numbers = dict.fromkeys(("precision", "recall", "f1", "rms_error_angstrom"), 0.123)
    counts = dict.fromkeys(("tp", "fp", "fn", "n_truth", "n_found"), 123)
    return {"class": name, **numbers, **counts, "mean_dy_angstrom": 0.0, "mean_dx_angstrom": 0.0}


@pytest.fixture
def table(qtbot):
    table = ScoreTable()
    qtbot.addWidget(table)
    table.show()
    return table


def needed(table):
    """Width at which all columns and the name of the first row have their room."""
    # Qt says nothing of the width of a hidden column
    table.setColumnHidden(RMS, False)
    others = sum(table._width(column) for column in range(1, table.columnCount()))
    name = table.fontMetrics().horizontalAdvance(table.item(0, 0).text())
    return name + BESIDE_NAME + others + table.width() - table.viewport().width()


def test_distances_give_way_to_a_name_and_then_the_name_breaks(table, qtbot):
    table.show_rows([row_of("metal_vac"), row_of("S"), row_of("all")])
    wide, distances = needed(table), table._width(RMS)
    for width, hidden, one_line in (
        (wide, False, True),
        (wide - 2, True, True),
        (wide - 3, True, True),
        (wide - distances, True, True),
        (wide - distances - 2, True, False),
        (wide, False, True),
    ):
        table.resize(width, table.height())
        assert table.isColumnHidden(RMS) == hidden
        assert (table.rowHeight(0) == ROW) == one_line
        assert table.rowHeight(1) == ROW
        # the columns take their width when Qt comes to it
        qtbot.wait(20)
        longest = table.fontMetrics().horizontalAdvance("metal_vac" if one_line else "metal_")
        assert longest <= table.columnWidth(0) - BESIDE_NAME
        # no row is cut off below
        assert table.height() >= table.horizontalHeader().height() + sum(map(table.rowHeight, range(3)))


def test_a_very_long_name_does_not_take_the_distances_away_and_stands_in_the_tool_tip(table):
    table.show_rows([row_of("metal_vac"), row_of(LONG)])
    table.resize(needed(table) + 40, table.height())
    assert not table.isColumnHidden(RMS)
    assert table.rowHeight(1) > ROW
    assert table.item(1, 0).toolTip().startswith(f"{LONG}: 123 labelled")
    assert "rms distance 0.12 Å" in table.item(1, 0).toolTip()
