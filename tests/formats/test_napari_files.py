"""Files through napari: the manifest, readers, writers, and what a viewer then shows."""

from __future__ import annotations

import json
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Image, Points
from npe2 import PluginManifest

import napari_stemlearn
from data_folder import data_folder
from napari_stemlearn.errors import FormatError, MicrographError
from napari_stemlearn.formats import belongs_to, read_micrograph, read_sidecar, read_sites, write_sites, write_tiff
from napari_stemlearn.formats.site_files import is_untouched
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.sites import COLUMNS, make_sites
from napari_stemlearn.widgets import reader, writer
from napari_stemlearn.widgets.layer_data import image_layer_data, layer_from_data, points_layer_data
from napari_stemlearn.widgets.layers import (
    about,
    add_image,
    add_sites,
    calibrate,
    kind_of,
    sites_from_layer,
    source_of,
)

PLUGIN = "napari-stemlearn"
MANIFEST = Path(napari_stemlearn.__file__).with_name("napari.yaml")


@pytest.fixture(autouse=True)
def plugins(npe2pm):
    """Napari's own readers and writers, and ours."""
    with npe2pm.tmp_plugin(package="napari"), npe2pm.tmp_plugin(manifest=str(MANIFEST)):
        yield npe2pm


@pytest.fixture
def micrograph():
    rng = np.random.default_rng(2)
    return Micrograph(rng.integers(0, 4000, (3, 40, 60)).astype(np.uint16), 0.2074, "day", {"synthetic": True})


@pytest.fixture
def sites():
    table = make_sites(
        [1.25, 30.0, 12.5, 39.0],
        [2.5, 50.0, 20.125, 0.0],
        ["vacancy1", "antisite", "vacancy1", "NA"],
        pixel_size=0.2074,
        frame=[0, 2, 1, 2],
        score=[0.9, np.nan, 0.5, np.nan],
        origin="predicted",
        extra={"n_atoms": [1, 2, 1, 2]},
    )
    table["origin"] = ["predicted", "hand", "edited", "truth"]
    return table


# --- manifest ---------------------------------------------------------------------------------------------------------


def test_manifest_is_valid_and_its_functions_exist():
    manifest = PluginManifest.from_file(MANIFEST)
    for command in manifest.contributions.commands:
        module, _, attribute = command.python_name.partition(":")
        imported = __import__(module, fromlist=[attribute])
        assert callable(getattr(imported, attribute)), command.id


def test_whole_manifest_imports_with_every_dock():
    manifest = PluginManifest.from_file(MANIFEST)
    docks = [entry for entry in manifest.contributions.commands if entry.id.split(".")[1] in DOCKS]
    assert len(docks) == len(DOCKS)
    manifest.validate_imports()


DOCKS = ("structure", "simulate", "cyclegan", "training_data", "train", "find", "label")


def test_docks_have_their_names_and_places():
    contributions = PluginManifest.from_file(MANIFEST).contributions
    assert [entry.display_name for entry in contributions.widgets] == [
        "Structure",
        "Simulate",
        "CycleGAN",
        "Training data",
        "Train",
        "Find",
        "Label and score",
    ]
    commands = {entry.id for entry in contributions.commands}
    for items in contributions.menus.values():
        assert {item.command for item in items} <= commands
    root = MANIFEST.parents[2] / "napari.yaml"
    if root.exists():
        assert root.resolve() == MANIFEST.resolve()


@pytest.mark.parametrize("name", ["scan.dm3", "scan.DM4", "a.b.emd", "x.ser", "x.emi", "x.mrc", "x.hspy", "x.TIFF"])
def test_manifest_offers_the_reader_for_each_format(name, plugins):
    offered = {entry.command for entry in plugins.iter_compatible_readers(name)}
    assert f"{PLUGIN}.read_micrograph" in offered


# --- reading ----------------------------------------------------------------------------------------------------------


def test_original_opens_calibrated_in_a_viewer():
    viewer = ViewerModel()
    viewer.open(str(data_folder("wse2-ti-doped-labelled", "ti2_adf1_original.dm4")), plugin=PLUGIN)
    (layer,) = viewer.layers
    assert layer.data.shape == (512, 512)
    np.testing.assert_allclose(layer.scale, 0.3987935, rtol=1e-6)
    assert [str(unit) for unit in layer.units] == ["angstrom", "angstrom"]
    assert layer.axis_labels == ("y", "x")
    assert kind_of(layer) == "image"
    assert about(layer)["provenance"]["acquisition"]["beam_energy_kev"] == 80.0


