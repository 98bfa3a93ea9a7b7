"""The generator that shapes noise: what it begins as, and that crops are translated as whole images are."""

from __future__ import annotations

import pytest
import torch

from napari_stemlearn.networks.generators import build_generator
from napari_stemlearn.networks.noise_shaping import NoiseShapingGenerator


@pytest.fixture
def images():
    torch.manual_seed(0)
    return torch.rand(2, 1, 64, 96)


@pytest.mark.parametrize("level", [0.05, 0.4])
def test_a_new_network_adds_white_noise_of_the_wanted_level(level):
    torch.manual_seed(0)
    network = NoiseShapingGenerator(4, 1, noise_channels=4)
    network.begin_with_noise(level)
    images = torch.rand(2, 1, 256, 256)
    with torch.no_grad():
        added = network(images) - images
    assert float(added.std()) == pytest.approx(level, rel=0.12)
    # as strong beside a pixel as it is at the pixel itself would be blur, not white noise
    neighbours = (added[..., 1:] * added[..., :-1]).mean() / added.square().mean()
    assert abs(float(neighbours)) < 0.1


def test_without_noise_channels_it_begins_as_the_identity(images):
    network = NoiseShapingGenerator(4, 1, noise_channels=0)
    with torch.no_grad():
        assert torch.equal(network(images), images)
        assert torch.equal(network(images), network(images))


def test_noise_is_fresh_and_repeats_with_the_seed(images):
    network = NoiseShapingGenerator(4, 1)
    with torch.no_grad():
        torch.manual_seed(1)
        first = network(images)
        other = network(images)
        torch.manual_seed(1)
        again = network(images)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_crop_is_translated_as_the_whole_image():
    torch.manual_seed(0)
    network = NoiseShapingGenerator(4, 2, noise_channels=0)
    torch.nn.init.normal_(network.change.weight, 0, 0.1)
    image = torch.rand(1, 1, 96, 96)
    with torch.no_grad():
        whole, crop = network(image), network(image[..., 16:80, 16:80])
    assert torch.allclose(whole[..., 36:60, 36:60], crop[..., 20:44, 20:44], atol=1e-5)
    assert not torch.allclose(whole, image, atol=1e-3)


def test_the_record_builds_the_same_network(images):
    torch.manual_seed(0)
    network = NoiseShapingGenerator(6, 2, noise_channels=3)
    network.begin_with_noise(0.3)
    twin = build_generator(network.record())
    twin.load_state_dict(network.state_dict())
    with torch.no_grad():
        torch.manual_seed(2)
        first = network(images)
        torch.manual_seed(2)
        assert torch.equal(twin(images), first)


def test_amplitudes_and_kernels_learn():
    network = NoiseShapingGenerator(4, 1)
    network(torch.rand(1, 1, 32, 32)).square().sum().backward()
    assert float(network.kernels.grad.abs().sum()) > 0
    assert float(network.amplitude.weight.grad.abs().sum()) > 0


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="noise_channels"):
        NoiseShapingGenerator(4, 1, noise_channels=-1)
