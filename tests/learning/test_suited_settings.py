"""Settings of a training that suit a data set or a generator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_stemlearn.datasets.creation import create_data_set
from napari_stemlearn.errors import FormatError, ModelError, QueryError
from napari_stemlearn.generation import GenerateSettings, write_generated_set
from napari_stemlearn.learning.segmentation import train_segmentation
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.learning.starting_model import like_model, starting_problem
from napari_stemlearn.learning.suited_settings import settings_for_data_set, settings_for_generator
from napari_stemlearn.models.card import ModelCard, read_card
from napari_stemlearn.sites import make_sites
from untrained_generator import untrained_generator


def make_set(path, defects=("antisite", "vacancy1"), shape=(90, 70), **details):
    data_set = create_data_set(path, shape=shape, pixel_size=0.15, name="a set", synthetic=True, **details)
    for dose, name in enumerate(defects):
        sites = make_sites([5.0], [5.0], name, pixel_size=0.15).assign(kind="defect")
        data_set.add(np.full(shape, 1.0), sites, {"dose": float(dose)})
    data_set.close()
    return path


def test_a_set_decides_pixel_size_classes_and_crop(tmp_path):
    path = make_set(tmp_path / "a.stemset", generator={"name": "day_x"})
    settings = settings_for_data_set(path)
    assert (settings.pixel_size, settings.acquisition_pixel_size) == (0.15, 0.15)
    assert list(settings.targets.classes) == ["vacancy1", "antisite"]
    assert settings.optimisation.crop == 64
    assert settings.validation.held_out_style == "unchanged"
    assert (settings.data.source, settings.data.folder) == ("folder", str(path))
    assert settings.optimisation.steps == SegmentationSettings.preset("quick").optimisation.steps


def test_only_what_a_query_leaves_is_marked(tmp_path):
    settings = settings_for_data_set(make_set(tmp_path / "a.stemset"), "dose > 0")
    assert list(settings.targets.classes) == ["vacancy1"]
    assert settings.data.where == "dose > 0"


def test_plain_simulations_keep_a_held_out_style(tmp_path):
    settings = settings_for_data_set(make_set(tmp_path / "a.stemset"))
    assert settings.validation == SegmentationSettings.preset("quick").validation


def test_without_defects_all_columns_are_marked(tmp_path):
    settings = settings_for_data_set(make_set(tmp_path / "a.stemset", defects=()))
    assert settings.targets.classes == {"column": ("all columns",)}


def test_a_generator_decides_pixel_size_and_specimens(tmp_path):
    folder = untrained_generator(tmp_path / "g")
    settings = settings_for_generator(folder)
    assert settings.data.generator == str(folder)
    assert settings.data.source == "simulation"
    assert settings.pixel_size == 0.25
    assert settings.structures[0].structure.crystal == "WSe2"
    assert "vacancy1" in settings.targets.classes
    assert settings.validation.held_out_style == "unchanged"


def test_training_takes_both(tmp_path):
    generator = untrained_generator(tmp_path / "g")
    wanted = GenerateSettings.preset("tiny", generator=str(generator), number=3)
    *_, done = write_generated_set(wanted, tmp_path / "set.stemset")
    from_set = settings_for_data_set(done.result["data_set"], "image < 3", preset="tiny")
    for number, settings in enumerate((from_set, settings_for_generator(generator, preset="tiny"))):
        assert settings.pixel_size == 0.25
        *_, done = train_segmentation(settings, tmp_path / f"training {number}")
        assert read_card(Path(done.result["model"]) / "card.json").pixel_size == 0.25


def test_the_weights_of_a_model_need_its_network_and_classes():
    card = ModelCard(name="m", classes=("a", "b"), pixel_size=0.2, network={"width": 6, "levels": 3, "stem": 2})
    settings = SegmentationSettings.preset("tiny")
    assert "'m' marks a, b, this training vacancy1, vacancy2" in starting_problem(settings, card)
    alike = {**settings.record(), **like_model(card)}
    alike["targets"]["classes"] = {"a": ["vacancy1"], "b": ["vacancy2"]}
    settings = SegmentationSettings.checked(alike)
    assert starting_problem(settings, card) is None
    assert "width 6, this training one of 4" in starting_problem(settings.changed(**{"network.width": 4}), card)
    # what a card does not name is as by default
    short = card.model_copy(update={"network": {"width": 6, "levels": 3}})
    assert starting_problem(settings, short) is None
    assert "stem 2, this training one of 1" in starting_problem(settings.changed(**{"network.stem": 1}), short)


def test_what_cannot_be_learnt_from_is_refused(tmp_path):
    with pytest.raises(FormatError, match="does not exist"):
        settings_for_data_set(tmp_path / "none.stemset")
    with pytest.raises(QueryError, match="'dust' is no parameter"):
        settings_for_data_set(make_set(tmp_path / "a.stemset"), "dust > 1")
    with pytest.raises(ModelError, match="There is no generator"):
        settings_for_generator(tmp_path)
    folder = untrained_generator(tmp_path / "g")
    card = (folder / "generator.json").read_text()
    (folder / "generator.json").write_text(card.replace('"structures"', '"something"'))
    with pytest.raises(ModelError, match="does not tell what it learnt from"):
        settings_for_generator(folder)
