"""The button that copies Python, and other widgets that wait: nothing holds them when they are gone."""

from __future__ import annotations

import gc
import weakref

import pytest

from napari_stemlearn.widgets.copy_python import CopyButton
from napari_stemlearn.widgets.query_row import QueryRow


def test_the_button_says_for_a_while_that_it_copied(qtbot):
    button = CopyButton(lambda: "print()")
    qtbot.addWidget(button)
    button.click()
    assert button.text() == "Copied ✓"
    qtbot.waitUntil(lambda: button.text() == "Copy as Python")


@pytest.mark.parametrize("make", [lambda: CopyButton(str), lambda: QueryRow("Images")], ids=["button", "query"])
def test_a_timer_does_not_hold_its_widget(qapp, make):
    # what only the garbage collector can free, it may free in another thread, where Qt crashes
    gc.disable()
    try:
        widget = make()
        gone = weakref.ref(widget)
        del widget
        assert gone() is None
    finally:
        gc.enable()
