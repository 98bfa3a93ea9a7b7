"""Hand labels: nothing is lost, nothing is overwritten, every step can be taken back."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemlearn.errors import SitesError
from napari_stemlearn.labelling.hand_labels import ORDERS, HandLabels
from napari_stemlearn.sites import make_sites


def predictions(places, classes="vacancy1", scores=0.9, frame=0):
    y, x = np.array(places, dtype=float).T
    return make_sites(y, x, classes, pixel_size=0.2, frame=frame, score=scores, origin="predicted")


@pytest.fixture
def labels():
    return HandLabels(pixel_size=0.2, n_frames=3)


def test_adding_twice_at_one_place_keeps_one_label_and_changes_its_class(labels):
    assert labels.add(0, 10, 10, "vacancy1")
    assert not labels.add(0, 11, 11, "vacancy1")
    assert labels.add(0, 11, 11, "vacancy2")
    assert labels.add(1, 10, 10, "vacancy1")
    assert labels.sites["class"].tolist() == ["vacancy2", "vacancy1"]
    assert labels.sites["y_angstrom"].tolist() == pytest.approx([2.0, 2.0])
    assert set(labels.sites["origin"]) == {"hand"}
    assert labels.count_by_frame().tolist() == [1, 1, 0]


def test_every_change_can_be_undone_and_redone(labels):
    states = [labels.state]
    labels.add(0, 10, 10, "vacancy1")
    states.append(labels.state)
    labels.set_class([0], "vacancy2")
    states.append(labels.state)
    labels.set_done(0, True)
    states.append(labels.state)
    labels.promote(predictions([(50, 50)]))
    states.append(labels.state)
    labels.reject(predictions([(50, 50)]).iloc[0])
    states.append(labels.state)
    labels.remove_at(0, 10, 10)
    names = []
    for state in reversed(states):
        names.append(labels.undo())
        assert labels.state is state
    assert names[0] == "remove a label"
    assert labels.undo() == ""
    while labels.redo():
        pass
    assert len(labels.sites) == 0
    assert len(labels.rejected) == 1
    labels.undo()
    labels.add(0, 90, 90, "vacancy1")
    assert labels.redo() == ""


def test_promotion_never_touches_a_label(labels):
    labels.add(0, 10, 10, "vacancy1")
    labels.reject(predictions([(30, 30)]).iloc[0])
    before = labels.sites.copy()
    result = labels.promote(predictions([(11, 10), (30, 31), (60, 60), (80, 80)]))
    assert (result.added, result.kept, result.refused) == (2, 1, 1)
    assert str(result) == "2 predictions added; 1 left out beside a label; 1 left out because rejected."
    assert labels.sites.iloc[:1].equals(before)
    assert labels.sites["origin"].tolist() == ["hand", "predicted", "predicted"]
    assert labels.unreviewed_labels() == 2
    assert labels.promote(predictions([(60, 60)])).added == 0


def test_accepting_and_rejecting_promoted_predictions(labels):
    found = predictions([(60, 60), (80, 80)])
    labels.promote(found)
    assert len(labels.open_predictions(found)) == 2
    assert labels.accept(found.iloc[0])
    assert labels.sites["origin"].tolist() == ["edited", "predicted"]
    assert labels.sites["score"].iloc[0] == pytest.approx(0.9)
    labels.reject(found.iloc[1])
    assert len(labels.sites) == 1
    assert len(labels.open_predictions(found)) == 0
    assert not labels.accept(found.iloc[0])


def test_rejecting_beside_a_hand_label_leaves_the_label(labels):
    labels.add(0, 10, 10, "vacancy1")
    labels.reject(predictions([(10, 10)], "vacancy2").iloc[0])
    assert labels.sites["class"].tolist() == ["vacancy1"]


def test_open_predictions_come_in_the_asked_order(labels):
    found = predictions([(10, 10), (10, 90), (90, 10)], scores=[0.95, 0.52, 0.1])
    assert labels.open_predictions(found, ORDERS[0])["score"].tolist() == [0.52, 0.1, 0.95]
    assert labels.open_predictions(found, ORDERS[0], {"vacancy1": 0.9})["score"].tolist() == [0.95, 0.52, 0.1]
    assert labels.open_predictions(found, ORDERS[1])["score"].tolist() == [0.95, 0.52, 0.1]
    assert labels.open_predictions(found, ORDERS[2])["x"].tolist() == [10, 90, 10]
    labels.set_done(0, True)
    assert len(labels.open_predictions(found)) == 0
    with pytest.raises(SitesError, match="allowed"):
        labels.open_predictions(found, "backwards")


def test_those_who_listen_hear_each_change_once(labels):
    heard = []
    labels.on_change.append(lambda: heard.append(len(labels.sites)))
    labels.add(0, 10, 10, "vacancy1")
    labels.add(0, 10, 10, "vacancy1")
    labels.undo()
    labels.undo()
    assert heard == [1, 0]


def test_without_a_pixel_size_places_are_compared_in_pixels():
    labels = HandLabels(pixel_size=None)
    labels.add(0, 10, 10, "atom")
    assert labels.nearest(0, 14, 10) == 0
    assert labels.nearest(0, 16, 10) is None
    assert np.isnan(labels.sites["y_angstrom"]).all()


def test_many_labels_stay_quick_to_query(labels):
    rng = np.random.default_rng(0)
    many = predictions(rng.uniform(0, 4000, (20000, 2)))
    labels.replace_sites(many)
    assert labels.promote(many).added == 0
    assert labels.count_by_class() == {"vacancy1": 20000}