def test_stack_keeps_frames(tmp_path, micrograph):
    path = write_tiff(tmp_path / "day.tif", micrograph)
    viewer = ViewerModel()
    viewer.open(str(path), plugin=PLUGIN)
    (layer,) = viewer.layers
    assert layer.data.shape == (3, 40, 60)
    assert layer.axis_labels == ("frame", "y", "x")
    assert [str(unit) for unit in layer.units] == ["pixel", "angstrom", "angstrom"]
    np.testing.assert_allclose(layer.scale, [1, 0.2074, 0.2074])


def test_microscope_files_need_no_choice_of_reader(tmp_path, micrograph):
    path = tmp_path / "day.mrc"
    with mrcfile.new(path) as file:
        file.set_data(micrograph.data.astype(np.int16))
        file.set_image_stack()
        file.voxel_size = 0.25
    viewer = ViewerModel()
    viewer.open(str(path), plugin=None)
    (layer,) = viewer.layers
    assert kind_of(layer) == "image"
    np.testing.assert_allclose(layer.scale, [1, 0.25, 0.25])


def test_files_become_one_stack(tmp_path, micrograph):
    paths = []
    for index in range(3):
        frame = Micrograph(micrograph.frame(index), micrograph.pixel_size)
        paths.append(str(write_tiff(tmp_path / f"frame{index}.tif", frame)))
    read = reader.get_micrograph_reader(paths)
    ((data, details, kind),) = read(paths)
    assert kind == "image"
    np.testing.assert_array_equal(data, micrograph.data)
    assert details["axis_labels"] == ("frame", "y", "x")


def test_reader_leaves_to_others_what_is_theirs(tmp_path):
    tifffile.imwrite(tmp_path / "photo.tif", np.zeros((30, 30, 3), np.uint8), photometric="rgb")
    assert reader.get_micrograph_reader(str(tmp_path / "photo.tif")) is None
    assert reader.get_micrograph_reader(str(tmp_path)) is None
    assert reader.get_micrograph_reader(str(tmp_path / "movie.avi")) is None
    (tmp_path / "budget.csv").write_text("item,price\nlamp,3\n")
    assert reader.get_sites_reader(str(tmp_path / "budget.csv")) is None


def test_damaged_file_is_a_sentence(tmp_path):
    path = tmp_path / "cut.dm4"
    path.write_bytes(data_folder("wse2-ti-doped-labelled", "ti2_adf1_original.dm4").read_bytes()[:5000])
    read = reader.get_micrograph_reader(str(path))
    with pytest.raises(FormatError, match=r"cut\.dm4 cannot be read as dm4"):
        read(str(path))


def test_sites_open_as_points(tmp_path, micrograph, sites):
    path = write_sites(tmp_path / "found.csv", sites, micrograph=micrograph, classes=["vacancy2", "vacancy1"])
    viewer = ViewerModel()
    viewer.add_layer(layer_from_data(image_layer_data(micrograph)))
    viewer.open(str(path), plugin=PLUGIN)
    image, points = viewer.layers
    assert isinstance(points, Points)
    np.testing.assert_array_equal(points.data, sites[["frame", "y", "x"]])
    assert list(points.features.columns) == ["class", "score", "origin", "n_atoms"]
    assert list(points.features["origin"]) == list(sites["origin"])
    np.testing.assert_array_equal(points.scale, image.scale)
    assert points.units == image.units
    assert points.axis_labels == image.axis_labels
    # nothing switched units off for all
    assert [str(unit) for unit in viewer.layers.extent.units] == ["pixel", "angstrom", "angstrom"]
    assert float(points.size[0]) * 0.2074 == pytest.approx(1.6)
    same, other = points.border_color[[0, 2]], points.border_color[1]
    np.testing.assert_array_equal(same[0], same[1])
    assert not np.allclose(same[0], other)
    assert about(points)["classes"] == ["vacancy2", "vacancy1", "antisite", "NA"]


def test_new_point_takes_defaults_and_the_colour_of_its_class(sites):
    points = layer_from_data(points_layer_data(sites, name="found", pixel_size=0.2074))
    points.feature_defaults = points.feature_defaults.assign(**{"class": "antisite"})
    points.add([[1, 5.0, 6.0]])
    row = points.features.iloc[-1]
    assert (row["class"], row["origin"]) == ("antisite", "hand")
    assert np.isnan(row["score"])
    np.testing.assert_array_equal(points.border_color[-1], points.border_color[1])


