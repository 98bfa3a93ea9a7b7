"""Models are listed, loaded and saved; what does not fit is refused with a sentence."""

import json
import shutil
import subprocess
import sys
import warnings

import pytest
import torch

from napari_stemlearn.errors import ModelError, SettingsError
from napari_stemlearn.models.card import ModelCard
from napari_stemlearn.models.store import find_model, list_models, load_model, save_model
from napari_stemlearn.networks.residual_unet import ResidualUNet
from napari_stemlearn.project_folder import remember_project_folder


@pytest.fixture
def saved(tmp_path, monkeypatch):
    monkeypatch.setenv("STEMLEARN_MODELS", str(tmp_path))
    network = ResidualUNet(1, 2, width=4, levels=2)
    card = ModelCard(
        name="tiny", classes=("vacancy1", "vacancy2"), pixel_size=0.2, network=network.record(),
        thresholds={"vacancy1": 0.4}, exclusive=[("vacancy1", "vacancy2")],
        scores=[{"measured_on": "simulations", "class": "vacancy1", "f1": 0.9}],
    )  # fmt: skip
    save_model(tmp_path / "tiny", network, card)
    return tmp_path / "tiny", network


def _edit(folder, **changes):
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, **changes}))


def test_a_saved_model_predicts_the_same(saved):
    folder, network = saved
    for name in ("tiny", folder, folder / "card.json"):
        model = load_model(name, "cpu")
        image = torch.randn(1, 1, 16, 16)
        torch.testing.assert_close(model.network(image), network.eval()(image))
    assert not model.network.training
    assert model.card.threshold("vacancy1") == 0.4
    assert model.card.threshold("vacancy2") == 0.5
    assert model.card.scores[0].site_class == "vacancy1"
    assert [path.name for path in sorted(folder.iterdir())] == ["card.json", "weights.safetensors"]


def test_what_was_kept_in_the_project_is_found_by_its_name(saved, tmp_path, monkeypatch):
    folder, _ = saved
    project = tmp_path / "a project"
    monkeypatch.delenv("STEMLEARN_PROJECT", raising=False)
    monkeypatch.setattr("napari_stemlearn.project_folder.memory", lambda: tmp_path / "config" / "project_folder.txt")
    remember_project_folder(project)
    assert next(entry for entry in list_models() if entry.name == "tiny").origin == "user"
    shutil.copytree(folder, project / "models" / "tiny")
    shutil.copytree(folder, project / "models" / "mine")
    listed = {entry.name: (entry.origin, entry.folder) for entry in list_models()}
    assert listed["tiny"] == ("project", project / "models" / "tiny")
    assert find_model("mine") == project / "models" / "mine"
    given = {entry.name: entry.origin for entry in list_models([project / "models"])}
    assert given["mine"] == given["tiny"] == "given"
    monkeypatch.setenv("STEMLEARN_PROJECT", str(tmp_path / "another"))
    with pytest.raises(ModelError, match="There is no model 'mine'"):
        find_model("mine")


@pytest.mark.usefixtures("saved")
def test_a_name_that_is_too_long_is_no_model(monkeypatch):
    with pytest.raises(ModelError, match=r"There is no model 'x{300}'; .*tiny"):
        find_model("x" * 300)

    def closed(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.is_file", closed)
    with pytest.raises(ModelError, match="The model 'tiny' cannot be read: Permission denied"):
        find_model("tiny")


def test_models_are_listed_and_a_broken_card_is_named(saved):
    folder, _ = saved
    entry = next(entry for entry in list_models() if entry.name == "tiny")
    assert (entry.origin, entry.folder) == ("user", folder)
    _edit(folder, pixel_size=-1)
    with pytest.warns(UserWarning, match="pixel_size"):
        assert "tiny" not in [entry.name for entry in list_models()]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"network": {"kind": "residual_unet", "out_channels": 2, "width": 5, "levels": 2}}, "does not fit"),
        ({"network": {"kind": "residual_unet", "out_channels": 2, "width": 4, "levels": 3}}, "does not fit"),
        ({"network": {"kind": "oracle", "out_channels": 2}}, "no network 'oracle'"),
        ({"classes": ["vacancy1"]}, "2 outputs for 1 classes|which is none of"),
        ({"thresholds": {"adatom": 0.3}}, "adatom"),
        ({"weights_sha256": "0" * 64}, "not the file"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(saved, changes, said):
    _edit(saved[0], **changes)
    with pytest.raises(ModelError, match=said):
        load_model(saved[0], "cpu")


def test_missing_and_broken_files_are_named(saved):
    folder, _ = saved
    (folder / "weights.safetensors").write_bytes(b"not tensors")
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(folder, "cpu")
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ModelError, match="has no weights"):
        load_model(folder, "cpu")
    with pytest.raises(ModelError, match=r"no model 'unknown'.*tiny"):
        load_model("unknown", "cpu")


def test_an_absent_device_is_refused(saved):
    with pytest.raises(SettingsError, match="no device"):
        load_model(saved[0], "cuda:7")


def test_a_card_of_another_network_is_not_saved(saved, tmp_path):
    folder, _ = saved
    card = load_model(folder, "cpu").card
    with pytest.raises(ModelError, match="another network"):
        save_model(tmp_path / "other", ResidualUNet(1, 2, width=8, levels=2), card)


def test_a_folder_that_cannot_be_written_is_named(saved, tmp_path):
    folder, network = saved
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match=r"cannot be written to .*model: .*file is a file\."):
        save_model(tmp_path / "file" / "model", network, load_model(folder, "cpu").card)


def test_a_model_that_cannot_be_replaced_whole_stays(saved):
    folder, network = saved
    card = load_model(folder, "cpu").card
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "card.json").chmod(0o444)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1)
    with pytest.raises(ModelError, match="the file is read-only"):
        save_model(folder, network, card)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    load_model(folder, "cpu")


def _save_and_kill(folder, replaced):
    """Save another model into a folder in a program that dies after so many files were replaced."""
    code = f"""
import os, sys, torch
from napari_stemlearn.models.store import load_model, save_model
model = load_model({str(folder)!r}, "cpu")
replace, count = os.replace, [0]
def dying(source, target):
    replace(source, target)
    count[0] += 1
    if count[0] == {replaced}:
        os._exit(9)
os.replace = dying
for parameter in model.network.parameters():
    parameter.data += 1
save_model({str(folder)!r}, model.network, model.card)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9


def test_a_program_that_is_killed_while_it_replaces_a_model_leaves_one_that_loads(saved):
    folder, _ = saved
    before = load_model(folder, "cpu").network.state_dict()
    _save_and_kill(folder, 1)
    with pytest.warns(UserWarning, match=r"was not replaced whole, since a program was killed"):
        model = load_model(folder, "cpu")
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, before[name])
    # once it is saved again there is nothing to be said
    save_model(folder, model.network, model.card)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_model(folder, "cpu")


def test_a_half_written_model_is_not_listed(saved):
    folder, _ = saved
    shutil.copytree(folder, folder.with_name(".mine"))
    assert ".mine" not in [entry.name for entry in list_models()]
