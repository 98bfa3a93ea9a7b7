"""The preset `paper` of the CycleGAN has the parameters of the published script."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from napari_stemlearn.learning import cyclegan
from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.learning.experiment import Experiment
from napari_stemlearn.learning.simulation_pool import SimulatedImage, SimulationPool
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.networks.critics import PatchCritic
from napari_stemlearn.networks.generators import build_generator
from napari_stemlearn.sites import empty_sites

PUBLISHED = {
    "generator": {"kind": "unet", "width": 64, "levels": 8, "dropout": 0.5},
    "critic": {"width": 64, "layers": 3, "norm": "instance", "fourier": True, "spectrum": "paper"},
    # (image + Fourier) / 2 + 10 (one cycle + the other) / 2 + 5 identity
    "weights": {
        "adversarial": 0.5, "fourier": 0.5, "cycle": 5.0, "identity": 5.0, "position": 0.0,
        "identity_norm": "l2", "smoothing": 0.0, "target": "sigmoid",
    },
    "crop": 256, "batch_size": 32, "learning_rate": 2e-3, "beta1": 0.9, "gradient_clip": 0.0, "replay": 0,
    "turns": "all", "inversions": False, "align_lattice": False, "fit_cell": False, "simulation_noise": 0.1,
    "precision": "32",
}  # fmt: skip


def test_the_preset_has_the_published_values():
    record = CycleGANSettings.preset("paper").record()
    for name, value in PUBLISHED.items():
        found = {key: record[name][key] for key in value} if isinstance(value, dict) else record[name]
        assert found == value, name
    # 200 epochs of 2,500 pairs of crops
    assert record["steps"] * record["batch_size"] == 500_000
    scan = record["imaging"]["scan"]
    # of either sign with the same chance, 0.01 on average with a standard deviation of 0.01
    assert (scan["shear"], scan["scale_y"]) == ("normal(0, 0.014)", "normal(1, 0.014)")
    assert scan["line_jitter_x"] == record["imaging"]["pixel_size"] == 0.2074


def test_networks_are_those_of_the_published_script():
    settings = CycleGANSettings.preset("paper")
    generator = build_generator(settings.generator.network_record())
    critic = PatchCritic(settings.critic.width, settings.critic.layers, settings.critic.norm)
    counts = [sum(parameter.numel() for parameter in network.parameters()) for network in (generator, critic)]
    assert counts == [54_407_809, 2_763_521]
    for network in (generator, critic):
        norms = [module for module in network.modules() if isinstance(module, nn.InstanceNorm2d)]
        assert norms
        assert all(
            norm.eps == 1e-5 and float(norm.weight.detach().std()) == pytest.approx(0.02, rel=0.3) for norm in norms
        )
        slopes = {module.negative_slope for module in network.modules() if isinstance(module, nn.LeakyReLU)}
        assert slopes == {0.3}
        convolutions = [part for part in network.modules() if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d))]
        weights = torch.cat([part.weight.detach().flatten() for part in convolutions])
        assert float(weights.std()) == pytest.approx(0.02, rel=0.01)
        # the last layer alone has one
        assert [float(part.bias.detach().abs().max()) for part in convolutions if part.bias is not None] == [0.0]


def test_a_generator_from_before_is_built_without_a_learnt_scale():
    network = build_generator({"kind": "unet", "width": 4, "levels": 3, "dropout": 0.5})
    assert not any("1.weight" in name for name in network.state_dict())


def trainer(**changes) -> cyclegan.Trainer:
    rng = np.random.default_rng(0)
    experiment = Experiment([Micrograph(rng.normal(50, 5, (2, 96, 96)).astype(np.float32), 0.2, "stack")], crop=32)
    image = rng.random((192, 192), dtype=np.float32)
    pool = SimulationPool([SimulatedImage(image, empty_sites(), empty_sites())])
    return cyclegan.Trainer(CycleGANSettings.preset("tiny").changed(**changes), experiment, pool)


def test_gradients_are_limited_as_the_settings_say(monkeypatch):
    limits = []
    monkeypatch.setattr(nn.utils, "clip_grad_norm_", lambda _parameters, limit: limits.append(limit))
    for limit in (0.0, 3.0, 10.0):
        trainer(gradient_clip=limit).learn()
    assert limits == [3.0, 10.0]
