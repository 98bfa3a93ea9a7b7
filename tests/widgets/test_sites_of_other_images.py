"""Several images in a viewer: each is reviewed with its own predictions, and its matches lie in a layer of its own."""

from __future__ import annotations

import numpy as np
from hands import click, predictions
from sites_and_images import PIXEL_SIZE, add_stack, lattice_stack

from napari_stemlearn.sites import make_sites
from napari_stemlearn.widgets.layers import about, add_sites, our_layers


def sites_of(viewer, image, kind, place):
    table = make_sites([place], [place], "vacancy1", pixel_size=PIXEL_SIZE, score=0.9, origin=kind)
    return add_sites(viewer, table, kind=kind, source_layer=image, name=f"{kind} of {image.name}")


def sites_from_file(viewer, image_name):
    """Predictions as the reader gives them: they know their image by its name, or not at all."""
    table = make_sites([8], [8], "vacancy1", pixel_size=PIXEL_SIZE, score=0.9, origin="predicted")
    record = {"source": image_name}
    return add_sites(viewer, table, kind="predicted", pixel_size=PIXEL_SIZE, stack=True, record=record)


def test_predictions_of_another_image_are_not_reviewed(at_work):
    dock = at_work
    add_stack(dock.viewer, lattice_stack(seed=3)[0], "another")
    sites_from_file(dock.viewer, "another").name = "theirs"
    assert dock.review._sources(dock.viewer) == []
    dock.review.promote()
    assert len(dock.session.labels.sites) == 0
    mine = sites_from_file(dock.viewer, "stack")
    assert dock.review._sources(dock.viewer) == [mine]


def test_predictions_that_name_no_image_are_reviewed_where_there_is_but_one(at_work):
    dock = at_work
    layer = sites_from_file(dock.viewer, None)
    assert dock.review._sources(dock.viewer) == [layer]
    other = add_stack(dock.viewer, lattice_stack(seed=3)[0], "another")
    assert dock.review._sources(dock.viewer) == []
    dock.viewer.layers.remove(other)
    predictions(dock.viewer, other)
    assert dock.review._sources(dock.viewer) == [layer]


def scored(dock, qtbot, found, truth):
    dock.score.found.choose(found)
    dock.score.truth.choose(truth)
    dock.score.scores = None
    dock.score.score_now()
    qtbot.waitUntil(lambda: dock.score.scores is not None, timeout=20000)


def test_matches_of_another_image_lie_in_a_layer_of_their_own(at_work, qtbot):
    dock, viewer = at_work, at_work.viewer
    images = [
        dock.session.image,
        add_stack(viewer, lattice_stack(seed=3)[0], "moved"),
        add_stack(viewer, lattice_stack(n_frames=1)[0][0], "single"),
    ]
    images[1].translate = (0, 50, 0)
    pairs = [
        (sites_of(viewer, image, "predicted", place), sites_of(viewer, image, "truth", place))
        for image, place in zip(images, (8, 24, 40), strict=True)
    ]
    for number, (found, truth) in enumerate(pairs):
        scored(dock, qtbot, found, truth)
        assert len(our_layers(viewer, "matches")) == number
        dock.score.show_matches()
    layers = our_layers(viewer, "matches")
    assert [about(layer)["source_id"] for layer in layers] == [str(image.unique_id) for image in images]
    # each is filled again by scores of its own image alone
    scored(dock, qtbot, *pairs[0])
    for layer, image, place in zip(layers, images, (8, 24, 40), strict=True):
        np.testing.assert_allclose(layer.data[:, -2:], [[place, place]])
        assert layer.ndim == image.ndim
        np.testing.assert_array_equal(layer.translate, image.translate)
    click(dock, 24, 24)
    scored(dock, qtbot, pairs[0][0], dock.session.layer)
    assert [len(layer.data) for layer in layers] == [2, 1, 1]
    assert our_layers(viewer, "matches") == layers
