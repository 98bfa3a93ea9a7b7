"""Generators: networks that turn an image into an image of another look, of the same shape."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_stemlearn.networks.noise_shaping import NoiseShapingGenerator


def instance_norm(channels: int, learnt_scale: bool) -> nn.InstanceNorm2d:
    """Instance normalisation (Ulyanov et al., 2016), with or without a learnt scale and offset of every channel."""
    norm = nn.InstanceNorm2d(channels, eps=1e-5, affine=learnt_scale)
    if learnt_scale:
        nn.init.normal_(norm.weight, 1.0, 0.02)
        nn.init.zeros_(norm.bias)
    return norm


def _norm(kind: str, channels: int) -> nn.Module:
    """Instance normalisation without learnt scale, as CycleGAN has it, or nothing."""
    if kind == "instance":
        return instance_norm(channels, learnt_scale=False)
    if kind == "none":
        return nn.Identity()
    raise ValueError(f"norm is {kind!r}; allowed: instance, none")


class _NoisyInput(nn.Module):
    """Channels of fresh Gaussian noise beside the image, so that one input has many outputs."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, images: Tensor) -> Tensor:
        if not self.channels:
            return images
        batch, _, height, width = images.shape
        noise = torch.randn(batch, self.channels, height, width, dtype=images.dtype, device=images.device)
        return torch.cat([images, noise], dim=1)


class UNetGenerator(nn.Module):
    """The pix2pix U-Net (Isola et al., CVPR 2017) with which Khan et al. (npj Comput. Mater. 2023) translate.

    Parameters
    ----------
    width
        Channels after the first convolution; doubled at each level up to eight times as many.
    levels
        Halvings of the resolution; both sides of an image must be a multiple of ``2**levels``.
    dropout
        In the three coarsest levels of the way up.
    learnt_scale
        Whether normalisation has a learnt scale and offset, as published.
    """

    def __init__(self, width: int = 64, levels: int = 8, dropout: float = 0.5, learnt_scale: bool = False) -> None:
        super().__init__()
        if width < 1 or levels < 2:
            raise ValueError("width must be at least 1, levels at least 2")
        self.width, self.levels, self.dropout, self.learnt_scale = width, levels, dropout, learnt_scale
        channels = [min(width * 2**level, width * 8) for level in range(levels)]
        self.down = nn.ModuleList()
        for level, wide in enumerate(channels):
            block = [nn.Conv2d(1 if level == 0 else channels[level - 1], wide, 4, 2, 1, bias=False)]
            # the coarsest map may be one pixel, of which no statistics exist
            if 0 < level < levels - 1:
                block.append(instance_norm(wide, learnt_scale))  # type: ignore[arg-type]
            self.down.append(nn.Sequential(*block, nn.LeakyReLU(0.3)))
        self.up = nn.ModuleList()
        for level in range(levels - 1, 0, -1):
            first = level == levels - 1
            block_up: list[nn.Module] = [
                nn.ConvTranspose2d(channels[level] * (1 if first else 2), channels[level - 1], 4, 2, 1, bias=False),
                instance_norm(channels[level - 1], learnt_scale),
            ]
            if levels - 1 - level < 3 and dropout:
                block_up.append(nn.Dropout(dropout))
            self.up.append(nn.Sequential(*block_up, nn.ReLU()))
        self.last = nn.ConvTranspose2d(channels[0] * 2, 1, 4, 2, 1)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.normal_(module.weight, 0.0, 0.02)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    @property
    def multiple(self) -> int:
        """Both sides of an image must be a multiple of this."""
        return int(2**self.levels)

    def forward(self, images: Tensor) -> Tensor:
        """Translate images (batch, 1, y, x) in [-1, 1]."""
        skips = []
        x = images
        for block in self.down:
            x = block(x)
            skips.append(x)
        for index, block in enumerate(self.up):
            x = block(x)
            x = torch.cat([x, skips[self.levels - 2 - index]], dim=1)
        return torch.tanh(self.last(x))

    def record(self) -> dict[str, int | float | str | bool]:
        """Plain values from which `build_generator` makes the same architecture."""
        names = ("width", "levels", "dropout", "learnt_scale")
        return {"kind": "unet", **{name: getattr(self, name) for name in names}}


