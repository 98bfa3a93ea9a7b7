"""Exponential moving average of a network's weights and batch statistics."""

from __future__ import annotations

import copy

import torch
from torch import nn


class AveragedNetwork:
    """A copy of a network that follows it slowly.

    Parameters
    ----------
    network
        The one that learns.
    decay
        How much of the average stays at each step; less in the first steps, when the average knows nothing yet.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Follow the network after its step number `step` (from 0)."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        here, there = self.network.state_dict(), network.state_dict()
        moving = [key for key, value in here.items() if value.is_floating_point()]
        torch._foreach_lerp_([here[key] for key in moving], [there[key] for key in moving], weight)
        for key in here.keys() - set(moving):
            here[key].copy_(there[key])
