"""Each part of a CycleGAN's loss is nothing for the networks that do what it asks for, and something for others.

Simulated crops are dark and measured ones bright, so that it shows which crops a network was given.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from napari_stemlearn.learning.cyclegan_losses import Losses
from napari_stemlearn.learning.cyclegan_networks import Networks
from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings

PIXEL_SIZE = 0.2

APART = 4.0
"""Grey levels between a simulated and a measured crop."""


class Does(nn.Module):
    """A network that does what it is told."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.function(images)


def brighter(by: float) -> Does:
    return Does(lambda images: images + by)


def knows(level: float) -> Does:
    """A critic that takes nothing for real but images of this mean grey level; one logit an image."""
    return Does(lambda images: ((images.mean(dim=(1, 2, 3)) - level).abs() < 1).float())


def crops() -> tuple[torch.Tensor, torch.Tensor]:
    """A simulated crop about -APART / 2, and a measured one, of other atoms, about APART / 2."""
    along = torch.linspace(0, 6 * np.pi, 32)
    simulated, measured = (0.5 * torch.outer(torch.sin(along + phase), torch.cos(along)) for phase in (0.0, 1.0))
    return simulated[None, None] - APART / 2, measured[None, None] + APART / 2


def losses(**weights) -> Losses:
    """Generators that turn either side into the other, and critics that tell them apart."""
    networks = Networks(CycleGANSettings.preset("tiny"))
    networks.generators = nn.ModuleDict({"to_experiment": brighter(APART), "to_simulation": brighter(-APART)})
    levels = {"experiment": APART / 2, "simulation": -APART / 2}
    # what a Fourier critic sees is something else than the image
    spectra = {"experiment": 100.0, "simulation": -100.0}
    networks.spectra = nn.ModuleDict({name: brighter(by) for name, by in spectra.items()})
    critics = {name: knows(level) for name, level in levels.items()}
    critics |= {f"{name}_fourier": knows(level + spectra[name]) for name, level in levels.items()}
    networks.critics = nn.ModuleDict(critics)
    settings = CycleGANSettings.preset("tiny").changed(**{f"weights.{name}": value for name, value in weights.items()})
    return Losses(networks, settings.weights, PIXEL_SIZE)


def parts_of(found: Losses) -> dict[str, float]:
    simulated, measured = crops()
    translated = found.translated(simulated, measured)
    return {name: float(part) for name, part in found.parts(simulated, measured, translated).items()}


def test_translations_that_every_critic_takes_for_real_cost_nothing():
    parts = parts_of(losses())
    assert parts["adversarial"] == 0
    assert parts["fourier"] == 0


@pytest.mark.parametrize("side", ["to_experiment", "to_simulation"])
def test_a_side_that_is_not_translated_is_told_by_both_of_its_critics(side):
    found = losses()
    found.networks.generators[side] = brighter(0.0)
    parts = parts_of(found)
    assert parts["adversarial"] == 1
    assert parts["fourier"] == 1


@pytest.mark.parametrize("critic", ["experiment", "simulation", "experiment_fourier", "simulation_fourier"])
def test_every_critic_learns_to_tell_its_side_from_the_other(critic):
    found = losses()
    simulated, measured = crops()
    real = {"experiment": measured, "simulation": simulated}
    other = {"experiment": simulated, "simulation": measured}
    assert float(found.of_critics(real, other)) == 0
    found.networks.critics[critic] = Does(lambda images: images.new_zeros(len(images)))
    assert float(found.of_critics(real, other)) == 0.5
    found.networks.critics[critic] = Does(lambda images: images.new_ones(len(images)))
    assert float(found.of_critics(real, other)) == 0.5


def test_the_way_there_and_back_costs_what_it_changes():
    assert parts_of(losses())["cycle"] == pytest.approx(0, abs=1e-6)
    found = losses()
    found.networks.generators["to_simulation"] = brighter(0.5 - APART)
    assert parts_of(found)["cycle"] == pytest.approx(1.0, abs=1e-5)


def test_generators_that_change_nothing_bring_every_image_back():
    found = losses()
    found.networks.generators = nn.ModuleDict({"to_experiment": brighter(0.0), "to_simulation": brighter(0.0)})
    parts = parts_of(found)
    assert parts["cycle"] == 0
    assert parts["identity"] == 0


def test_an_image_that_has_the_look_already_stays_as_it_is():
    """Generators that turn one side alone into the other, and leave the other as it is."""
    found = losses()
    found.networks.generators["to_experiment"] = Does(lambda images: torch.where(images < 0, images + APART, images))
    found.networks.generators["to_simulation"] = Does(lambda images: torch.where(images > 0, images - APART, images))
    assert parts_of(found)["identity"] == 0


@pytest.mark.parametrize(("norm", "expected"), [("l1", 2 * APART), ("l2", 2 * APART**2)])
def test_what_changes_an_image_of_its_own_side_costs_the_difference(norm, expected):
    assert parts_of(losses(identity_norm=norm))["identity"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("pixels", [0.0, 0.3])
def test_a_shift_of_the_simulated_image_costs_its_angstrom(pixels):
    found = losses(smoothing=0.0)
    along = torch.linspace(0, 6 * np.pi, 32) - pixels * 6 * np.pi / 31
    across = torch.cos(torch.linspace(0, 6 * np.pi, 32))
    moved = 0.5 * torch.outer(torch.sin(along), across)[None, None]
    found.networks.generators["to_experiment"] = Does(lambda images: moved + APART / 2)
    assert parts_of(found)["position"] == pytest.approx(pixels * PIXEL_SIZE, rel=0.2, abs=1e-3)


def test_noise_that_cannot_come_back_costs_less_where_it_is_smoothed():
    def grainy(images):
        return images - APART + 0.3 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))

    cycle = {}
    for smoothing in (0.0, 0.5):
        found = losses(smoothing=smoothing)
        found.networks.generators["to_simulation"] = Does(grainy)
        cycle[smoothing] = parts_of(found)["cycle"]
    assert 0 < cycle[0.5] < 0.4 * cycle[0.0]


def test_parts_without_weight_are_not_made():
    names = parts_of(losses(identity=0.0, position=0.0)).keys()
    assert set(names) == {"adversarial", "fourier", "cycle"}


@pytest.mark.parametrize("name", ["adversarial", "fourier", "cycle", "identity", "position"])
def test_every_part_counts_with_its_own_weight(name):
    parts = {part: torch.tensor(1.0) for part in ("adversarial", "fourier", "cycle", "identity", "position")}
    others = dict.fromkeys(parts, 0.25)
    assert float(losses(**{**others, name: 3.0}).total({**parts, name: torch.tensor(2.0)})) == pytest.approx(7.0)


def test_as_published_critics_are_judged_by_the_sigmoid_of_their_logits():
    sure = Does(lambda images: images.new_full((len(images),), 50.0))
    for target, expected in (("sigmoid", 0.0), ("lsgan", 2 * 49.0**2)):
        found = losses(target=target)
        found.networks.critics["experiment"] = found.networks.critics["simulation"] = sure
        assert parts_of(found)["adversarial"] == pytest.approx(expected, abs=1e-6)
