"""A training yields its events, resumes as if never stopped, and says what went wrong."""

import errno
import os
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from napari_stemlearn.errors import SettingsError
from napari_stemlearn.events import Checkpoint, Done, Log, Metric, Preview, Progress, Started
from napari_stemlearn.learning.checkpoints import make_checkpoint_folder, read_checkpoint
from napari_stemlearn.learning.crops import training_batch
from napari_stemlearn.learning.failures import TrainingError
from napari_stemlearn.learning.loading import open_source
from napari_stemlearn.learning.segmentation import _learn, train_segmentation
from napari_stemlearn.learning.segmentation_trainer import Trainer, learning_rate
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.learning.validation import Validation
from napari_stemlearn.models.store import load_model

TINY = SegmentationSettings.preset("tiny")
LONGER = TINY.changed(
    **{"optimisation.steps": 5, "optimisation.report_every": 1, "validation.every": 3, "network.dropout": 0.3}
)


def _losses(events):
    return {event.step: event.values["train_loss"] for event in events if "train_loss" in getattr(event, "values", {})}


def _after(steps):
    """Asked before every step: yes after that many."""
    answers = iter([False] * steps + [True])
    return lambda: next(answers)


def test_a_training_ends_with_a_model(tmp_path):
    events = list(train_segmentation(TINY, tmp_path))
    assert isinstance(events[0], Started)
    assert events[0].device == "cpu"
    assert [event.done for event in events if isinstance(event, Progress) and event.stage == "train"] == [1, 2]
    assert [event.name for event in events if isinstance(event, Checkpoint)] == ["best", "last"]
    previews = {event.name: event.array for event in events if isinstance(event, Preview)}
    assert {name: array.shape for name, array in previews.items()} == dict.fromkeys(
        ("image", "target", "prediction"), (2, 32, 32)
    )
    values = {name for event in events if isinstance(event, Metric) for name in event.values}
    assert {"train_loss", "same_style_loss", "held_out_loss", "same_style_f1", "held_out_f1_vacancy1"} <= values
    assert isinstance(events[-1], Done)
    model = load_model(tmp_path / "result", "cpu")
    assert model.card.classes == ("vacancy1", "vacancy2")
    assert set(model.card.thresholds) == set(model.card.classes)
    assert SegmentationSettings.checked(model.card.settings) == TINY
    assert any("held-out style" in score.measured_on for score in model.card.scores)
    averaged = read_checkpoint(tmp_path / "checkpoints" / "best.safetensors")[0]
    assert torch.equal(model.network.state_dict()["head.weight"], averaged["averaged.head.weight"])


def test_the_largest_seed_is_taken_and_larger_ones_are_refused(tmp_path):
    events = list(train_segmentation(TINY.changed(seed=2**63 - 1), tmp_path))
    assert isinstance(events[-1], Done)
    with pytest.raises(SettingsError, match="Setting seed: 9223372036854775808 is too large for a seed; allowed: "):
        TINY.changed(seed=2**63)


def test_a_class_without_any_true_site_is_left_out_of_the_mean(tmp_path):
    common, never = ({"kind": kind, "probability": chance} for kind, chance in (("vacancy1", 0.3), ("vacancy2", 1e-9)))
    structures = [{"structure": {**TINY.structures[0].structure.record(), "defects": [common, never]}}]
    events = list(train_segmentation(TINY.changed(structures=structures), tmp_path))
    warnings = [event.message for event in events if isinstance(event, Log) and event.level == "warning"]
    assert warnings == [
        f"No validation image of the {style} style has a site of vacancy2: left out of the mean F1."
        for style in ("training's own", "held-out")
    ]
    values = next(event.values for event in events if "held_out_f1" in getattr(event, "values", {}))
    assert values["held_out_f1"] == values["held_out_f1_vacancy1"]
    assert "held_out_f1_vacancy2" not in values


def test_the_mean_f1_is_of_the_classes_that_are_there():
    best = pd.DataFrame({"class": ["a", "b", "c"], "best_f1": [0.6, np.nan, np.nan]})
    nothing = np.zeros((1, 3, 2, 2), np.float32)
    assert Validation(1.0, best, nothing, best, best, absent=("c",)).f1 == pytest.approx(0.3)
    assert Validation(1.0, best, nothing, best, best, absent=("a", "b", "c")).f1 == 0


def test_a_resumed_training_goes_on_as_if_never_stopped(tmp_path):
    whole = list(train_segmentation(LONGER, tmp_path / "whole"))
    stopped = list(train_segmentation(LONGER, tmp_path / "parts", should_stop=_after(2)))
    assert isinstance(stopped[-1], Done)
    assert stopped[-1].stopped
    assert stopped[-1].result == {}
    assert set(_losses(stopped)) == {1, 2}
    resumed = list(train_segmentation(LONGER, tmp_path / "parts", resume=True))
    assert resumed[0].resumed_at == 2
    assert {**_losses(stopped), **_losses(resumed)} == _losses(whole)
    paths = [tmp_path / name / "checkpoints" / "last.safetensors" for name in ("whole", "parts")]
    (one, values), (other, other_values) = (read_checkpoint(path) for path in paths)
    assert values == other_values
    assert one.keys() == other.keys()
    for key, tensor in one.items():
        assert torch.equal(tensor, other[key]), key
    weights = [(tmp_path / name / "result" / "weights.safetensors").read_bytes() for name in ("whole", "parts")]
    assert weights[0] == weights[1]


