"""The Fourier amplitude of an image as a critic sees it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LogSpectrum(nn.Module):
    """Logarithm of the Fourier amplitude of images, as input of a critic.

    Parameters
    ----------
    kind
        ``paper``: log10 of the clipped power, the origin in the corner, no window (Khan et al., npj Comput. Mater.
        2023). ``standard``: Hann window, origin in the centre, log amplitude, each frequency brought to mean 0 and
        standard deviation 1 over the real images seen so far; without that the origin outweighs everything else.
    size
        Side (y, x) of the images in pixels; needed for ``standard``.
    momentum
        Weight of the newest batch in the running statistics.
    """

    window: Tensor
    mean: Tensor
    variance: Tensor
    seen: Tensor

    def __init__(self, kind: str = "standard", size: tuple[int, int] = (256, 256), momentum: float = 0.05) -> None:
        super().__init__()
        if kind not in ("paper", "standard"):
            raise ValueError(f"kind is {kind!r}; allowed: paper, standard")
        self.kind, self.momentum = kind, momentum
        window = torch.outer(*(torch.hann_window(side, periodic=False) for side in size))
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("variance", torch.ones(size))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def amplitude(self, images: Tensor) -> Tensor:
        """Log amplitude of images (..., y, x) before standardisation."""
        images = images.float()
        if self.kind == "paper":
            power = torch.fft.fft2(images).abs().square().clamp(1e-36, 1e36)
            return power.log10()
        centred = images - images.mean(dim=(-2, -1), keepdim=True)
        spectrum = torch.fft.fft2(centred * self.window, norm="ortho")
        return torch.fft.fftshift(spectrum.abs().add(1e-3).log(), dim=(-2, -1))

    @torch.no_grad()
    def observe(self, images: Tensor) -> None:
        """Update the running statistics with real images (batch, 1, y, x)."""
        if self.kind == "paper":
            return
        amplitude = self.amplitude(images).reshape(-1, *images.shape[-2:])
        mean = amplitude.mean(dim=0)
        # the count stays on the device, so that no step waits for it
        weight = (1.0 / (self.seen + 1)).clamp_min(self.momentum)
        known = (amplitude - self.mean).square().mean(dim=0)
        variance = torch.where(self.seen > 0, known, amplitude.var(0, correction=0))
        self.mean.lerp_(mean, weight)
        self.variance.lerp_(variance, weight)
        self.seen += 1

    def forward(self, images: Tensor) -> Tensor:
        """Spectrum (batch, 1, y, x) of images (batch, 1, y, x)."""
        amplitude = self.amplitude(images)
        if self.kind == "paper":
            return amplitude
        # one common floor: a frequency that never varies must not be blown up
        floor = self.variance.mean() * 0.05 + 1e-6
        return (amplitude - self.mean) / (self.variance + floor).sqrt()
