"""Which checkpoint of a CycleGAN is kept: the nearest to the experiment among those that keep the labels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_stemlearn.events import Checkpoint
from napari_stemlearn.formats import write_tiff
from napari_stemlearn.learning import cyclegan
from napari_stemlearn.learning.checkpoints import checkpoint_path, read_checkpoint
from napari_stemlearn.learning.cyclegan_looks import Look
from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.learning.failures import TrainingError
from napari_stemlearn.micrograph import Micrograph

LOST = "The labels are lost."


@pytest.fixture
def settings(tmp_path) -> CycleGANSettings:
    path = tmp_path / "stack.tif"
    write_tiff(path, Micrograph(np.random.default_rng(0).poisson(50, (2, 96, 96)).astype(np.uint16), 0.2, "stack"))
    easy = {"survival.recall": 0.0, "survival.displacement": 10.0, "survival.defect_contrast": 0.0}
    return CycleGANSettings.preset("tiny").changed(
        experiment=[str(path)], align_lattice=False, check_likeness=False, steps=4, every=1, **easy
    )


@pytest.fixture
def looks(monkeypatch):
    """Let every look find what it is told: a distance, or that labels are lost."""

    def find(*found):
        told = iter(found)

        def look_at(_trainer, _patches):
            one = next(told)
            return Look(LOST, 0.0, ()) if one is LOST else Look("", one, ())

        monkeypatch.setattr(cyclegan, "look_at", look_at)

    return find


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        ((3.0, 1.0, 2.0, 4.0), 2),
        ((1.0, 2.0, 3.0, 4.0), 1),
        ((4.0, 3.0, 2.0, 1.0), 4),
        ((3.0, LOST, 2.0, LOST), 3),
        ((2.0, 1.0, math.nan, 3.0), 2),
    ],
)
def test_the_nearest_to_the_experiment_that_keeps_the_labels_is_kept(settings, looks, tmp_path, found, kept):
    looks(*found)
    events = list(cyclegan.train_cyclegan(settings, tmp_path))
    assert events[-1].result["best_step"] == kept
    assert read_checkpoint(checkpoint_path(tmp_path, "best"))[1]["step"] == kept
    written = [event.step for event in events if isinstance(event, Checkpoint) and event.name == "best"]
    assert written[-1] == kept


def test_a_resumed_training_knows_the_best_of_before(settings, looks, tmp_path):
    looks(1.0, 2.0, 3.0, 4.0)
    asked = iter([False] * (settings.simulations + 2) + [True])
    assert list(cyclegan.train_cyclegan(settings, tmp_path, should_stop=lambda: next(asked)))[-1].stopped
    looks(3.0, 2.0)
    done = list(cyclegan.train_cyclegan(settings, tmp_path, resume=True))[-1]
    assert done.result["best_step"] == 1


def test_nothing_is_kept_where_every_look_finds_labels_lost(settings, looks, tmp_path):
    looks(LOST, LOST, LOST, LOST)
    with pytest.raises(TrainingError, match=LOST):
        list(cyclegan.train_cyclegan(settings, tmp_path))
    assert not checkpoint_path(tmp_path, "best").exists()
