"""Crops that a generator translates while a network learns, and trainings that start from a model's weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.events import Done
from napari_stemlearn.learning import starting_weights
from napari_stemlearn.learning.crops import HELD_OUT, TRAINING, random_numbers
from napari_stemlearn.learning.segmentation import train_segmentation
from napari_stemlearn.learning.settings import NetworkSettings, SegmentationSettings
from napari_stemlearn.learning.simulated import SimulatedCrops
from napari_stemlearn.learning.starting_weights import mix_weights, take_weights
from napari_stemlearn.models.card import SYNTHETIC_NOTE
from napari_stemlearn.models.store import load_model
from napari_stemlearn.networks.residual_unet import ResidualUNet
from untrained_generator import untrained_generator


@pytest.fixture
def generator(tmp_path):
    return untrained_generator(tmp_path / "generator", pixel_size=0.25)


def with_generator(folder, **changes) -> SegmentationSettings:
    given = {"data.generator": str(folder), "pixel_size": 0.25, "validation.held_out_style": "unchanged", **changes}
    return SegmentationSettings.preset("tiny").changed(**given)


def test_a_crop_is_translated_and_keeps_its_labels(generator):
    source = SimulatedCrops(with_generator(generator))
    crop = source.crop(random_numbers(0, TRAINING, 0), 64, stream=TRAINING)
    again = source.crop(random_numbers(0, TRAINING, 0), 64, stream=TRAINING)
    assert torch.equal(crop.image, again.image)
    assert {"W", "Se2"} <= set(crop.names)
    # the generator's experiment has grey levels of 100 to 200 electrons; simulations are fractions of the beam
    assert 50 < float(crop.image.median()) < 250
    assert source.pixel_size_range == (0.25, 0.25)
    at = crop.image[np.clip(crop.y.round(), 0, 63).astype(int), np.clip(crop.x.round(), 0, 63).astype(int)]
    assert float(at.mean()) > float(crop.image.mean())


def test_some_images_can_stay_simulations_but_thresholds_are_chosen_on_translated_ones(generator):
    source = SimulatedCrops(with_generator(generator, **{"data.translated": 0.0}))
    plain = source.crop(random_numbers(0, TRAINING, 0), 64, stream=TRAINING).image
    translated = source.crop(random_numbers(0, HELD_OUT, 0), 64, stream=HELD_OUT).image
    assert float(translated.std() / translated.mean()) != pytest.approx(float(plain.std() / plain.mean()), rel=0.05)


def test_translating_leaves_other_random_numbers_alone(generator):
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    SimulatedCrops(with_generator(generator)).crop(random_numbers(0, TRAINING, 0), 32, stream=TRAINING)
    assert torch.equal(torch.rand(2), wanted)


def test_a_network_learns_from_a_generator(generator, tmp_path):
    events = list(train_segmentation(with_generator(generator), tmp_path / "run"))
    assert isinstance(events[-1], Done)
    learnt = load_model(events[-1].result["model"], "cpu").card
    assert learnt.pixel_size == 0.25
    assert "has learnt from experimental ones" in learnt.note
    assert "no experimental image" not in learnt.note
    # nor does a model say so that started from one which has seen the look of experiments
    tiny = SegmentationSettings.preset("tiny").model_copy(update={"targets": with_generator(generator).targets})
    again = list(train_segmentation(tiny.changed(start_from=events[-1].result["model"]), tmp_path / "again"))
    note = load_model(again[-1].result["model"], "cpu").card.note
    assert note.startswith("Trained on simulated images. It started from")


def test_a_missing_generator_is_one_sentence(tmp_path):
    with pytest.raises(StemlearnError, match="no generator"):
        SimulatedCrops(with_generator(tmp_path / "nowhere"))


def test_training_starts_from_the_weights_of_a_model():
    card = load_model("tmd-defects", "cpu")
    size = {key: card.card.network[key] for key in ("width", "levels", "stem")}
    classes = {name: [name] for name in card.card.classes}
    settings = SegmentationSettings.preset("tiny").model_copy(
        update={
            "start_from": "tmd-defects",
            "targets": SegmentationSettings().targets.model_copy(update={"classes": classes}),
            "network": NetworkSettings(**size),
        }
    )
    network = ResidualUNet(1, len(classes), **size)
    take_weights(network, settings)
    for name, value in card.network.state_dict().items():
        assert torch.equal(network.state_dict()[name].float(), value.float()), name
    with pytest.raises(StemlearnError, match=r"has a network of width \d+, this training one of 4"):
        take_weights(network, settings.model_copy(update={"network": NetworkSettings(**{**size, "width": 4})}))


@pytest.mark.parametrize(
    ("largest", "f1", "kept"),
    [
        (0.0, lambda share: share, 0.0),
        (1.0, lambda share: share, 1.0),
        (0.5, lambda share: 0.9, 0.5),
        (0.5, lambda share: 0.9 - 0.018 * share, 0.5),
        (0.5, lambda share: 0.9 - 0.03 * share, 0.25),
        (0.5, lambda share: 1 - share, 0.0),
    ],
)
def test_a_finished_model_keeps_as_much_of_its_start_as_costs_nothing(largest, f1, kept):
    start = load_model("tmd-defects", "cpu")
    of_start = {name: value.float() for name, value in start.network.state_dict().items()}
    settings = SegmentationSettings.preset("tiny").model_copy(
        update={"start_from": "tmd-defects", "kept_of_start": largest}
    )
    size = {key: start.card.network[key] for key in ("width", "levels", "stem")}
    network = ResidualUNet(1, len(start.card.classes), **size)
    learnt = {name: value.clone() for name, value in network.state_dict().items()}
    looked_at = next(name for name, value in learnt.items() if value.is_floating_point() and value.dim() > 1)

    def reached(mixed):
        way = (mixed.state_dict()[looked_at] - learnt[looked_at]).norm()
        return f1(float(way / (of_start[looked_at] - learnt[looked_at]).norm()))

    assert mix_weights(network, settings, reached) == pytest.approx(kept)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            wanted = kept * of_start[name] + (1 - kept) * learnt[name].float()
            torch.testing.assert_close(value.float(), wanted, rtol=1e-4, atol=1e-5)


def test_a_training_mixes_at_its_end(tmp_path, monkeypatch):
    first = list(train_segmentation(SegmentationSettings.preset("tiny"), tmp_path / "first"))[-1].result["model"]
    monkeypatch.setattr(starting_weights, "COST", 1.0)
    weights = {}
    for kept in (0.0, 1.0):
        settings = SegmentationSettings.preset("tiny").changed(start_from=first, kept_of_start=kept, seed=1)
        model = list(train_segmentation(settings, tmp_path / f"kept-{kept}"))[-1].result["model"]
        found = load_model(model, "cpu")
        weights[kept] = found.network.state_dict()
        assert found.card.note.startswith(f"{SYNTHETIC_NOTE} It started from the weights of {first}")
        assert (f"a part of {kept:g} of them is kept" in found.card.note) == bool(kept)
    of_start = load_model(first, "cpu").network.state_dict()
    # batch normalisation counts batches, which are no weights
    same = {
        kept: all(
            torch.allclose(value, of_start[name], rtol=1e-3, atol=1e-5)
            for name, value in found.items()
            if value.is_floating_point()
        )
        for kept, found in weights.items()
    }
    assert same == {0.0: False, 1.0: True}


def test_other_classes_are_refused(tmp_path):
    settings = SegmentationSettings.preset("tiny").changed(start_from="tmd-defects")
    with pytest.raises(StemlearnError, match="both need the same classes"):
        next(train_segmentation(settings, tmp_path))
