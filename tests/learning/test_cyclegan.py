"""A CycleGAN learns, stops, resumes as if never stopped, and refuses what it cannot use."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_stemlearn.errors import MicrographError, SettingsError, StemlearnError
from napari_stemlearn.events import Checkpoint, Done, Metric, Preview, Started
from napari_stemlearn.formats import write_tiff
from napari_stemlearn.learning.checkpoints import read_checkpoint
from napari_stemlearn.learning.cyclegan import train_cyclegan
from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.learning.experiment import Experiment
from napari_stemlearn.learning.failures import TrainingError
from napari_stemlearn.learning.translators import load_translator
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.networks.generators import build_generator


@pytest.fixture
def stack(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "stack.tif"
    write_tiff(path, Micrograph(rng.poisson(50, (2, 96, 96)).astype(np.uint16), 0.2, "stack"))
    return path


def tiny(stack, **changes) -> CycleGANSettings:
    return CycleGANSettings.preset("tiny").changed(
        experiment=[str(stack)],
        **{"survival.recall": 0.0, "survival.displacement": 10.0, "survival.defect_contrast": 0.0, **changes},
    )


def test_it_tells_every_part_and_leaves_its_best_generator(stack, tmp_path):
    events = list(train_cyclegan(tiny(stack), tmp_path))
    assert isinstance(events[-1], Done)
    names = {name for event in events if isinstance(event, Metric) for name in event.values}
    assert {"adversarial", "fourier", "cycle", "identity", "labels_recall", "realism_spectrum"} <= names
    assert {event.name for event in events if isinstance(event, Checkpoint)} == {"last", "best"}
    assert any(isinstance(event, Preview) and event.array.shape == (3, 32, 32) for event in events)
    translator = load_translator(events[-1].result["generator"], "cpu")
    image = np.random.default_rng(1).random((45, 51), dtype=np.float32)
    assert translator.translate(image).shape == image.shape
    best, _ = read_checkpoint(tmp_path / "checkpoints" / "best.safetensors")
    for name, tensor in translator.network.state_dict().items():
        assert torch.equal(tensor, best[f"average.{name}"]), name


@pytest.mark.parametrize("seed", [20261122141503, 2**63 - 1])
def test_large_seeds_are_taken(stack, tmp_path, seed):
    events = list(train_cyclegan(tiny(stack, seed=seed, steps=1), tmp_path))
    assert isinstance(events[-1], Done)


def losses(events) -> dict[int, dict[str, float]]:
    """Every part of the loss at each step that was reported."""
    return {event.step: event.values for event in events if isinstance(event, Metric) and "generators" in event.values}


def stopping_after(steps: int, simulations: int = 2):
    asked = iter([False] * (simulations + steps) + [True])
    return lambda: next(asked)


@pytest.mark.parametrize("stop", [1, 3, 4])
def test_resume_goes_on_as_if_never_stopped(stack, tmp_path, stop):
    """Stopped between two looks or at one, all that is written afterwards is the same, bit by bit."""
    settings = tiny(stack, steps=6, every=4, replay=2)
    whole = list(train_cyclegan(settings, tmp_path / "whole"))
    stopped = list(train_cyclegan(settings, tmp_path / "parts", should_stop=stopping_after(stop)))
    assert stopped[-1].stopped
    assert stopped[-1].result["step"] == stop
    resumed = list(train_cyclegan(settings, tmp_path / "parts", resume=True))
    assert next(event.resumed_at for event in resumed if isinstance(event, Started)) == stop
    assert losses(resumed)[6] == losses(whole)[6]
    for name in ("last", "best"):
        (one, values), (other, other_values) = (
            read_checkpoint(tmp_path / run / "checkpoints" / f"{name}.safetensors") for run in ("whole", "parts")
        )
        assert values == other_values
        assert one.keys() == other.keys()
        for key, tensor in one.items():
            assert torch.equal(tensor, other[key]), key
    assert {"spectra", "critics", "generators"} == {key.split(".")[1] for key in one if key.startswith("networks.")}
    assert {"pool.experiment.images", "pool.simulation.generator", "optimiser.critics.0.exp_avg"} <= one.keys()
    assert any(key.startswith("average.") for key in one)


def test_other_settings_cannot_resume_and_a_new_start_forgets_the_old(stack, tmp_path):
    list(train_cyclegan(tiny(stack), tmp_path))
    with pytest.raises(TrainingError, match=r"learning_rate was 0\.\d+ and is 0\.5 now"):
        list(train_cyclegan(tiny(stack, learning_rate=0.5), tmp_path, resume=True))
    with pytest.raises(StemlearnError, match="diverged at step 1"):
        list(train_cyclegan(tiny(stack, **{"weights.cycle": 1e39}), tmp_path))


def test_the_card_tells_labels_realism_and_looks(stack, tmp_path):
    done = list(train_cyclegan(tiny(stack), tmp_path))[-1]
    card = json.loads((Path(done.result["generator"]) / "generator.json").read_text())
    assert {"labels", "realism", "realism_of_simulation", "looks"} <= card["measured"].keys()
    for report in card["measured"]["looks"].values():
        assert report["kid"] > report["kid_error"] > 0
        assert "columns" in report["network"]


def test_a_generator_that_moves_labels_is_refused(stack, tmp_path):
    with pytest.raises(StemlearnError, match="atoms"):
        list(
            train_cyclegan(
                tiny(stack, **{"survival.displacement": 0.001, "survival.tolerance": 0.01, "survival.recall": 1.0}),
                tmp_path,
            )
        )


def test_residual_generator_begins_as_the_identity_and_crops_commute():
    torch.manual_seed(0)
    network = build_generator(
        {"kind": "resnet", "width": 4, "blocks": 1, "halvings": 1, "norm": "none", "residual": True}
    )
    image = torch.randn(1, 1, 96, 96)
    assert torch.equal(network(image), image)
    torch.nn.init.normal_(network.body[-1].weight, 0, 0.1)
    whole, part = network(image), network(image[..., 16:80, 16:80])
    assert torch.allclose(whole[..., 36:60, 36:60], part[..., 20:44, 20:44], atol=1e-5)


@pytest.mark.parametrize(
    ("data", "pixel_size", "words"),
    [
        (np.ones((40, 40)), 0.2, "one grey level"),
        (np.random.default_rng(0).random((20, 20)), 0.2, "smaller crop"),
        (np.random.default_rng(0).random((40, 40)), None, "pixel size"),
        (np.where(np.eye(40), np.nan, 1.0), 0.2, "NaN"),
    ],
)
def test_experiments_that_cannot_be_learnt_from(data, pixel_size, words):
    with pytest.raises(MicrographError, match=words):
        Experiment([Micrograph(data, pixel_size, "stack")], crop=32)


def test_pixel_sizes_must_agree():
    images = [Micrograph(np.random.default_rng(0).random((40, 40)), size, "image") for size in (0.2, 0.3)]
    with pytest.raises(MicrographError, match="one pixel size"):
        Experiment(images, crop=32)
    with pytest.raises(MicrographError, match="no experimental image"):
        Experiment([], crop=32)


@pytest.mark.parametrize("name", ["../elsewhere", ".hidden", "a/b", "a\\b", "dot.", 'what"'])
def test_a_name_must_be_that_of_a_folder(name):
    with pytest.raises(SettingsError, match="name of a folder"):
        CycleGANSettings.preset("tiny", name=name)
