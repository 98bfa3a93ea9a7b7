"""What runs on a GPU, run on a device that is not the processor: nothing is left behind, nothing is mixed.

Collected by `test_another_device.py` alone, in a process of its own: everything else there would see the device that is
registered here.
"""

from __future__ import annotations

import copy
from typing import Any

import lightning_fabric
import numpy as np
import pytest
import torch

from devices.pretend_device import DEVICE, DevicesMixed, OnDevice, pretend_device
from napari_stemlearn.events import Done
from napari_stemlearn.finding import find
from napari_stemlearn.finding.settings import FindSettings
from napari_stemlearn.formats import write_tiff
from napari_stemlearn.imaging.settings import ImagingSettings
from napari_stemlearn.imaging.simulate import simulate_batch
from napari_stemlearn.learning import cyclegan_trainer, segmentation_trainer, translators
from napari_stemlearn.learning.crops import training_batch
from napari_stemlearn.learning.cyclegan import train_cyclegan
from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.learning.loading import open_source
from napari_stemlearn.learning.segmentation import train_segmentation
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.models.store import Model, load_model
from napari_stemlearn.structures.build import build
from napari_stemlearn.structures.settings import StructureSettings

PRESETS = ("default", "noise_free", "paper", "to_translate", "varied")


class _Generator(torch.Generator):
    """Random numbers for the device, drawn by the processor."""

    def __new__(cls, device: Any = None) -> torch.Generator:
        return _generator.__new__(_generator)


_generator = torch.Generator


@pytest.fixture(autouse=True)
def _device_of_this_computer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "Generator", _Generator)
    # a view made in inference mode of a tensor made outside is refused to subclasses only
    monkeypatch.setattr(torch, "inference_mode", torch.no_grad)
    for module in (cyclegan_trainer, segmentation_trainer, translators):
        monkeypatch.setattr(module, "choose_device", lambda _name: DEVICE)


def specimens(count: int) -> list[Any]:
    crystal = StructureSettings.preset("wse2", field_of_view=(25.6, 25.6))
    return [build(crystal, seed) for seed in range(count)]


def test_mixing_is_noticed():
    with pretend_device():
        there = torch.ones(3, device=DEVICE)
        assert there.device == DEVICE
        with pytest.raises(DevicesMixed):
            there + torch.ones(3)
        with pytest.raises(RuntimeError):
            there.numpy()
        assert (there + 1).cpu().tolist() == [2, 2, 2]


@pytest.mark.parametrize("preset", PRESETS)
def test_simulations_never_wait_for_the_device(preset):
    settings = ImagingSettings.preset(preset, shape=(128, 128), pixel_size=0.2)
    with pretend_device() as device:
        found = simulate_batch(specimens(3), settings, range(3), DEVICE).images
    assert isinstance(found, OnDevice)
    assert device.waits == {}
    if preset in ("noise_free", "to_translate"):
        expected = simulate_batch(specimens(3), settings, range(3)).images
        torch.testing.assert_close(found.held, expected, rtol=0, atol=1e-5 * float(expected.max()))


@pytest.mark.parametrize("changes", [{}, {"tile": 64}, {"test_time_augmentation": True}])
def test_finding_brings_back_the_maps_of_each_tile_alone(changes):
    microscope = ImagingSettings.preset("default", shape=(128, 128), pixel_size=0.2)
    image = simulate_batch(specimens(1), microscope, [0]).images
    micrograph, model = Micrograph(image[0].numpy(), 0.2, "image"), load_model("columns", "cpu")
    settings = FindSettings(**changes)
    expected = find(micrograph, model, settings).sites
    with pretend_device() as device:
        there = Model(model.card, copy.deepcopy(model.network).to(DEVICE), DEVICE)
        found = find(micrograph, there, settings).sites
    np.testing.assert_allclose(found[["y", "x"]], expected[["y", "x"]], atol=1e-4)
    assert device.waits["to the processor"] == (4 if "tile" in changes else 1)


class _Fabric:
    """Fabric knows no such device."""

    def __init__(self, **_given: Any) -> None:
        pass

    def setup(self, network: Any, optimiser: Any) -> tuple[Any, Any]:
        return network, optimiser

    def backward(self, loss: torch.Tensor) -> None:
        loss.backward()


TINY = SegmentationSettings.preset("tiny").changed(**{"optimisation.steps": 4})


def test_a_network_learns_stops_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(lightning_fabric, "Fabric", _Fabric)
    with pretend_device():
        asked = iter([False, False, True])
        stopped = list(train_segmentation(TINY, tmp_path, should_stop=lambda: next(asked)))[-1]
        assert isinstance(stopped, Done)
        assert stopped.stopped
        done = list(train_segmentation(TINY, tmp_path, resume=True))[-1]
    assert load_model(done.result["model"], "cpu").card.classes == ("vacancy1", "vacancy2")


@pytest.mark.parametrize("loss", ["cross_entropy", "dice", "focal", "heat_map"])
def test_a_step_never_waits_for_the_device(loss, monkeypatch):
    monkeypatch.setattr(lightning_fabric, "Fabric", _Fabric)
    settings = TINY.changed(**{"optimisation.loss": {loss: 1.0}})
    batch = training_batch(open_source(settings), settings, 0)
    with pretend_device() as device:
        training = segmentation_trainer.Trainer(settings)
        device.operations.clear()
        training.learn(*training.tensors(batch))
    assert device.waits == {}


@pytest.fixture
def stack(tmp_path):
    path = tmp_path / "stack.tif"
    levels = np.random.default_rng(0).poisson(50, (2, 96, 96)).astype(np.uint16)
    write_tiff(path, Micrograph(levels, 0.2, "stack"))
    return path


def gan(stack: Any, **changes: Any) -> CycleGANSettings:
    return CycleGANSettings.preset("tiny").changed(
        experiment=[str(stack)],
        **{"survival.recall": 0.0, "survival.displacement": 10.0, "survival.defect_contrast": 0.0, **changes},
    )


def test_a_step_of_a_cyclegan_waits_once_for_its_losses(stack, monkeypatch):
    waits = []
    learn = cyclegan_trainer.Trainer.learn

    def watched(trainer: cyclegan_trainer.Trainer) -> dict[str, float]:
        before = dict(device.waits)
        losses = learn(trainer)
        waits.append({name: count - before.get(name, 0) for name, count in device.waits.items()})
        return losses

    monkeypatch.setattr(cyclegan_trainer.Trainer, "learn", watched)
    with pretend_device() as device:
        list(train_cyclegan(gan(stack, steps=2, every=2), stack.parent))
    assert [{name: count for name, count in one.items() if count} for one in waits] == [{"to the processor": 1}] * 2


def test_a_cyclegan_learns_stops_and_goes_on(stack, tmp_path):
    settings = gan(stack, steps=6, every=4, replay=2)
    with pretend_device():
        asked = iter([False] * 5 + [True])
        assert list(train_cyclegan(settings, tmp_path, should_stop=lambda: next(asked)))[-1].stopped
        done = list(train_cyclegan(settings, tmp_path, resume=True))[-1]
        image = np.random.default_rng(1).random((45, 51), dtype=np.float32)
        there = translators.load_translator(done.result["generator"]).translate(image)
    assert there.shape == image.shape
