"""How learning and the processes that make images share the cores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from napari_stemlearn.learning.device import shared_cores


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("cores", "learning"), [(1, 1), (2, 1), (8, 4), (16, 8)])
def test_half_of_the_cores_learn_while_processes_make_images(cores: int, learning: int) -> None:
    torch.set_num_threads(cores)
    with shared_cores(torch.device("cpu"), workers=cores):
        assert torch.get_num_threads() == learning
    assert torch.get_num_threads() == cores


def test_all_cores_learn_where_no_process_makes_images() -> None:
    torch.set_num_threads(4)
    with shared_cores(torch.device("cpu"), workers=0):
        assert torch.get_num_threads() == 4


def test_a_training_learns_with_that_many(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    from napari_stemlearn.learning import segmentation, segmentation_trainer
    from napari_stemlearn.learning.settings import SegmentationSettings

    seen = []
    learn = segmentation_trainer.Trainer.learn

    def watched(self: object, *arguments: object) -> torch.Tensor:
        seen.append(torch.get_num_threads())
        return learn(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(segmentation_trainer.Trainer, "learn", watched)
    torch.set_num_threads(4)
    settings = SegmentationSettings.checked({**SegmentationSettings.presets["tiny"], "data": {"workers": 1}})
    for _ in segmentation.train_segmentation(settings, str(tmp_path)):
        pass
    assert set(seen) == {2}
    assert torch.get_num_threads() == 4
