"""Layers keep pixel size, units, axis labels and classes, whatever the source looks like."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from napari_stemlearn.errors import MicrographError, SitesError
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.sites import make_sites
from napari_stemlearn.widgets.class_colours import KNOWN, PALETTE, colours_of
from napari_stemlearn.widgets.layers import (
    about,
    add_image,
    add_sites,
    calibrate,
    image_layers,
    micrograph_from_layer,
    our_layers,
    pixel_size_of,
    set_pixel_size,
    show_only,
    sites_from_layer,
    source_of,
    update_sites,
)


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("scale", "unit", "expected"),
    [(0.2, "angstrom", 0.2), (0.02, "nm", 0.2), (2e-5, "um", 0.2), (20.0, "pm", 0.2), (2e-5, "µm", 0.2)],
)
def test_pixel_size_comes_from_scale_and_units(viewer, scale, unit, expected):
    layer = viewer.add_image(noise(8, 9), scale=(scale, scale), units=(unit, unit))
    assert micrograph_from_layer(layer).pixel_size == pytest.approx(expected, rel=1e-9)


def test_pixel_units_give_no_pixel_size_until_it_is_written(viewer):
    layer = viewer.add_image(noise(3, 8, 9), scale=(1, 2, 2), translate=(0, 4, 6))
    assert micrograph_from_layer(layer).pixel_size is None
    set_pixel_size(layer, 0.25)
    assert micrograph_from_layer(layer).pixel_size == pytest.approx(0.25)
    assert [str(unit) for unit in layer.units] == ["pixel", "angstrom", "angstrom"]
    assert layer.axis_labels == ("frame", "y", "x")
    np.testing.assert_allclose(layer.translate, (0, 0.5, 0.75))
    with pytest.raises(MicrographError, match=r"0\.001"):
        set_pixel_size(layer, 0)


def on_screen(viewer, layer, pixel):
    """Where a pixel (y, x) of the only unit in the viewer lies on the screen, from the middle of the view."""
    world = np.asarray(layer.data_to_world(pixel))
    return (world - np.asarray(viewer.camera.center)[-2:]) * viewer.camera.zoom


@pytest.mark.parametrize("middle", [(20.0, 30.0), (200.0, -30.0)])
def test_an_image_stays_where_it_is_on_the_screen_when_its_pixel_size_is_given(viewer, middle):
    image = viewer.add_image(np.zeros((50, 80)), translate=(3, 4))
    viewer.camera.center, viewer.camera.zoom = (0, *middle), 7.0
    before = [on_screen(viewer, image, pixel) for pixel in ((0, 0), (12, 60))]
    for pixel_size in (0.2, 0.5):
        calibrate(viewer, image, pixel_size)
        np.testing.assert_allclose([on_screen(viewer, image, pixel) for pixel in ((0, 0), (12, 60))], before)


def test_an_image_in_another_unit_stays_where_it_is_beside_other_images(viewer):
    viewer.add_image(np.zeros((50, 80)), scale=(0.1, 0.1), units=("angstrom", "angstrom"))
    image = viewer.add_image(np.zeros((50, 80)), scale=(0.02, 0.02), units=("nm", "nm"))
    # the view is in angstrom, the smallest unit there is
    viewer.camera.center, viewer.camera.zoom = (0, 2.0, 8.0), 7.0
    calibrate(viewer, image, 0.4)
    np.testing.assert_allclose(viewer.camera.center[-2:], (4.0, 16.0))
    assert viewer.camera.zoom == pytest.approx(3.5)


def test_the_view_is_left_alone_where_another_image_is_seen(viewer):
    viewer.add_image(np.zeros((50, 80)))
    image = viewer.add_image(np.zeros((50, 80)), translate=(0, 100))
    viewer.camera.center, viewer.camera.zoom = (0, 20.0, 30.0), 7.0
    calibrate(viewer, image, 0.2)
    assert (viewer.camera.center[-2:], viewer.camera.zoom) == ((20.0, 30.0), 7.0)


def test_images_that_are_no_micrographs_are_refused(viewer):
    colour = viewer.add_image(noise(8, 9, 3), rgb=True)
    with pytest.raises(MicrographError, match="colour"):
        micrograph_from_layer(colour)
    oblong = viewer.add_image(noise(8, 9), scale=(0.2, 0.3), units=("angstrom", "angstrom"))
    with pytest.raises(MicrographError, match="square"):
        micrograph_from_layer(oblong)
    four = viewer.add_image(noise(2, 3, 8, 9))
    with pytest.raises(MicrographError, match="4 axes"):
        micrograph_from_layer(four)
    single = viewer.add_image(noise(1, 3, 8, 9))
    assert micrograph_from_layer(single).data.shape == (3, 8, 9)
    assert image_layers(viewer) == [oblong, four, single]


@pytest.mark.parametrize("shape", [(12, 15), (4, 12, 15), (1, 4, 12, 15)])
@pytest.mark.parametrize("unit", ["angstrom", "nm", "pixel"])
@pytest.mark.parametrize("rotate", [0, 30])
def test_sites_lie_on_the_pixels_of_their_source(viewer, shape, unit, rotate):
    n = len(shape)
    units = ("pixel",) * (n - 2) + (unit, unit)
    scale = (1.0,) * (n - 2) + (0.04, 0.04)
    source = viewer.add_image(
        noise(*shape), scale=scale, units=units, translate=(0,) * (n - 2) + (3, 5), rotate=rotate if n == 2 else 0
    )
    frames = [0, 2, 3] if n > 2 else [0, 0, 0]
    sites = make_sites([1, 2.5, 3], [4, 5.25, 6], ["vacancy1", "W", "W"], pixel_size=0.4, frame=frames, score=0.5)
    layer = add_sites(viewer, sites, kind="predicted", source_layer=source)
    assert layer.ndim == n
    for name in ("scale", "translate"):
        np.testing.assert_allclose(getattr(layer, name), getattr(source, name))
    assert layer.units == source.units
    assert layer.axis_labels == source.axis_labels
    assert viewer.layers.extent.units is not None
    np.testing.assert_allclose(
        layer.data_to_world(layer.data[1]), source.data_to_world([*([0] * (n - 3)), *frames[1:2] * (n > 2), 2.5, 5.25])
    )
    back = sites_from_layer(layer, source)
    np.testing.assert_allclose(back[["frame", "y", "x"]], sites[["frame", "y", "x"]], atol=1e-9)
    assert list(back["class"]) == ["vacancy1", "W", "W"]
    assert set(back["origin"]) == {"truth"}
    assert back["score"].tolist() == [0.5] * 3
    assert source_of(viewer, layer) is source


def test_points_of_others_are_converted_to_the_pixels_of_the_image(viewer):
    image = viewer.add_image(noise(50, 60), scale=(0.2, 0.2), units=("angstrom",) * 2, translate=(1, 2))
    points = viewer.add_points([[0.5, 0.9]], units=("nm", "nm"), features={"species": ["Se2"]})
    table = sites_from_layer(points, image)
    np.testing.assert_allclose(table[["y", "x"]], [[20, 35]])
    np.testing.assert_allclose(table[["y_angstrom", "x_angstrom"]], [[4, 7]])
    assert table["class"].tolist() == ["Se2"]
    assert table["origin"].tolist() == ["hand"]
    plain = viewer.add_points([[10, 10]])
    with pytest.raises(SitesError, match="units of length"):
        sites_from_layer(plain, image)
    stack = viewer.add_image(noise(3, 50, 60))
    with pytest.raises(SitesError, match="no frame axis"):
        sites_from_layer(plain, stack)


def test_a_new_point_does_not_copy_the_last_row(viewer):
    sites = make_sites([1, 2], [3, 4], ["vacancy1", "W"], pixel_size=0.2, score=0.9, origin="predicted")
    layer = add_sites(viewer, sites, kind="hand", pixel_size=0.2)
    layer.add([[5, 5]])
    last = layer.features.iloc[-1]
    assert last["origin"] == "hand"
    assert np.isnan(last["score"])


def test_an_empty_table_makes_a_layer_that_can_be_filled(viewer):
    source = viewer.add_image(noise(3, 20, 20), scale=(1, 0.2, 0.2), units=("pixel", "angstrom", "angstrom"))
    empty = make_sites([], [], "", pixel_size=0.2)
    layer = add_sites(viewer, empty, kind="hand", source_layer=source)
    assert layer.ndim == 3
    assert len(sites_from_layer(layer, source)) == 0
    update_sites(layer, make_sites([1, 2], [3, 4], ["vacancy1", "W"], pixel_size=0.2, frame=[0, 1]))
    assert len(layer.data) == 2
    assert not np.allclose(layer.border_color[0], layer.border_color[1])
    update_sites(layer, empty)
    assert len(layer.data) == 0
    layer.add([[1, 5, 5]])
    assert sites_from_layer(layer, source)["frame"].tolist() == [1]


@pytest.mark.parametrize("stack", [True, False])
def test_hidden_sites_are_hidden_and_left_out(viewer, stack):
    sites = make_sites([1, 2, 3], [1, 2, 3], ["a", "b", "a"], pixel_size=0.2, score=[0.9, 0.5, 0.8])
    layer = add_sites(viewer, sites, kind="predicted", pixel_size=0.2, stack=stack)
    show_only(layer, np.array([True, False, True]))
    assert len(sites_from_layer(layer)) == 2
    assert len(sites_from_layer(layer, shown_only=False)) == 3
    drawn = layer._view_border_color
    assert np.count_nonzero(drawn[:, 3] > 0) == 2
    show_only(layer, np.array([True, True, False]))
    assert np.count_nonzero(layer._view_border_color[:, 3] > 0) == 2
    update_sites(layer, sites)
    assert layer.shown.all()
    assert np.count_nonzero(layer._view_border_color[:, 3] > 0) == 3


def test_another_table_is_drawn_once(viewer):
    layer = add_sites(viewer, make_sites([1], [1], "W", pixel_size=0.2), kind="predicted", pixel_size=0.2)
    drawn = []
    layer.events.set_data.connect(lambda _event: drawn.append(len(layer.data)))
    update_sites(layer, make_sites([1, 2], [3, 4], ["vacancy1", "W"], pixel_size=0.2))
    assert drawn == [2]
    assert len(layer._view_data) == 2
    assert layer.extent.data[1].tolist() == [2, 4]


def test_our_layers_are_known_by_metadata_not_by_name(viewer):
    viewer.add_points(np.zeros((1, 2)), name="predicted")
    ours = add_sites(viewer, make_sites([1], [1], "W", pixel_size=0.2), kind="predicted", pixel_size=0.2, name="mine")
    ours.name = "renamed"
    image = add_image(viewer, Micrograph(noise(2, 8, 8), 0.2, "sim"), kind="simulated")
    assert our_layers(viewer, "predicted") == [ours]
    assert our_layers(viewer) == [ours, image]
    assert about(image)["kind"] == "simulated"
    assert [str(unit) for unit in image.units] == ["pixel", "angstrom", "angstrom"]
    assert image.axis_labels == ("frame", "y", "x")
    assert pixel_size_of(image) == pytest.approx(0.2)


def test_a_map_shares_the_pixels_of_its_image(viewer):
    source = viewer.add_image(
        noise(1, 8, 8),
        scale=(1, 0.02, 0.02),
        translate=(0, 1, 1),
        units=("pixel", "nm", "nm"),
        axis_labels=("t", "y", "x"),
    )
    layer = add_image(viewer, Micrograph(noise(8, 8), 0.2, "p(vacancy1)"), kind="map", source_layer=source)
    np.testing.assert_allclose(layer.extent.world, source.extent.world)
    assert layer.units == source.units
    assert layer.axis_labels == source.axis_labels


def test_matches_differ_in_colour_and_symbol(viewer):
    table = make_sites([1, 2, 3], [1, 2, 3], "vacancy1", pixel_size=0.2, extra={"match": ["tp", "fp", "fn"]})
    layer = add_sites(viewer, table, kind="matches", pixel_size=0.2)
    assert len({tuple(colour) for colour in layer.border_color}) == 3
    assert len({str(symbol) for symbol in layer.symbol}) == 3


def test_colours_are_stable_and_distinct():
    assert colours_of(["vacancy1"])["vacancy1"] == KNOWN["vacancy1"]
    assert colours_of(["V_Se"])["V_Se"] == KNOWN["vacancy1"]
    assert colours_of(["W", "Se2", "Se"]) == {**colours_of(["Se", "W", "Se2"])}
    many = colours_of([f"class{number}" for number in range(len(PALETTE))])
    assert len(set(many.values())) == len(PALETTE)


def test_synthetic_images_say_so_when_they_are_opened(tmp_path, monkeypatch):
    from napari.utils import notifications

    from napari_stemlearn.formats import write_tiff
    from napari_stemlearn.marking import synthetic_provenance
    from napari_stemlearn.widgets.layer_data import layer_from_data
    from napari_stemlearn.widgets.layers import KEY, micrograph_from_layer
    from napari_stemlearn.widgets.reader import read_images

    told: list[str] = []
    monkeypatch.setattr(notifications, "show_info", told.append)
    image = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    for name, provenance in (("made", synthetic_provenance("day a")), ("other", {}), ("shot", {"synthetic": False})):
        write_tiff(tmp_path / f"{name}.tif", Micrograph(image, 0.2, name, provenance))
    layer = layer_from_data(read_images(tmp_path / "made.tif")[0])
    assert layer.name == "made"
    assert layer.metadata[KEY]["synthetic"] is True
    assert "'day a'" in layer.metadata[KEY]["statement"]
    assert told == [f"made: {layer.metadata[KEY]['statement']}"]
    # saved and opened again, it still says so
    saved = write_tiff(tmp_path / "again.tif", micrograph_from_layer(layer))
    assert layer_from_data(read_images(saved)[0]).metadata[KEY]["synthetic"] is True
    told.clear()
    assert "synthetic" not in layer_from_data(read_images(tmp_path / "other.tif")[0]).metadata[KEY]
    assert layer_from_data(read_images(tmp_path / "shot.tif")[0]).metadata[KEY]["synthetic"] is False
    assert not told


def test_live_pictures_that_come_after_the_end_are_not_shown():
    from napari.components import ViewerModel

    from napari_stemlearn.widgets.previews import PreviewLayers

    viewer = ViewerModel()
    mine, other = PreviewLayers(viewer, "mine"), PreviewLayers(viewer, "other")
    picture = np.arange(64.0).reshape(8, 8)
    for previews in (mine, other):
        previews.show("image", picture, 0.2, 1)
    mine.close()
    assert mine.show("image", picture, 0.2, 2) is None
    assert mine.show("late", picture, 0.2, 2) is None
    assert [about(layer)["run"] for layer in viewer.layers] == ["other"]


def test_no_two_colours_of_the_palette_are_taken_for_each_other():
    values = np.array([[int(colour[place : place + 2], 16) for place in (1, 3, 5)] for colour in PALETTE]) / 255
    lab = rgb2lab(values)
    apart = [deltaE_ciede2000(one, other) for one, other in combinations(lab, 2)]
    assert min(apart) > 17
