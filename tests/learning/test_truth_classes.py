"""A training marks classes that its images can hold; others are refused before it begins."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_stemlearn.errors import SettingsError, StemlearnError
from napari_stemlearn.events import Done, Log
from napari_stemlearn.formats import write_sites, write_tiff
from napari_stemlearn.generation import GenerateSettings, write_generated_set
from napari_stemlearn.learning.failures import TrainingError
from napari_stemlearn.learning.segmentation import train_segmentation
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.learning.simulated import SimulatedCrops
from napari_stemlearn.learning.stored import StoredCrops
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.models.store import load_model
from napari_stemlearn.structures.content import is_content
from untrained_generator import untrained_generator

TINY = SegmentationSettings.preset("tiny")
GRAPHENE = [{"structure": {"crystal": "graphene", "defects": [{"kind": "vacancy1", "probability": 0.2}]}}]


def marking(**classes: object) -> SegmentationSettings:
    record = TINY.record()
    return SegmentationSettings.checked({**record, "targets": {**record["targets"], "classes": classes}})


@pytest.mark.parametrize(
    ("text", "known"),
    [
        *((name, True) for name in ("W", "Se2", "SSe", "TiO", "O5")),
        *((name, False) for name in ("", "w", "SeSe", "Se1", "Xx", "W 2", "vacncy1", "W2Se0")),
    ],
)
def test_contents_of_columns_are_told_from_other_words(text: str, known: bool) -> None:
    assert is_content(text) is known


@pytest.mark.parametrize("truth", ["vacncy1", "vacancy1, vacncy2", "all_columns", "tungsten"])
def test_a_misspelt_class_of_the_truth_is_refused(truth: str) -> None:
    with pytest.raises(SettingsError, match=r"marks '(vacncy1|vacncy2|all_columns|tungsten)', which is no class"):
        marking(vacancy=truth)


def test_right_names_are_taken() -> None:
    classes = {"a": "vacancy1", "b": "W, Se2", "c": "all columns", "d": "all defects", "e": "SSe"}
    assert list(marking(**classes).targets.classes) == list(classes)


def test_all_defects_of_specimens_without_any_are_refused() -> None:
    record = marking(spoilt="all defects").record()
    record["structures"] = [{"structure": {"crystal": "WSe2", "defects": []}}]
    with pytest.raises(SettingsError, match="no structure has defects of the class 'spoilt'"):
        SegmentationSettings.checked(record)


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sets") / "small.stemset"
    list(write_generated_set(GenerateSettings.preset("tiny", structures=GRAPHENE), path))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labelled images with a class of their own."""
    folder = tmp_path_factory.mktemp("files")
    for name in ("a", "b"):
        micrograph = Micrograph(np.zeros((64, 64), np.float32), pixel_size=0.2, name=name)
        write_tiff(folder / f"{name}.tif", micrograph)
        sites = pd.DataFrame({"frame": 0, "y": [20.0, 40.0], "x": [20.0, 40.0], "class": ["vacancy1", "my_dopant"]})
        write_sites(folder / f"{name}_sites.csv", sites, micrograph=micrograph)
    return folder


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ({"vacancy1": ["vacncy1"]}, r"no site of the class 'vacancy1' \(vacncy1\); it has .*vacancy1"),
        ({"vacancy1": ["vacancy1"], "vacancy2": ["vacancy2"]}, r"no site of the class 'vacancy2'"),
        ({"vacancy1": ["vacancy1", "vacncy2"]}, r"marks 'vacncy2', which is no class of the truth"),
    ],
)
@pytest.mark.parametrize("kind", ["data_set", "files"])
def test_a_class_of_which_a_stored_set_has_nothing_is_refused(
    kind: str, classes: dict[str, list[str]], said: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(kind)
    data = {"data.source": "folder", "data.folder": str(folder), "targets.classes": classes}
    with pytest.raises(TrainingError, match=said):
        StoredCrops(TINY.changed(**data))


@pytest.mark.parametrize("kind", ["data_set", "files"])
def test_a_known_model_goes_on_with_a_set_that_has_some_of_its_classes(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = request.getfixturevalue(kind)
    classes = {"vacancy1": ["vacancy1"], "vacancy2": ["vacancy2"]}
    known = TINY.changed(**{"targets.classes": classes, "optimisation.steps": 1})
    first = list(train_segmentation(known, tmp_path / "first"))[-1]
    assert isinstance(first, Done)
    card_path = Path(first.result["model"]) / "card.json"
    card = json.loads(card_path.read_text(encoding="utf-8"))
    card["thresholds"]["vacancy2"] = 0.321
    card_path.write_text(json.dumps(card), encoding="utf-8")
    data = {"data.source": "folder", "data.folder": str(folder), "start_from": first.result["model"]}
    events = list(train_segmentation(known.changed(**data), tmp_path / "second"))
    assert isinstance(events[-1], Done)
    assert load_model(events[-1].result["model"], "cpu").card.thresholds["vacancy2"] == 0.321
    said = " ".join(event.message for event in events if isinstance(event, Log))
    assert "vacancy2: left out of the mean F1, and thresholds stay those of" in said
    with pytest.raises(TrainingError, match="no site of the class 'vacancy2'"):
        StoredCrops(known.changed(**data, **{"targets.classes": {"vacancy2": ["vacancy2"]}}))


def test_a_known_model_goes_on_with_specimens_that_have_some_of_its_classes() -> None:
    classes = {"targets.classes": {"hole": ["vacancy1"], "wrong": ["antisite"]}}
    with pytest.raises(SettingsError, match="no structure has defects of the class 'wrong'"):
        TINY.changed(**classes)
    assert list(TINY.changed(start_from="tmd-defects", **classes).targets.classes) == ["hole", "wrong"]
    with pytest.raises(SettingsError, match="no structure has defects of the class 'wrong'"):
        TINY.changed(start_from="tmd-defects", **{"targets.classes": {"wrong": ["antisite"]}})


def test_classes_of_ones_own_are_learnt_from_a_stored_set(files: Path) -> None:
    data = {"data.source": "folder", "data.folder": str(files), "targets.classes": {"dopant": ["my_dopant"]}}
    assert StoredCrops(TINY.changed(**data)).pixel_size_range == (0.2, 0.2)


def with_generator(folder: Path, **changes: object) -> SegmentationSettings:
    look = {"pixel_size": 0.25, "validation.held_out_style": "unchanged", "data.generator": str(folder)}
    return TINY.changed(**look, **changes)


def test_with_a_generator_its_specimens_count(tmp_path: Path) -> None:
    folder = untrained_generator(tmp_path / "generator", structures=GRAPHENE)
    with pytest.raises(StemlearnError, match=r"simulates no specimen that has defects of the class 'vacancy2'"):
        SimulatedCrops(with_generator(folder))
    # the settings' own specimens have them, and a part of the images is simulated as set
    SimulatedCrops(with_generator(folder, **{"data.translated": 0.5}))


def test_a_model_tells_which_specimens_a_generator_simulated(tmp_path: Path) -> None:
    substitution = {"kind": "substitution", "probability": 0.2, "elements": ["Si"]}
    parts = [{"structure": {"crystal": "graphene", "defects": [substitution]}}]
    folder = untrained_generator(tmp_path / "generator", structures=parts)
    settings = with_generator(folder, **{"targets.classes": {"silicon": ["substitution"]}})
    done = list(train_segmentation(settings, tmp_path / "run"))[-1]
    assert isinstance(done, Done)
    recorded = load_model(done.result["model"], "cpu").card.settings
    assert [part["structure"]["crystal"] for part in recorded["structures"]] == ["graphene"]
    assert SegmentationSettings.checked(recorded).targets == settings.targets
    half = SimulatedCrops(settings.changed(**{"data.translated": 0.25})).structures
    assert [(part.structure.crystal, part.weight) for part in half] == [("WSe2", 0.75), ("graphene", 0.25)]
