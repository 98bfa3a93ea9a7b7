"""The residual U-Net keeps its size, its margin and its numbers."""

import pytest
import torch

from napari_stemlearn.networks.build import build_network
from napari_stemlearn.networks.residual_unet import ResidualUNet


def _trained(**arguments) -> ResidualUNet:
    """A network whose batch statistics are not those of a fresh one."""
    torch.manual_seed(0)
    network = ResidualUNet(1, 2, width=4, **arguments)
    for _ in range(3):
        network(torch.randn(2, 1, 64, 64) * 2 + 1)
    return network.eval()


@pytest.mark.parametrize("stem", [1, 2])
@pytest.mark.parametrize("shape", [(64, 64), (37, 50), (1, 3)])
def test_logits_have_the_shape_of_the_image(stem, shape):
    network = ResidualUNet(1, 3, width=4, levels=3, stem=stem).eval()
    assert network(torch.randn(2, 1, *shape)).shape == (2, 3, *shape)


@pytest.mark.parametrize(("levels", "stem"), [(1, 1), (2, 1), (3, 2), (4, 1)])
def test_margin_is_the_farthest_dependence(levels, stem):
    network = _trained(levels=levels, stem=stem).double()
    # ReLU and maximum hide paths; a positive linear network shows them all
    for parameter in network.parameters():
        parameter.data.abs_()
    size = 2 * (network.margin // network.stride + 2) * network.stride
    farthest = 0
    for pixel in range(size // 2, size // 2 + network.stride):
        image = torch.rand(1, 1, 1, size, dtype=torch.float64).expand(1, 1, size, size).clone().requires_grad_()
        network(image)[0, :, pixel, pixel].sum().backward()
        touched = torch.nonzero(image.grad[0, 0].abs().sum(0)).ravel()
        farthest = max(farthest, pixel - int(touched.min()), int(touched.max()) - pixel)
    assert farthest <= network.margin
    assert farthest >= network.margin - network.stride


@pytest.mark.parametrize("stem", [1, 2])
def test_a_tile_with_its_margin_equals_the_whole(stem):
    network = _trained(levels=3, stem=stem).double()
    image = torch.randn(1, 1, 160, 160, dtype=torch.float64)
    start = -(-network.margin // network.stride) * network.stride
    with torch.inference_mode():
        whole = network(image)[..., 64:96, 64:96]
        low, high = 64 - start, 96 + start
        tile = network(image[..., low:high, low:high])[..., start : start + 32, start : start + 32]
    torch.testing.assert_close(tile, whole, rtol=1e-10, atol=1e-10)


def test_a_record_builds_the_same_architecture():
    network = ResidualUNet(1, 2, width=4, levels=2, dropout=0.1, stem=2)
    again = build_network(network.record())
    again.load_state_dict(network.state_dict())
    assert again.record() == network.record()


@pytest.mark.parametrize(
    ("record", "named"), [({"kind": "transformer"}, "transformer"), ({"depth": 3}, "depth"), ({"width": 0}, "width")]
)
def test_a_wrong_record_is_refused(record, named):
    with pytest.raises(ValueError, match=named):
        build_network(record)