def test_empty_table_opens():
    points = layer_from_data(points_layer_data(make_sites([], [], "", pixel_size=0.2), name="none", pixel_size=0.2))
    assert (len(points.data), points.ndim) == (0, 2)
    points.add([[3.0, 4.0]])
    assert points.features["origin"].iloc[0] == "hand"


def test_table_without_pixel_size_lies_on_the_image_beside_it(tmp_path, micrograph):
    write_tiff(tmp_path / "scan_1.tif", micrograph)
    path = tmp_path / "scan_1_labels.csv"
    path.write_text("frame,y,x,class\n2,3,4,W\n")
    ((data, details, _),) = reader.read_site_tables(str(path))
    np.testing.assert_array_equal(data, [[2, 3, 4]])
    np.testing.assert_allclose(details["scale"], [1, 0.2074, 0.2074])
    assert details["metadata"]["napari_stemlearn"]["source"] == "scan_1"


@pytest.mark.parametrize("ending", [".TIF", ".Tiff"])
def test_endings_of_images_beside_a_table_may_be_in_capitals(ending, tmp_path, micrograph):
    write_tiff(tmp_path / "scan.tif", Micrograph(micrograph.data, 0.5, "scan"))
    write_tiff(tmp_path / f"scan_1{ending}", micrograph)
    path = tmp_path / "scan_1_labels.csv"
    path.write_text("frame,y,x,class\n2,3,4,W\n")
    ((_, details, _),) = reader.read_site_tables(str(path))
    np.testing.assert_allclose(details["scale"], [1, 0.2074, 0.2074])
    assert details["metadata"]["napari_stemlearn"]["source_file"] == str(tmp_path / f"scan_1{ending}")


def test_a_table_that_was_replaced_has_its_own_pixel_size(tmp_path):
    path = write_sites(tmp_path / "s.csv", make_sites([10.0], [10.0], "W", pixel_size=0.1))
    path.write_text("y,x,y_angstrom,x_angstrom,class\n10,10,5,5,Se\n")
    ((_, details, _),) = reader.read_site_tables(str(path))
    np.testing.assert_allclose(details["scale"], [0.5, 0.5])


def test_a_table_of_a_search_that_napari_saved_is_no_longer_untouched(tmp_path, sites):
    path = write_sites(tmp_path / "found.csv", sites, provenance={"thresholds": {"W": 0.5}}, replaceable=True)
    assert is_untouched(path)
    viewer = ViewerModel()
    viewer.open(str(path), plugin=PLUGIN)
    viewer.layers.save(str(path), plugin=PLUGIN)
    assert not is_untouched(path)


def test_table_without_pixel_size_lies_on_the_selected_image(tmp_path, micrograph, monkeypatch):
    path = tmp_path / "labels.csv"
    path.write_text("y,x,class\n3,4,W\n")
    ((_, alone, _),) = reader.read_site_tables(str(path))
    assert [str(unit) for unit in alone["units"]] == ["pixel", "pixel"]
    viewer = ViewerModel()
    viewer.add_layer(layer_from_data(image_layer_data(micrograph, translate=(0, 1.5, 2.5))))
    monkeypatch.setattr("napari.current_viewer", lambda: viewer)
    viewer.open(str(path), plugin=PLUGIN)
    image, points = viewer.layers
    np.testing.assert_array_equal(points.translate, image.translate)
    assert points.units == image.units
    np.testing.assert_array_equal(points.data, [[0, 3, 4]])


# --- writing ----------------------------------------------------------------------------------------------------------


def test_image_round_trip_through_viewers(tmp_path, micrograph):
    viewer = ViewerModel()
    viewer.add_layer(layer_from_data(image_layer_data(micrograph)))
    path = str(tmp_path / "saved.tif")
    assert viewer.layers.save(path, plugin=PLUGIN) == [path]
    again = read_micrograph(path)
    np.testing.assert_array_equal(again.data, micrograph.data)
    assert again.data.dtype == micrograph.data.dtype
    assert again.pixel_size == micrograph.pixel_size
    assert again.provenance["synthetic"] is True


@pytest.mark.parametrize(
    ("unit", "scale", "expected"),
    [("nm", 0.02, 0.2), ("angstrom", 0.2, 0.2), ("micrometer", 2e-5, 0.2), ("pixel", 1.0, None)],
)
def test_layers_of_others_are_saved_in_angstrom(unit, scale, expected, tmp_path):
    layer = Image(np.arange(30.0).reshape(5, 6), scale=(scale, scale), units=(unit, unit))
    path = str(tmp_path / "saved.tif")
    writer.write_micrograph(path, *layer.as_layer_data_tuple()[:2])
    assert read_micrograph(path).pixel_size == (None if expected is None else pytest.approx(expected))