def test_a_stopped_training_leaves_the_best_model_so_far(tmp_path):
    seen = list(train_segmentation(LONGER, tmp_path, should_stop=_after(4)))
    assert seen[-1].stopped
    assert load_model(seen[-1].result["model"], "cpu").card.name == "model"


def test_a_finished_training_resumes_to_its_end_at_once(tmp_path):
    list(train_segmentation(TINY, tmp_path))
    again = list(train_segmentation(TINY, tmp_path, resume=True))
    assert again[0].resumed_at == 2
    assert isinstance(again[-1], Done)
    assert not _losses(again)


def test_other_settings_cannot_resume(tmp_path):
    list(train_segmentation(TINY, tmp_path))
    with pytest.raises(TrainingError, match=r"optimisation\.learning_rate was 0\.005 and is 0\.001 now"):
        list(train_segmentation(TINY.changed(**{"optimisation.learning_rate": 0.001}), tmp_path, resume=True))
    path = tmp_path / "checkpoints" / "last.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(TrainingError, match="cannot be read"):
        list(train_segmentation(TINY, tmp_path, resume=True))


def test_a_loss_that_is_no_number_ends_the_training(tmp_path):
    broken = TINY.changed(**{"optimisation.loss": {"cross_entropy": 1e39}})
    with pytest.raises(TrainingError, match="no longer a number at step 2; lower optimisation"):
        list(train_segmentation(broken, tmp_path))


def test_an_absent_device_ends_the_training(tmp_path):
    with pytest.raises(SettingsError, match="cuda:9"):
        list(train_segmentation(TINY.changed(device="cuda:9"), tmp_path))


def test_too_little_memory_names_a_batch_size_that_fits():
    training = Trainer(TINY.changed(**{"optimisation.batch_size": 8}))
    batch = training_batch(open_source(training.settings), training.settings, 0)

    def limit(_network, arguments):
        if len(arguments[0]) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    training.network.register_forward_pre_hook(limit)
    with pytest.raises(TrainingError, match="too small for a batch of 8 crops; a batch size of 2 fits"):
        _learn(training, batch)


def test_a_run_that_was_deleted_is_not_made_again(tmp_path):
    run = tmp_path / "run"

    def deleted():
        shutil.rmtree(run, ignore_errors=True)
        return False

    with pytest.raises(TrainingError, match=r"Nothing can be written to .*run"):
        list(train_segmentation(TINY, run, should_stop=deleted))
    assert not run.exists()


def test_a_full_disk_is_a_sentence_and_the_old_checkpoint_stays(tmp_path, monkeypatch):
    training = Trainer(TINY)
    make_checkpoint_folder(tmp_path)
    path = training.save(tmp_path).path

    def full(_file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    training.step = 7
    with pytest.raises(TrainingError, match="is full; free some space, then resume"):
        training.save(tmp_path)
    assert read_checkpoint(tmp_path / "checkpoints" / "last.safetensors")[1]["step"] == 0
    assert os.listdir(tmp_path / "checkpoints") == [os.path.basename(path)]


def test_learning_rate_schedules():
    settings = TINY.changed(**{"optimisation.steps": 100})
    rates = np.array([learning_rate(settings, step) for step in range(100)])
    assert rates.argmax() == 10
    assert rates[0] < 0.1 * rates.max()
    assert rates[-1] < 0.01 * rates.max()
    cosine = settings.changed(**{"optimisation.schedule": "cosine"})
    assert learning_rate(cosine, 0) == 0.005
    assert learning_rate(cosine, 50) == pytest.approx(0.0025)
    assert learning_rate(settings.changed(**{"optimisation.schedule": "constant"}), 99) == 0.005


def test_it_learns_to_find_columns(tmp_path):
    settings = TINY.changed(
        **{
            "optimisation.steps": 70,
            "optimisation.batch_size": 8,
            "optimisation.crop": 48,
            "optimisation.learning_rate": 0.02,
            "optimisation.ema": 0.8,
            "network.width": 8,
            "validation.images": 6,
            "validation.threshold_images": 8,
            "validation.every": 70,
            "targets.classes": {"column": ["all columns"]},
            "targets.radius": 0.5,
        }
    )
    result = list(train_segmentation(settings, tmp_path))[-1].result
    held_out, same = (score["f1"] for score in result["scores"])
    assert same > 0.9
    assert held_out > 0.7
