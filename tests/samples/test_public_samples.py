"""Public sets from a server on this machine; the network is never asked."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import json
import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile

from data_folder import data_folder
from napari_stemlearn.errors import FormatError, SettingsError
from napari_stemlearn.samples import fetch, list_public, load_public, public
from napari_stemlearn.widgets import sample_data


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments):
        pass


@pytest.fixture
def server(tmp_path):
    """A folder and the address under which it is served."""
    root = tmp_path / "host"
    root.mkdir()
    handler = functools.partial(_Quiet, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield root, f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def _npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _tif(array):
    stream = io.BytesIO()
    tifffile.imwrite(stream, array)
    return stream.getvalue()


@pytest.fixture
def sets(server, monkeypatch):
    """The real register with small files in place of the real ones, their hashes with them, on the local server."""
    root, host = server
    rng = np.random.default_rng(4)
    register = []
    for sample in list_public():
        record = sample.model_dump(by_alias=True)
        for number, path in enumerate(sample.files):
            if path.endswith((".tif", ".dm4")):
                content = _tif((rng.random((20, 30)) * 900).astype(np.uint32) + number)
            elif path.endswith(".csv"):
                content = f" ,X,Y\n1,{number}.5,3\n2,7,8\n".encode()
            elif "pts" in path.rpartition("/")[2]:
                content = _npy(np.array([[4.0, 5.0], [6.0, 7.0]]))
            else:
                content = _npy(np.array([1, 2]))
            file = root / sample.repository / sample.commit / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            record["files"][path] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        register.append(public.PublicSample.model_validate(record))
    monkeypatch.setattr(public, "_register", lambda: (host, tuple(register)))
    return root, host


def test_register_says_what_the_plan_of_the_data_says():
    facts = json.loads(data_folder("public-samples.json").read_text())["samples"]
    ours = {sample.name: sample for sample in list_public()}
    assert set(ours) == {entry["name"] for entry in facts}
    for entry in facts:
        sample = ours[entry["name"]]
        assert (sample.repository, sample.commit, sample.licence) == (
            entry["repository"],
            entry["commit"],
            entry["licence"],
        )
        assert {path: (file.bytes, file.sha256) for path, file in sample.files.items()} == {
            file["path"]: (file["bytes"], file["sha256"]) for file in entry["files"]
        }


def test_register_offers_only_free_sets_and_every_file_is_used():
    for sample in list_public():
        assert sample.licence == "MIT"
        named = set()
        for entry in sample.micrographs:
            named |= {entry.image, entry.sites, entry.positions, entry.classes} - {None}
        assert named == set(sample.files)
        assert 0.1 < sample.pixel_size_angstrom < 1


def test_files_are_downloaded_once_and_kept(sets, tmp_path):
    root, host = sets
    folder = tmp_path / "cache"
    local = fetch("pt-single-atoms", folder=folder)
    assert len(local) == 8
    for path, file in local.items():
        assert file.is_file()
        assert file.parent == folder / "pt-single-atoms"
        assert file.name == path.rpartition("/")[2]
    for file in root.rglob("*"):
        if file.is_file():
            file.unlink()
    assert fetch("pt-single-atoms", folder=folder, host=host) == local


def test_labelled_stack_of_single_atoms(sets, tmp_path):
    ((stack, sites),) = load_public("pt-single-atoms", folder=tmp_path / "cache")
    assert stack.data.shape == (4, 20, 30)
    assert stack.data.dtype == np.uint32
    assert stack.pixel_size == pytest.approx(0.29297, abs=1e-5)
    assert stack.provenance["licence"] == "MIT"
    assert stack.provenance["synthetic"] is False
    assert len(sites) == 8
    assert list(sites["frame"]) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert set(sites["class"]) == {"Pt"}
    assert sites["y"][0] == 3.0
    np.testing.assert_allclose(sites["y_angstrom"], sites["y"] * stack.pixel_size)


def test_classes_of_every_site(sets, tmp_path, monkeypatch):
    # the stand-ins for .dm4 are TIFF: read them as what they are
    monkeypatch.setattr(public, "read_micrograph", _read_as_tiff)
    (first, none), (second, sites) = load_public("wse2-ti-doped", folder=tmp_path / "cache")
    assert none is None
    assert (first.name, second.name) == ("Ti-doped WSe2 ADF1", "Ti-doped WSe2 ADF2")
    assert sites[["y", "x"]].to_numpy().tolist() == [[5.0, 4.0], [7.0, 6.0]]
    assert list(sites["class"]) == ["V_Se", "W"]
    assert set(sites["origin"]) == {"hand"}


def _read_as_tiff(path, *, pixel_size):
    from napari_stemlearn.formats.tiff_reading import read_tiff

    return read_tiff(path, pixel_size=pixel_size, lazy=False)[0]


def test_real_files_beside_the_repository_match_the_register():
    original = data_folder("wse2-ti-doped-labelled", "ti2_adf1_original.dm4").read_bytes()
    sample = public.public_sample("wse2-ti-doped")
    (path,) = [path for path in sample.files if path.endswith("ADF1_2.dm4")]
    assert hashlib.sha256(original).hexdigest() == sample.files[path].sha256


def test_no_network_is_one_sentence(sets, tmp_path):
    with pytest.raises(FormatError) as caught:
        fetch("pt-single-atoms", folder=tmp_path / "cache", host="http://127.0.0.1:9")
    text = str(caught.value)
    assert "cannot be reached; check the network" in text
    assert "simulated WSe2 day" in text
    assert "\n" not in text


def test_missing_and_changed_files_are_refused(sets, tmp_path):
    root, _ = sets
    sample = public.public_sample("pt-single-atoms")
    first = next(iter(sample.files))
    file = root / sample.repository / sample.commit / first
    good = file.read_bytes()
    file.write_bytes(good + b"x")
    with pytest.raises(FormatError, match=r"is not the file expected \(SHA-256 differs\)"):
        fetch(sample.name, folder=tmp_path / "cache")
    assert not (tmp_path / "cache" / sample.name / first.rpartition("/")[2]).exists()
    file.unlink()
    with pytest.raises(FormatError, match="answers 404"):
        fetch(sample.name, folder=tmp_path / "cache")
    file.write_bytes(good)
    assert len(fetch(sample.name, folder=tmp_path / "cache")) == 8


def test_folder_that_cannot_be_written(sets, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(FormatError, match="cannot be kept"):
        fetch("pt-single-atoms", folder=tmp_path / "taken")


def test_unknown_sample():
    with pytest.raises(SettingsError, match="choose one of pt-single-atoms, wse2-ti-doped"):
        fetch("gold")


def test_samples_in_napari(sets, tmp_path, monkeypatch):
    from napari.components import ViewerModel

    from napari_stemlearn.widgets.layer_data import layer_from_data

    monkeypatch.setattr(public, "default_folder", lambda: tmp_path / "cache")
    viewer = ViewerModel()
    for entry in sample_data.pt_single_atoms():
        viewer.add_layer(layer_from_data(entry))
    image, points = viewer.layers
    assert image.data.shape == (4, 20, 30)
    assert points.ndim == 3
    assert points.units == image.units
    np.testing.assert_array_equal(points.scale, image.scale)
    assert [str(unit) for unit in viewer.layers.extent.units] == ["pixel", "angstrom", "angstrom"]


def test_simulated_day_in_napari(monkeypatch, npe2pm):
    from napari.components import ViewerModel

    import napari_stemlearn.samples.day as module
    from napari_stemlearn import samples
    from napari_stemlearn.widgets.layers import kind_of, sites_from_layer

    small = module.simulated_day(frames=2, size=96)
    # the package keeps what was asked of it once
    for place in (module, samples):
        monkeypatch.setattr(place, "simulated_day", lambda: small)
    viewer = ViewerModel()
    manifest = Path(module.__file__).parents[1] / "napari.yaml"
    with npe2pm.tmp_plugin(manifest=str(manifest)):
        viewer.open_sample("napari-stemlearn", "simulated_day")
    stack, labelled, columns, defects = viewer.layers
    assert [kind_of(layer) for layer in viewer.layers] == ["image", "image", "truth", "truth"]
    # side by side, not on top of each other
    assert labelled.extent.world[0][-1] > stack.extent.world[1][-1]
    found = sites_from_layer(columns, labelled)
    np.testing.assert_allclose(found[["y", "x"]], small.labelled.columns[["y", "x"]], atol=1e-9)
    assert len(defects.data) == len(small.labelled.defects)
    assert set(found["origin"]) == {"truth"}
