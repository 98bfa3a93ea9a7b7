"""One step of a CycleGAN: what it draws, what it shows to whom, and which networks it changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.learning.cyclegan_trainer import Trainer
from napari_stemlearn.learning.experiment import Experiment
from napari_stemlearn.learning.simulation_pool import SimulatedImage, SimulationPool
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.networks.spectrum import LogSpectrum
from napari_stemlearn.sites import empty_sites


def trainer(**changes) -> Trainer:
    """A tiny training on random waves, without simulating anything."""
    rng = np.random.default_rng(0)
    experiment = Experiment([Micrograph(rng.normal(50, 5, (2, 96, 96)).astype(np.float32), 0.2, "stack")], crop=32)
    waves = np.sin(np.arange(192) * 0.7)
    images = [np.outer(waves, waves).astype(np.float32) + 0.1 * rng.random((192, 192), dtype=np.float32) for _ in "ab"]
    pool = SimulationPool([SimulatedImage(image, empty_sites(), empty_sites()) for image in images])
    return Trainer(CycleGANSettings.preset("tiny").changed(steps=100, **changes), experiment, pool)


def weights(module: torch.nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


def changed(before: list[torch.Tensor], module: torch.nn.Module) -> bool:
    return any(not torch.equal(one, other) for one, other in zip(before, module.parameters(), strict=True))


def test_a_step_changes_every_generator_and_every_critic():
    training = trainer()
    networks = {**training.networks.generators, **training.networks.critics}
    assert len(networks) == 6
    before = {name: weights(network) for name, network in networks.items()}
    training.learn()
    assert {name: changed(before[name], network) for name, network in networks.items()} == dict.fromkeys(networks, True)


@pytest.mark.parametrize("part", ["cycle", "identity"])
def test_generators_come_to_do_what_their_loss_asks_for(part):
    weights_of_parts = {
        name: float(name == part) for name in ("adversarial", "fourier", "cycle", "identity", "position")
    }
    unet = {"kind": "unet", "levels": 3, "dropout": 0.0}
    training = trainer(learning_rate=0.02, weights=weights_of_parts, generator=unet)
    found = [training.learn()[part] for _ in range(20)]
    assert np.mean(found[-5:]) < 0.8 * np.mean(found[:5])


def test_critics_come_to_tell_translations_from_originals():
    weights_of_parts = dict.fromkeys(("adversarial", "fourier", "identity", "position"), 0.0)
    training = trainer(learning_rate=0.01, weights={**weights_of_parts, "cycle": 1.0})
    found = [training.learn()["critics"] for _ in range(25)]
    assert np.mean(found[-5:]) < 0.7 * np.mean(found[:5])


def test_critics_are_shown_the_originals_and_translations_of_their_own_side(monkeypatch):
    training = trainer(replay=2)
    simulated, measured = training.batch()
    translated, given = training.losses.translated, training.losses.of_critics
    made, judged = {}, {}

    def translate(*crops):
        made.update(translated(*crops))
        return made

    def judge(real, shown):
        judged.update(real=real, shown=shown)
        return given(real, shown)

    monkeypatch.setattr(training.losses, "translated", translate)
    monkeypatch.setattr(training.losses, "of_critics", judge)
    training.learn()
    for side, original in (("simulation", simulated), ("experiment", measured)):
        assert torch.equal(judged["real"][side], original)
        assert torch.equal(judged["shown"][side], made[side])
        assert torch.equal(torch.stack(training.pools[side].images), made[side])
        assert not judged["shown"][side].requires_grad


def test_a_spectrum_knows_the_originals_of_its_own_side():
    training = trainer()
    simulated, measured = training.batch()
    training.learn()
    for side, original in (("simulation", simulated), ("experiment", measured)):
        own = LogSpectrum("standard", (32, 32))
        own.observe(original)
        torch.testing.assert_close(training.networks.spectra[side].mean, own.mean)


def test_what_is_kept_follows_what_is_learnt_to_the_experiment():
    training = trainer(learning_rate=1e-8)
    learnt = training.networks.generators["to_experiment"]
    with torch.no_grad():
        for parameter in learnt.parameters():
            parameter.add_(0.1)
    far = []
    for _ in range(3):
        training.learn()
        pairs = zip(weights(training.average), weights(learnt), strict=True)
        far.append(max(float((kept - now).abs().max()) for kept, now in pairs))
    assert 0.1 > far[0] > far[1] > far[2] > 0
    assert training.translator().network is training.average


def test_the_learning_rate_stays_for_half_of_the_steps_and_falls_to_nothing():
    training = trainer(learning_rate=0.004)
    rates = {}
    for training.step in (0, 49, 50, 75, 99, 100, 120):
        rates[training.step] = training.learning_rate()
    expected = {0: 0.004, 49: 0.004, 50: 0.004, 75: 0.002, 99: 0.00008, 100: 0.0, 120: 0.0}
    assert rates == pytest.approx(expected, abs=1e-12)


def test_every_network_learns_at_that_rate():
    training = trainer(learning_rate=0.004)
    training.step = 75
    training.learn()
    for optimiser in training.optimisers.values():
        assert [group["lr"] for group in optimiser.param_groups] == [pytest.approx(0.002)]


def test_the_number_of_a_step_alone_decides_on_its_crops():
    training = trainer(turns="all")
    first = training.batch()
    training.step = 1
    second = training.batch()
    training.step = 0
    assert all(torch.equal(one, other) for one, other in zip(training.batch(), first, strict=True))
    assert not any(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_noise_is_added_to_simulated_crops_alone():
    (plain, measured), (noisy, same) = (trainer(simulation_noise=level).batch() for level in (0.0, 0.25))
    assert torch.equal(measured, same)
    assert float((noisy - plain).std()) == pytest.approx(0.25, rel=0.05)


def test_both_sides_are_inverted_together_every_other_time():
    upright, inverting = trainer(), trainer(inversions=True)
    signs = []
    for step in range(20):
        upright.step = inverting.step = step
        pairs = list(zip(upright.batch(), inverting.batch(), strict=True))
        sign = 1 if torch.equal(*pairs[0]) else -1
        assert all(torch.equal(one, sign * other) for one, other in pairs)
        signs.append(sign)
    assert 4 <= signs.count(-1) <= 16


def test_simulations_begin_with_the_contrast_of_the_experiment_and_generators_with_its_noise():
    training = trainer()
    simulated = training.pool.grey_levels.scaled(training.pool.first(2))
    measured = training.experiment.patches(np.random.default_rng(1), 8, 96)
    assert simulated.mean() == pytest.approx(measured.mean(), abs=0.1)
    with torch.no_grad():
        added = training.networks.generators["to_experiment"](torch.zeros(4, 1, 64, 64))
    noise = np.hypot(float(added.std()), training.settings.simulation_noise)
    assert noise == pytest.approx(measured.std(), rel=0.2)
