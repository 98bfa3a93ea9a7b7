"""Counting electrons: Poisson numbers on any device."""

from __future__ import annotations

import torch

NORMAL_FROM = 1e4
"""Mean from which a rounded normal number stands in for a Poisson number (skewness below 0.01)."""


def poisson(mean: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Poisson numbers with the given means, single precision; rounded normal numbers where the mean exceeds 1e4."""
    if float(mean.max()) <= NORMAL_FROM:
        return torch.poisson(mean, generator=generator)
    counts = torch.poisson(mean.clamp_max(NORMAL_FROM), generator=generator)
    noise = torch.randn(mean.shape, generator=generator, device=mean.device)
    return torch.where(mean > NORMAL_FROM, torch.round(mean + mean.sqrt() * noise), counts)
