"""Which weights of a training are kept: those with the lowest loss on the held-out style, before and after a stop."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from napari_stemlearn.learning import segmentation
from napari_stemlearn.learning.checkpoints import checkpoint_path, read_checkpoint
from napari_stemlearn.learning.segmentation import train_segmentation
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.models.store import load_model

SETTINGS = SegmentationSettings.preset("tiny").changed(**{"optimisation.steps": 3, "validation.every": 1})


@pytest.fixture
def losses(monkeypatch):
    """Let validations find these losses on the held-out style; those on the training's own style fall and fall."""
    evaluate = segmentation.evaluate

    def find(*held_out):
        told = iter([loss for number, other in enumerate(held_out) for loss in (1 / (1 + number), other)])

        def evaluated(*given):
            return replace(evaluate(*given), loss=next(told))

        monkeypatch.setattr(segmentation, "evaluate", evaluated)

    return find


def kept_step(folder) -> int:
    return read_checkpoint(checkpoint_path(folder, "best"))[1]["step"]


@pytest.mark.parametrize(("found", "kept"), [((3.0, 1.0, 2.0), 2), ((1.0, 2.0, 3.0), 1), ((3.0, 2.0, 1.0), 3)])
def test_the_lowest_loss_on_the_held_out_style_is_kept(losses, tmp_path, found, kept):
    losses(*found)
    list(train_segmentation(SETTINGS, tmp_path))
    assert kept_step(tmp_path) == kept
    averaged = read_checkpoint(checkpoint_path(tmp_path, "best"))[0]["averaged.head.weight"]
    assert torch.equal(load_model(tmp_path / "result", "cpu").network.state_dict()["head.weight"], averaged)


def test_a_resumed_training_knows_the_best_of_before(losses, tmp_path):
    losses(1.0)
    asked = iter([False, True])
    assert list(train_segmentation(SETTINGS, tmp_path, should_stop=lambda: next(asked)))[-1].stopped
    losses(3.0, 2.0)
    list(train_segmentation(SETTINGS, tmp_path, resume=True))
    assert kept_step(tmp_path) == 1
