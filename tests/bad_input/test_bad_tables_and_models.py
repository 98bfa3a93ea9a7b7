"""Site tables, models and settings that do not fit are refused with one sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_stemlearn.errors import ModelError
from napari_stemlearn.formats import sidecar_path, write_sites
from napari_stemlearn.models.store import CARD, WEIGHTS, list_models, load_model
from napari_stemlearn.sites import make_sites

Refused = Callable[..., str]


@pytest.fixture
def truth() -> str:
    write_sites("truth.csv", make_sites([10.0, 20.0], [12.0, 30.0], "vacancy1", pixel_size=0.2))
    return "truth.csv"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("a,b\n1,2\n", "lacks the columns y and x; it has a, b"),
        ("y,class\n1,W\n", "lacks the column x"),
        ("y,x,class\n1,here,W\n", "row 1 has x = 'here', which is no position"),
        ("y,x,class\n1,2,W\n,3,W\n", "row 2 has no y"),
        ("y,x,class\n1,2,\n", "row 1 has no class"),
        ("frame,y,x,class\n0.5,1,2,W\n", "the frame column must hold whole numbers from 0"),
        ("frame,y,x,class\n-1,1,2,W\n", "the frame column must hold whole numbers from 0"),
        ("y,x,class,origin\n1,2,W,heaven\n", "origin 'heaven' is unknown"),
        ("y,x,class\n1,inf,W\n", "which is no position"),
        ("y_angstrom,x_angstrom,class\n1,far,W\n", "row 1 has x_angstrom = 'far', which is no position"),
        ("y,x,class\n10,5,20,5,W\n", "row 1 has 5 fields, but there are 3 columns"),
        ("y,x,class,score\n1,2,W,good\n", "row 1 has score = 'good', which is no number"),
    ],
)
def test_site_tables_with_wrong_columns(refused: Refused, truth: str, text: str, words: str) -> None:
    Path("bad.csv").write_text(text)
    for pair in (("bad.csv", truth), (truth, "bad.csv")):
        sentence = refused("score", *pair, "--pixel-size", 0.2)
        assert words in sentence
        assert "bad.csv" in sentence


def test_a_table_that_is_none(refused: Refused, truth: str) -> None:
    Path("bad.csv").write_bytes(bytes(range(256)))
    assert "bad.csv cannot be read as a table" in refused("score", truth, "bad.csv")
    assert "The file nowhere.csv does not exist" in refused("score", truth, "nowhere.csv")
    Path("folder.csv").mkdir()
    assert "is a folder" in refused("score", truth, "folder.csv")


def test_a_damaged_sidecar(refused: Refused, truth: str) -> None:
    sidecar_path(truth).write_text('{"version": ')
    assert "is damaged" in refused("score", truth, truth)


def test_classes_unknown_to_the_model(refused: Refused, good: Path, model: Path) -> None:
    base = ("find", good, "--model", model)
    sentence = "The model 'random' knows no class 'antisite'; it knows vacancy1."
    assert refused(*base, "--set", "classes=[antisite]") == sentence
    assert refused(*base, "--set", "thresholds={antisite: 0.5}") == sentence


def test_classes_that_no_structure_has(refused: Refused) -> None:
    wanted = "targets.classes={hole: [metal_vacancy]}"
    sentence = refused("train", "--preset", "tiny", "--set", wanted)
    assert "no structure has defects of the class 'hole'" in sentence
    assert not Path("runs").exists()


def change_card(model: Path, **changes: object) -> None:
    card = json.loads((model / CARD).read_text())
    (model / CARD).write_text(json.dumps({**card, **changes}))


def test_a_card_that_does_not_fit_its_weights(refused: Refused, good: Path, model: Path) -> None:
    card = json.loads((model / CARD).read_text())
    change_card(model, network={**card["network"], "width": 8})
    assert "does not fit its weights" in refused("find", good, "--model", model)
    change_card(model, network=card["network"], weights_sha256="0" * 64)
    assert "is not the file that the card was written for" in refused("find", good, "--model", model)
    change_card(model, weights_sha256="", classes=["vacancy1", "antisite"])
    assert "the network has 1 outputs for 2 classes" in refused("find", good, "--model", model)
    change_card(model, classes=["vacancy1"], network={"kind": "crystal ball"})
    assert str(model.name) in refused("find", good, "--model", model)


def test_broken_model_folders(refused: Refused, good: Path, model: Path) -> None:
    weights = (model / WEIGHTS).read_bytes()
    (model / WEIGHTS).write_bytes(weights[: len(weights) // 2])
    assert "cannot be read" in refused("find", good, "--model", model)
    (model / WEIGHTS).unlink()
    assert "has no weights" in refused("find", good, "--model", model)
    (model / CARD).write_text("{}")
    assert "is wrong" in refused("find", good, "--model", model)
    (model / CARD).write_text("not json")
    assert "cannot be read" in refused("find", good, "--model", model)
    shutil.rmtree(model)
    assert "There is no model" in refused("find", good, "--model", model)


def test_a_broken_model_does_not_hide_the_others(model: Path) -> None:
    broken = model.parent / "broken"
    shutil.copytree(model, broken)
    (broken / CARD).write_text("{}")
    with pytest.warns(UserWarning, match="is wrong"):
        entries = list_models([model.parent])
    assert "random" in {entry.name for entry in entries}
    assert "broken" not in {entry.name for entry in entries}
    with pytest.raises(ModelError):
        load_model(broken)


def test_a_device_that_is_not_there(refused: Refused, good: Path, model: Path) -> None:
    assert "no device 'cuda:9'" in refused("find", good, "--model", model, "--device", "cuda:9")
    assert "There is no device 'abacus'" in refused("train", "--preset", "tiny", "--device", "abacus")


def test_classes_absent_from_a_file_are_a_score_of_nothing(stemlearn: Callable, truth: str) -> None:
    other = make_sites([10.0], [12.0], "antisite", pixel_size=0.2, score=0.9, origin="predicted")
    write_sites("found.csv", other)
    record = json.loads(stemlearn("score", "found.csv", truth, "--json").stdout)
    rows = {row["class"]: row for row in record["classes"]}
    assert rows["vacancy1"]["recall"] == 0.0
    assert rows["vacancy1"]["precision"] is None
    assert rows["antisite"]["precision"] == 0.0
    assert record["confusion"]["names"] == ["antisite", "vacancy1", "nothing"]
    assert record["confusion"]["true_in_rows_found_in_columns"][1][0] == 1


def test_tables_of_nothing(stemlearn: Callable, refused: Refused, truth: str) -> None:
    pd.DataFrame({"y": [], "x": [], "class": []}).to_csv("none.csv", index=False)
    both = stemlearn("score", "none.csv", "none.csv", "--pixel-size", 0.2, "--json")
    assert json.loads(both.stdout)["classes"][-1]["f1"] is None
    assert np.isclose(json.loads(stemlearn("score", "none.csv", truth, "--json").stdout)["rule"]["pixel_size"], 0.2)
    assert "no frame" in refused("score", "none.csv", "none.csv", "--pixel-size", 0.2, "--bootstrap")
