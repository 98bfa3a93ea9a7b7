"""A CycleGAN learns, stops, resumes as if never stopped, and refuses what it cannot use."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_stemlearn.errors import MicrographError, StemlearnError
from napari_stemlearn.events import Checkpoint, Done, Metric, Preview
from napari_stemlearn.formats import write_tiff
from napari_stemlearn.learning.cyclegan import train_cyclegan
from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.learning.experiment import Experiment
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
        experiment=[str(stack)], **{"survival.recall": 0.0, "survival.displacement": 10.0, **changes}
    )


def test_it_learns_and_leaves_a_generator(stack, tmp_path):
    events = list(train_cyclegan(tiny(stack), tmp_path))
    assert isinstance(events[-1], Done)
    names = {name for event in events if isinstance(event, Metric) for name in event.values}
    assert {"adversarial", "fourier", "cycle", "identity", "labels_recall", "realism_spectrum"} <= names
    assert {event.name for event in events if isinstance(event, Checkpoint)} == {"last", "best"}
    assert any(isinstance(event, Preview) and event.array.shape == (3, 32, 32) for event in events)
    translator = load_translator(events[-1].result["generator"], "cpu")
    image = np.random.default_rng(1).random((45, 51), dtype=np.float32)
    assert translator.translate(image).shape == image.shape


def test_resume_goes_on_as_if_never_stopped(stack, tmp_path):
    settings = tiny(stack, steps=4, every=4)

    def losses(events):
        return [
            event.values["generators"] for event in events if isinstance(event, Metric) and "generators" in event.values
        ]

    whole = losses(train_cyclegan(settings, tmp_path / "whole"))
    asked = iter([False] * 4 + [True])
    stopped = list(train_cyclegan(settings, tmp_path / "parts", should_stop=lambda: next(asked)))
    assert stopped[-1].stopped
    resumed = losses(train_cyclegan(settings, tmp_path / "parts", resume=True))
    assert resumed[-1] == pytest.approx(whole[-1], rel=1e-6)


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
