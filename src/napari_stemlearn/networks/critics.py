"""Critics: networks that judge, patch by patch, whether an image or its spectrum looks real."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from napari_stemlearn.networks.generators import instance_norm


class PatchCritic(nn.Module):
    """PatchGAN critic (Isola et al., CVPR 2017): one logit for each overlapping patch.

    Parameters
    ----------
    width
        Channels after the first convolution.
    layers
        Halvings of the resolution; 3 gives patches of 70 by 70 pixels.
    norm
        ``instance``: with learnt scale, a slope of 0.3 below zero and no biases before the last layer, as Khan et al.
        (npj Comput. Mater. 2023) have it; ``spectral`` (Miyato et al., ICLR 2018) or ``none``: a slope of 0.2.
    in_channels
        1 for an image or an amplitude.
    """

    def __init__(self, width: int = 64, layers: int = 3, norm: str = "instance", in_channels: int = 1) -> None:
        super().__init__()
        if width < 1 or layers < 1:
            raise ValueError("width and layers must be at least 1")
        if norm not in ("instance", "spectral", "none"):
            raise ValueError(f"norm is {norm!r}; allowed: instance, spectral, none")
        self.width, self.layers, self.norm, self.in_channels = width, layers, norm, in_channels

        published = norm == "instance"
        slope = 0.3 if published else 0.2

        def convolution(inner: int, outer: int, stride: int, bias: bool = not published) -> nn.Module:
            layer = nn.Conv2d(inner, outer, 4, stride, 1, bias=bias)
            nn.init.normal_(layer.weight, 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
            return spectral_norm(layer) if norm == "spectral" else layer

        parts: list[nn.Module] = [convolution(in_channels, width, 2), nn.LeakyReLU(slope, inplace=True)]
        inner = width
        for level in range(1, layers + 1):
            outer = min(width * 2**level, width * 8)
            parts.append(convolution(inner, outer, 2 if level < layers else 1))
            if norm == "instance":
                parts.append(instance_norm(outer, learnt_scale=True))
            parts.append(nn.LeakyReLU(slope, inplace=True))
            inner = outer
        parts.append(convolution(inner, 1, 1, bias=True))
        self.body = nn.Sequential(*parts)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, 1, rows, columns) of patches of images (batch, channel, y, x)."""
        logits: Tensor = self.body(images)
        return logits
