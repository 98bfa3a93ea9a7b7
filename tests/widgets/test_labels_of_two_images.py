"""Two images labelled side by side: clicks and keys go to the labels that the dock shows, and to no others."""

from __future__ import annotations

import pytest
from hands import click, press
from sites_and_images import add_stack, lattice_stack


@pytest.fixture
def two(at_work):
    """A dock with labels started on two images of one place; the second is in view."""
    add_stack(at_work.viewer, lattice_stack(seed=1)[0], "detector 2")
    at_work.image.choose(at_work.viewer.layers["detector 2"])
    at_work.start_button.button.click()
    at_work.viewer.dims.set_point(0, 0)
    assert [session.image.name for session in at_work.sessions] == ["stack", "detector 2"]
    return at_work


def marks(dock):
    return [len(session.labels.sites) for session in dock.sessions]


def test_choosing_an_image_lets_clicks_and_keys_go_to_its_labels(two):
    first, second = two.sessions
    two.image.choose(first.image)
    assert two.session is first
    assert two.viewer.layers.selection.active == first.layer
    assert two.label_box.isChecked()
    click(two, 24, 24)
    assert marks(two) == [1, 0]
    press(two, "2")
    assert [session.site_class for session in two.sessions] == two.classes.classes[1::-1]
    press(two, "D")
    assert [session.labels.done for session in two.sessions] == [{0}, set()]
    assert two.message.text() == "Frame 0 is done."
    press(two, "D")
    assert two.message.text() == "Frame 0 is open again."
    assert second.labels.undo_name == ""


def test_selecting_the_labels_of_the_other_image_shows_them_in_the_dock(two):
    first, second = two.sessions
    two.viewer.layers.selection.active = first.layer
    assert two.session is first
    assert two.image.layer() == first.image
    assert two.sets.currentText() == first.path.stem
    assert two.label_box.isChecked()
    click(two, 24, 24)
    two.viewer.layers.selection.active = second.layer
    assert two.session is second
    assert marks(two) == [1, 0]


def test_labels_that_are_not_in_view_take_no_clicks_and_no_keys(two):
    first, second = two.sessions
    pressed = next(function for key, function in first.layer.keymap.items() if str(key) == "2")
    pressed(first.layer)
    assert second.site_class == second.classes[0]
    with pytest.raises(StopIteration):
        click(type("Dock", (), {"session": first}), 24, 24)
    assert marks(two) == [0, 0]
    # what a tool of napari did is theirs, and the dock says nothing about it
    before = two.message.text()
    first.layer.add([[0, 30, 30]])
    assert marks(two) == [1, 0]
    assert two.message.text() == before


def test_an_image_without_labels_takes_no_clicks_for_those_of_another(two):
    third = add_stack(two.viewer, lattice_stack(seed=2)[0], "detector 3")
    two.viewer.layers.selection.active = two.session.layer
    two.image.choose(third)
    assert two.session is None
    assert two.viewer.layers.selection.active == third


def test_a_new_set_of_the_same_image_takes_the_clicks_and_the_old_one_can_be_chosen_again(two):
    _first, second = two.sessions
    two.sets.setCurrentIndex(two.sets.count() - 1)
    two.sets.activated.emit(two.sets.currentIndex())
    assert not two.work.isVisibleTo(two)
    assert two.viewer.layers.selection.active == second.image
    two.start_button.button.click()
    click(two, 24, 24)
    assert marks(two) == [0, 0, 1]
    two.sets.setCurrentIndex(two.sets.findText(second.path.stem))
    two.sets.activated.emit(two.sets.currentIndex())
    assert two.session is second
    assert two.viewer.layers.selection.active == second.layer
    two.viewer.layers.selection.active = two.sessions[2].layer
    assert two.session is two.sessions[2]


def test_removing_the_labels_in_view_leaves_the_others_to_their_own_image(two):
    first, second = two.sessions
    two.viewer.layers.remove(second.layer)
    assert two.sessions == [first]
    shown = two.session
    active = two.viewer.layers.selection.active
    assert (shown is first) == (active == first.layer)
