"""What the generators and the critics of a CycleGAN learn from, part by part."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from napari_stemlearn.learning.augmentation import blur
from napari_stemlearn.learning.cyclegan_networks import Networks
from napari_stemlearn.learning.cyclegan_settings import LossWeights
from napari_stemlearn.learning.mean_shift import mean_shift

POSITION_SMOOTHING = 0.5
"""Standard deviation in angstrom of the Gaussian before shifts are measured."""


class Losses:
    """Losses of a CycleGAN between simulated and measured crops (batch, 1, y, x).

    Parameters
    ----------
    networks
        Generators and critics.
    weights
        Of the parts of the generators' loss.
    pixel_size
        In angstrom.
    """

    def __init__(self, networks: Networks, weights: LossWeights, pixel_size: float) -> None:
        self.networks, self.weights, self.pixel_size = networks, weights, pixel_size

    def translated(self, simulated: Tensor, measured: Tensor) -> dict[str, Tensor]:
        """Translations of either side, by the side that they should look like."""
        generators = self.networks.generators
        return {
            "experiment": generators["to_experiment"](simulated),
            "simulation": generators["to_simulation"](measured),
        }

    def parts(self, simulated: Tensor, measured: Tensor, translated: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Parts of the generators' loss, without their weights."""
        weights, generators = self.weights, self.networks.generators
        cycled = (
            generators["to_simulation"](translated["experiment"]),
            generators["to_experiment"](translated["simulation"]),
        )
        parts: dict[str, Tensor] = {"adversarial": simulated.new_zeros(()), "fourier": simulated.new_zeros(())}
        for name, images in translated.items():
            for part, logits in self.networks.judge(name, images):
                parts[part] = parts[part] + self._toward(logits, 1.0)
        parts["cycle"] = self._apart(cycled[0], simulated) + self._apart(cycled[1], measured)
        if weights.identity:
            parts["identity"] = self._apart(
                generators["to_experiment"](measured), measured, weights.identity_norm
            ) + self._apart(generators["to_simulation"](simulated), simulated, weights.identity_norm)
        if weights.position:
            sigma = POSITION_SMOOTHING / self.pixel_size
            shift = mean_shift(simulated, translated["experiment"].float(), sigma)
            parts["position"] = (shift * self.pixel_size).norm(dim=-1).mean()
        return parts

    def total(self, parts: Mapping[str, Tensor]) -> Tensor:
        """The generators' loss."""
        weighted = [getattr(self.weights, name) * part for name, part in parts.items()]
        return sum(weighted, torch.zeros_like(weighted[0]))

    def of_critics(self, real: Mapping[str, Tensor], shown: Mapping[str, Tensor]) -> Tensor:
        """The critics' loss.

        Parameters
        ----------
        real
            Simulated and measured crops by their side.
        shown
            Translations by the side that they should look like, without their gradients.
        """
        judged = real["simulation"].new_zeros(())
        for name, images in shown.items():
            for _, logits in self.networks.judge(name, real[name]):
                judged = judged + 0.5 * self._toward(logits, 1.0)
            for _, logits in self.networks.judge(name, images):
                judged = judged + 0.5 * self._toward(logits, 0.0)
        return judged

    def _toward(self, logits: Tensor, target: float) -> Tensor:
        judged = logits.float().sigmoid() if self.weights.target == "sigmoid" else logits.float()
        return (judged - target).square().mean()

    def _apart(self, image: Tensor, before: Tensor, norm: str = "l1") -> Tensor:
        """Distance of what noise leaves alone: both are smoothed before they are compared."""
        sigma = self.weights.smoothing / self.pixel_size
        distance = functional.l1_loss if norm == "l1" else functional.mse_loss
        return distance(blur(image.float(), sigma), blur(before, sigma))
