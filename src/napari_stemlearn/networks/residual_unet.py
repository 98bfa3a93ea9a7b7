"""The residual U-Net: a fully convolutional network that gives every pixel a logit for every class."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ResidualBlock(nn.Module):
    """Two 3 by 3 convolutions with batch normalisation and a short cut around them (He et al., CVPR 2016).

    Parameters
    ----------
    in_channels, out_channels
        Channels before and after; where they differ the short cut is a 1 by 1 convolution.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(out_channels)
        self.second = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(out_channels)
        same = in_channels == out_channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.first_norm(self.first(x)), inplace=True)
        y = self.second_norm(self.second(y))
        return functional.relu(y + self.shortcut(x), inplace=True)


class ResidualUNet(nn.Module):
    """Residual U-Net (after Ronneberger et al., MICCAI 2015, and He et al., CVPR 2016).

    The output has one logit per class and pixel at full input resolution; classes are independent, since a defect is a
    column as well: take a sigmoid, not a softmax. Normalisation is by batch statistics, frozen in ``eval`` mode, so
    that a tile gives the same numbers as the whole image wherever the margin lies inside the tile.

    Parameters
    ----------
    in_channels
        Images in, usually 1.
    out_channels
        Classes out.
    width
        Channels of the finest level; each coarser level has twice as many.
    levels
        Resolutions, each half the one before.
    dropout
        Probability to drop a channel of the coarsest level in training.
    stem
        Side of the pixel blocks that are folded into channels first (Shi et al., CVPR 2016) and unfolded at the end;
        2 computes at half resolution and costs a quarter.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        width: int = 16,
        levels: int = 4,
        dropout: float = 0.0,
        stem: int = 2,
    ) -> None:
        super().__init__()
        if min(in_channels, out_channels, width, levels, stem) < 1 or not 0 <= dropout < 1:
            raise ValueError("in_channels, out_channels, width, levels and stem must be 1 or more, dropout in [0, 1)")
        self.in_channels, self.out_channels, self.width = in_channels, out_channels, width
        self.levels, self.dropout, self.stem = levels, dropout, stem
        channels = [width * 2**level for level in range(levels)]
        self.fold = nn.PixelUnshuffle(stem)
        self.enter = nn.Conv2d(in_channels * stem**2, width, 3, padding=1)
        self.encoder = nn.ModuleList(
            ResidualBlock(channels[max(level - 1, 0)], channels[level]) for level in range(levels)
        )
        self.drop = nn.Dropout2d(dropout)
        self.decoder = nn.ModuleList(
            ResidualBlock(channels[level] + channels[level + 1], channels[level]) for level in range(levels - 1)
        )
        self.head = nn.Conv2d(width, out_channels * stem**2, 1)
        self.unfold = nn.PixelShuffle(stem)

    @property
    def stride(self) -> int:
        """Tiles must begin at multiples of this many pixels to repeat the numbers of the whole image."""
        return self.stem * 2 ** (self.levels - 1)

    @property
    def margin(self) -> int:
        """Farthest input pixel, in pixels, that an output pixel depends on: the halo that a tile needs."""
        return max(max(pixel - low, high - pixel) for pixel in range(self.stride) for low, high in [self._reach(pixel)])

    def _reach(self, pixel: int) -> tuple[int, int]:
        """First and last input pixel, along one axis, that the output `pixel` depends on."""

        def through_encoder(level: int, low: int, high: int) -> tuple[int, int]:
            for step in range(level, -1, -1):
                low, high = low - 2, high + 2
                if step:
                    low, high = 2 * low, 2 * high + 1
            return low - 1, high + 1

        low = high = pixel // self.stem
        reached = []
        for level in range(self.levels - 1):
            low, high = low - 2, high + 2
            reached.append(through_encoder(level, low, high))
            low, high = low // 2, high // 2
        reached.append(through_encoder(self.levels - 1, low, high))
        return self.stem * min(pair[0] for pair in reached), self.stem * (max(pair[1] for pair in reached) + 1) - 1

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, class, y, x) of images (batch, channel, y, x) of any size."""
        height, width = images.shape[-2:]
        below, right = -height % self.stride, -width % self.stride
        if below or right:
            images = functional.pad(images, (0, right, 0, below), mode="replicate")
        x = self.enter(self.fold(images))
        skips = []
        for level, block in enumerate(self.encoder):
            x = block(functional.max_pool2d(x, 2) if level else x)
            skips.append(x)
        x = self.drop(x)
        for level in range(self.levels - 2, -1, -1):
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = self.decoder[level](torch.cat([x, skips[level]], dim=1))
        logits = self.unfold(self.head(x))
        return logits[..., :height, :width]

    def record(self) -> dict[str, int | float | str]:
        """Plain values from which `build_network` makes the same architecture."""
        names = ("in_channels", "out_channels", "width", "levels", "dropout", "stem")
        return {"kind": "residual_unet", **{name: getattr(self, name) for name in names}}