class _ResidualBlock(nn.Module):
    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            _norm(norm, channels),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            _norm(norm, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class ResNetGenerator(nn.Module):
    """Residual generator (Johnson et al., ECCV 2016; Zhu et al., ICCV 2017) that enlarges by resize and convolution.

    Resize-convolution leaves no checkerboard (Odena et al., Distill 2016).

    Parameters
    ----------
    width
        Channels at full resolution.
    blocks
        Residual blocks at the coarsest resolution.
    halvings
        Halvings of the resolution before the blocks; both sides must be a multiple of ``2**halvings``.
    norm
        ``instance``, or ``none``: then a translated crop equals the crop of the translated image.
    noise_channels
        Channels of fresh noise beside the input: what the microscope adds by chance is not in the simulation.
    residual
        Learn the change of the image instead of the image: a new network is then the identity, and positions stay.
    """

    def __init__(
        self,
        width: int = 32,
        blocks: int = 6,
        halvings: int = 2,
        norm: str = "instance",
        noise_channels: int = 0,
        residual: bool = False,
    ) -> None:
        super().__init__()
        if min(width, blocks) < 1 or halvings < 0 or noise_channels < 0:
            raise ValueError("width and blocks must be at least 1, halvings and noise_channels at least 0")
        self.width, self.blocks, self.halvings = width, blocks, halvings
        self.norm, self.noise_channels, self.residual = norm, noise_channels, residual
        layers: list[nn.Module] = [
            _NoisyInput(noise_channels),
            nn.ReflectionPad2d(3),
            nn.Conv2d(1 + noise_channels, width, 7),
            _norm(norm, width),
            nn.ReLU(inplace=True),
        ]
        for level in range(halvings):
            inner = width * 2**level
            layers += [nn.Conv2d(inner, inner * 2, 3, 2, 1), _norm(norm, inner * 2), nn.ReLU(inplace=True)]
        layers += [_ResidualBlock(width * 2**halvings, norm) for _ in range(blocks)]
        for level in range(halvings - 1, -1, -1):
            outer = width * 2**level
            layers += [
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
                nn.ReflectionPad2d(1),
                nn.Conv2d(outer * 2, outer, 3),
                _norm(norm, outer),
                nn.ReLU(inplace=True),
            ]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, 1, 7)]
        self.body = nn.Sequential(*layers)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                if norm == "none":
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                else:
                    nn.init.normal_(module.weight, 0.0, 0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if residual:
            for module in self.modules():
                if isinstance(module, _ResidualBlock) and norm == "none":
                    # without this the first steps are so large that units die
                    module.body[-2].weight.data.mul_(0.1)  # type: ignore[operator, union-attr]
            # the first translation is the identity: nothing has moved yet
            nn.init.zeros_(layers[-1].weight)  # type: ignore[arg-type]

    @property
    def multiple(self) -> int:
        """Both sides of an image must be a multiple of this."""
        return int(2**self.halvings)

    def forward(self, images: Tensor) -> Tensor:
        """Translate images (batch, 1, y, x)."""
        change = self.body(images)
        return images + change if self.residual else torch.tanh(change)

    def record(self) -> dict[str, int | float | str | bool]:
        """Plain values from which `build_generator` makes the same architecture."""
        names = ("width", "blocks", "halvings", "norm", "noise_channels", "residual")
        return {"kind": "resnet", **{name: getattr(self, name) for name in names}}


Generator = UNetGenerator | ResNetGenerator | NoiseShapingGenerator
"""All kinds of generators."""


def build_generator(record: dict[str, int | float | str | bool]) -> Generator:
    """Build a generator from its record.

    Raises
    ------
    ValueError
        If the kind is unknown or a parameter does not belong to it.
    """
    values = dict(record)
    kind = values.pop("kind", "resnet")
    kinds: dict[str, type[Generator]] = {
        "unet": UNetGenerator,
        "resnet": ResNetGenerator,
        "noise_shaping": NoiseShapingGenerator,
    }
    if kind not in kinds:
        raise ValueError(f"generator kind is {kind!r}; allowed: {', '.join(kinds)}")
    try:
        return kinds[str(kind)](**values)  # type: ignore[arg-type]
    except TypeError as error:
        raise ValueError(f"generator {kind}: {error}") from None


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Reflect images (batch, 1, y, x) at the lower and right rim until both sides are a multiple."""
    below, right = -images.shape[-2] % multiple, -images.shape[-1] % multiple
    if not below and not right:
        return images
    return functional.pad(images, (0, right, 0, below), mode="reflect")