def test_layers_that_are_no_micrographs_are_refused(tmp_path):
    stretched = Image(np.zeros((5, 6)), scale=(0.2, 0.3), units=("angstrom", "angstrom"))
    colour = Image(np.zeros((5, 6, 3)), rgb=True)
    for layer, words in ((stretched, "square pixels"), (colour, "colour")):
        with pytest.raises(MicrographError, match=words):
            writer.write_micrograph(str(tmp_path / "saved.tif"), *layer.as_layer_data_tuple()[:2])
    assert list(tmp_path.iterdir()) == []


def test_points_round_trip_through_viewers(tmp_path, sites):
    viewer = ViewerModel()
    viewer.add_layer(layer_from_data(points_layer_data(sites, name="found", pixel_size=0.2074, provenance={"seed": 3})))
    path = str(tmp_path / "saved.csv")
    assert viewer.layers.save(path, plugin=PLUGIN) == [path]
    again = read_sites(path)
    for column in (*COLUMNS, "n_atoms"):
        np.testing.assert_array_equal(again[column].to_numpy(), sites[column].to_numpy(), err_msg=column)
    sidecar = read_sidecar(path)
    assert sidecar.pixel_size_angstrom == 0.2074
    assert sidecar.classes == ["vacancy1", "antisite", "NA"]
    assert sidecar.provenance["seed"] == 3
    assert sidecar.provenance["kind"] == "hand"


def test_points_of_anyone_become_hand_labels(tmp_path):
    points = Points([[1.0, 2.0], [3.5, 4.5]], scale=(0.02, 0.02), units=("nm", "nm"))
    path = str(tmp_path / "clicked.csv")
    writer.write_site_table(path, *points.as_layer_data_tuple()[:2])
    again = read_sites(path)
    assert again[["y", "x"]].to_numpy().tolist() == [[1.0, 2.0], [3.5, 4.5]]
    np.testing.assert_allclose(again["x_angstrom"], [0.4, 0.9])
    assert set(again["class"]) == {"atom"}
    assert set(again["origin"]) == {"hand"}


def test_folder_round_trip_keeps_layers_names_and_order(tmp_path, micrograph, sites):
    viewer = ViewerModel()
    single = Micrograph(micrograph.frame(0), 0.2074, "scan: 1/2")
    flat = sites.assign(frame=0)
    for entry in (
        image_layer_data(micrograph),
        points_layer_data(sites, name="found", pixel_size=0.2074, source="day"),
        image_layer_data(single),
        points_layer_data(flat, name="scan_1_2", pixel_size=0.2074),
    ):
        viewer.add_layer(layer_from_data(entry))
    folder = tmp_path / "session"
    written = viewer.layers.save(str(folder), plugin=PLUGIN)
    assert sorted(Path(path).name for path in written) == [
        "day.tif",
        "found.csv",
        "scan_1_2.tif",
        "scan_1_2_2.csv",
        reader.INDEX,
    ]
    assert belongs_to(read_sidecar(folder / "found.csv"), micrograph) is True
    again = ViewerModel()
    again.open(str(folder), plugin=PLUGIN)
    assert [layer.name for layer in again.layers] == [layer.name for layer in viewer.layers]
    for before, after in zip(viewer.layers, again.layers, strict=True):
        np.testing.assert_array_equal(np.asarray(after.data), np.asarray(before.data))
        np.testing.assert_allclose(after.scale, before.scale)
        assert after.units == before.units
    table = sites_from_layer(again.layers["found"], again.layers["day"])
    assert list(table["class"]) == list(sites["class"])
    # a second save replaces the first; any other folder is left alone
    viewer.layers.save(str(folder), plugin=PLUGIN)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(FormatError, match="was not made by this command"):
        writer.write_folder(str(tmp_path / "mine"), [layer.as_layer_data_tuple() for layer in viewer.layers])
    assert sorted(entry.name for entry in (tmp_path / "mine").iterdir()) == ["thesis.txt"]
    # what a system hides in a folder is nothing else
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / ".DS_Store").write_text("x")
    writer.write_folder(str(tmp_path / "new"), [layer.as_layer_data_tuple() for layer in viewer.layers])
    assert (tmp_path / "new" / reader.INDEX).exists()


