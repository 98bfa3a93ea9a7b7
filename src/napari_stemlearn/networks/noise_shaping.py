"""A generator that gives images a look and shapes fresh noise, so that it need not hide noise in the image."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

COARSE = 32
"""Pixels between the nodes of the slow noise, from which uneven backgrounds are made."""

REACH = 3
"""Pixels over which a kernel correlates noise, to either side."""

AGILITY = 4.0
"""Kernels and amplitudes of noise learn this many times as fast as the rest."""


class NoiseShapingGenerator(nn.Module):
    """Residual generator with a head for noise: image + change + amplitude(image) x (kernel * white noise).

    What repeats (blur, contrast, background) is learnt by the change; what does not repeat (counting noise, after-glow,
    flicker of the lines) by kernels and by amplitudes that depend on the image. A new network is the identity with a
    trace of white noise: nothing has moved yet. Without normalisation over the image, a crop is translated as the
    whole image is.

    Parameters
    ----------
    width
        Channels at full resolution; twice as many at half resolution, where the residual blocks are.
    blocks
        Residual blocks.
    noise_channels
        Kernels for white noise; 0 leaves all noise out (for the way back to simulations).
    """

    multiple = 2
    start: Tensor

    def __init__(self, width: int = 16, blocks: int = 3, noise_channels: int = 4) -> None:
        super().__init__()
        if min(width, blocks) < 1 or noise_channels < 0:
            raise ValueError("width and blocks must be at least 1, noise_channels at least 0")
        self.width, self.blocks, self.noise_channels = width, blocks, noise_channels
        slow = 1 if noise_channels else 0
        self.stem = _convolution(1 + slow, width, 5)
        self.down = nn.Conv2d(width, 2 * width, 4, 2, 1, padding_mode="reflect")
        self.body = nn.ModuleList(_Block(2 * width) for _ in range(blocks))
        self.up = _convolution(2 * width, width, 3)
        self.merge = _convolution(2 * width, width, 3)
        self.change = _convolution(width, 1, 3)
        nn.init.zeros_(self.change.weight)
        if noise_channels:
            size = 2 * REACH + 1
            self.amplitude = _convolution(width, noise_channels + 1, 3)
            nn.init.zeros_(self.amplitude.weight)
            self.register_buffer("start", torch.zeros(noise_channels + 1))
            self.begin_with_noise(0.05)
            kernels = 0.05 * torch.randn(noise_channels, 1, size, size) / size
            kernels[:, :, REACH, REACH] += 1.0
            self.kernels = nn.Parameter(kernels / AGILITY)
        for module in (self.stem, self.down, self.up, self.merge):
            nn.init.kaiming_normal_(module.weight, a=0.2)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.zeros_(layer.bias)

    @torch.no_grad()
    def begin_with_noise(self, level: float) -> None:
        """Let a new network add white noise of this standard deviation, and a trace of noise of whole lines."""
        if self.noise_channels:
            parts = torch.full((self.noise_channels + 1,), max(level, 1e-3) / self.noise_channels**0.5)
            parts[-1] = max(0.05 * level, 1e-3)
            # the inverse of softplus
            self.start.copy_(parts.expm1().log())

    def forward(self, images: Tensor) -> Tensor:
        """Translate images (batch, 1, y, x)."""
        batch, _, height, width = images.shape
        given = images
        if self.noise_channels:
            nodes = (batch, 1, -(-height // COARSE) + 1, -(-width // COARSE) + 1)
            slow = functional.interpolate(
                torch.randn(nodes, device=images.device, dtype=images.dtype),
                scale_factor=COARSE,
                mode="bicubic",
                align_corners=False,
            )
            given = torch.cat([images, slow[:, :, :height, :width]], dim=1)
        fine = functional.leaky_relu(self.stem(given), 0.2)
        coarse = functional.leaky_relu(self.down(fine), 0.2)
        for block in self.body:
            coarse = block(coarse)
        back = functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
        back = functional.leaky_relu(self.up(back), 0.2)
        features = functional.leaky_relu(self.merge(torch.cat([fine, back], dim=1)), 0.2)
        translated = images + self.change(features)
        if not self.noise_channels:
            return translated
        amplitude = functional.softplus(
            AGILITY * self.amplitude(features) + self.start.to(features.dtype)[:, None, None]
        )
        white = torch.randn(
            batch, self.noise_channels, height + 2 * REACH, width + 2 * REACH, device=images.device, dtype=images.dtype
        )
        kernels = AGILITY * self.kernels.to(images.dtype)
        shaped = functional.conv2d(white, kernels, groups=self.noise_channels)
        lines = torch.randn(batch, 1, height, 1, device=images.device, dtype=images.dtype).expand(-1, -1, -1, width)
        return translated + (amplitude * torch.cat([shaped, lines], dim=1)).sum(dim=1, keepdim=True)

    def record(self) -> dict[str, int | float | str | bool]:
        """Plain values from which `build_generator` makes the same architecture."""
        names = ("width", "blocks", "noise_channels")
        return {"kind": "noise_shaping", **{name: getattr(self, name) for name in names}}


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = _convolution(channels, channels, 3), _convolution(channels, channels, 3)
        nn.init.kaiming_normal_(self.first.weight, a=0.2)
        # a block that begins as the identity keeps the size of what goes through it
        nn.init.normal_(self.second.weight, 0.0, 0.1 * (2 / (9 * channels)) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(functional.leaky_relu(self.first(x), 0.2))


def _convolution(inner: int, outer: int, size: int) -> nn.Conv2d:
    return nn.Conv2d(inner, outer, size, padding=size // 2, padding_mode="reflect")