def test_a_layer_that_cannot_be_saved_leaves_the_folder_as_it_was(tmp_path):
    grey = ({"name": "grey", "scale": (0.2, 0.2), "units": ("angstrom", "angstrom")}, "image")
    colour = (np.zeros((8, 8, 3), np.uint8), {"name": "colour", "rgb": True}, "image")
    first, second = (np.full((8, 8), value, np.float32) for value in (1, 2))
    with pytest.raises(MicrographError):
        writer.write_folder(str(tmp_path / "mine"), [(first, *grey), colour])
    assert list(tmp_path.iterdir()) == []
    writer.write_folder(str(tmp_path / "mine"), [(first, *grey)])
    with pytest.raises(MicrographError):
        writer.write_folder(str(tmp_path / "mine"), [(second, *grey), colour])
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine"]
    assert read_micrograph(tmp_path / "mine" / "grey.tif").data.max() == 1
    writer.write_folder(str(tmp_path / "mine"), [(second, *grey)])
    assert read_micrograph(tmp_path / "mine" / "grey.tif").data.max() == 2


def test_damaged_folder_is_a_sentence(tmp_path):
    (tmp_path / reader.INDEX).write_text(json.dumps({"layers": [{"name": "day"}]}))
    read = reader.get_micrograph_reader(str(tmp_path))
    with pytest.raises(FormatError, match=r"stemlearn-layers\.json is damaged"):
        read(str(tmp_path))


# --- which image sites belong to --------------------------------------------------------------------------------------


def test_files_of_the_same_name_in_two_folders_keep_their_own_sites(tmp_path):
    viewer = ViewerModel()
    for day, size in (("day 1", 0.2), ("day 2", 0.1)):
        (tmp_path / day).mkdir()
        write_tiff(tmp_path / day / "scan.tif", Micrograph(np.random.default_rng(1).normal(size=(20, 30)), size))
        (tmp_path / day / "scan_labels.csv").write_text("y,x,class\n1,2,W\n")
        for name in ("scan.tif", "scan_labels.csv"):
            viewer.open(str(tmp_path / day / name), plugin=PLUGIN)
    first, its_sites, second, other_sites = viewer.layers
    assert (source_of(viewer, its_sites), source_of(viewer, other_sites)) == (first, second)
    first.name = "HAADF 1"
    assert source_of(viewer, its_sites) is first
    calibrate(viewer, second, 0.3)
    np.testing.assert_allclose(other_sites.scale, 0.3)
    np.testing.assert_allclose(its_sites.scale, 0.2)
    # an image of the same name that lies elsewhere is not the one
    viewer.layers.remove(first)
    second.name = "scan"
    assert source_of(viewer, its_sites) is None


def test_the_hash_tells_which_open_image_sites_were_made_for(tmp_path, micrograph, sites, monkeypatch):
    path = write_sites(tmp_path / "found.csv", sites, micrograph=micrograph)
    viewer = ViewerModel()
    other = Micrograph(micrograph.data + 1, micrograph.pixel_size, "day")
    for image in (other, micrograph):
        viewer.add_layer(layer_from_data(image_layer_data(image)))
    monkeypatch.setattr("napari.current_viewer", lambda: viewer)
    viewer.open(str(path), plugin=PLUGIN)
    _other, image, points = viewer.layers
    image.name = "later"
    assert source_of(viewer, points) is image


def test_a_folder_ties_sites_to_their_image_whatever_it_is_called_now(tmp_path, monkeypatch):
    viewer = ViewerModel()
    monkeypatch.setattr("napari.current_viewer", lambda: viewer)
    images = [add_image(viewer, Micrograph(np.eye(40) + k, 0.1 + 0.1 * k), name) for k, name in enumerate("BA")]
    table = make_sites([10, 20], [30, 35], "vacancy1", pixel_size=0.2, origin="predicted")
    add_sites(viewer, table, kind="predicted", source_layer=images[1], name="found")
    images[1].name = "old"
    images[0].name = "A"
    viewer.layers.save(str(tmp_path / "saved"), plugin=PLUGIN)
    assert belongs_to(read_sidecar(tmp_path / "saved" / "found.csv"), Micrograph(np.eye(40) + 1)) is True
    # in a viewer where other images have these names
    for name in ("old", "A"):
        viewer.layers[name].name = f"earlier {name}"
        add_image(viewer, Micrograph(np.zeros((40, 40)), 0.2), name)
    viewer.open(str(tmp_path / "saved"), plugin=PLUGIN)
    *_, old, found = viewer.layers
    assert old.name == "old [1]"
    assert source_of(viewer, found) is old
    np.testing.assert_allclose(found.data, table[["y", "x"]])
