"""One training of a network that marks sites: network, optimiser, one step, and what a resumed run needs."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from napari_stemlearn.devices import choose_device
from napari_stemlearn.events import Checkpoint
from napari_stemlearn.learning.averaged import AveragedNetwork
from napari_stemlearn.learning.checkpoints import (
    check_same_settings,
    checkpoint_path,
    network_tensors,
    optimiser_tensors,
    read_checkpoint,
    restore_network,
    restore_optimiser,
    write_checkpoint,
)
from napari_stemlearn.learning.crops import LabelledBatch
from napari_stemlearn.learning.device import choose_precision, explained_writing
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.learning.starting_weights import take_weights
from napari_stemlearn.learning.targets import Targets, draw_targets
from napari_stemlearn.learning.torch_seeds import torch_seed
from napari_stemlearn.learning.validation import Validation, loss_of, scores_of_styles
from napari_stemlearn.models.card import ModelCard
from napari_stemlearn.networks.residual_unet import ResidualUNet

FREE_TO_CHANGE = (
    "name",
    "description",
    "device",
    "precision",
    "data.workers",
    "validation.every",
    "optimisation.report_every",
)
"""Settings that a resumed training may have otherwise than when it began."""

RISING = 0.1
"""Part of the steps in which the one-cycle learning rate rises."""


def learning_rate(settings: SegmentationSettings, step: int) -> float:
    """Learning rate of step number `step` (from 0), after Smith and Topin, arXiv 1708.07120, for ``one_cycle``."""
    optimisation = settings.optimisation
    part = step / max(optimisation.steps, 1)
    if optimisation.schedule == "constant":
        return optimisation.learning_rate
    if optimisation.schedule == "one_cycle":
        if part < RISING:
            return optimisation.learning_rate * (0.04 + 0.96 * part / RISING)
        part = (part - RISING) / (1 - RISING)
    return optimisation.learning_rate * max(0.5 * (1 + math.cos(math.pi * part)), 1e-3)


@dataclass
class Best:
    """The best validation so far, by its loss on the held-out style."""

    f1: float = -1.0
    loss: float = math.inf

    def is_beaten_by(self, validation: Validation) -> bool:
        # F1 of a few rare defects in some dozen images jumps about; the loss of every pixel does not
        return validation.loss < self.loss


class Trainer:
    """Everything that changes while a network learns.

    Parameters
    ----------
    settings
        Of the training.
    """

    def __init__(self, settings: SegmentationSettings) -> None:
        from lightning_fabric import Fabric

        # its one line about the precision is an event here
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
        self.settings = settings
        self.device = choose_device(settings.device)
        self.precision = choose_precision(settings.precision, self.device)
        devices: Any = [self.device.index] if self.device.type == "cuda" else 1
        self.fabric = Fabric(accelerator=self.device.type, devices=devices, precision=self.precision)  # type: ignore[arg-type]
        torch.manual_seed(torch_seed(settings.seed))
        self.network = ResidualUNet(1, len(settings.targets.classes), **settings.network.model_dump())
        self.start: ModelCard | None = take_weights(self.network, settings) if settings.start_from else None
        self.network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = AveragedNetwork(self.network, settings.optimisation.ema)
        fused = self.device.type in ("cuda", "cpu")
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(),
            lr=settings.optimisation.learning_rate,
            weight_decay=settings.optimisation.weight_decay,
            fused=fused,
        )
        self.wrapped, self.wrapped_optimiser = self.fabric.setup(self.network, self.optimiser)
        self.best = Best()
        self.step = 0

    @property
    def thresholds_of_start(self) -> dict[str, float]:
        """Thresholds of the model that it started from; none where it started afresh."""
        return dict(self.start.thresholds) if self.start is not None else {}

    def tensors(self, batch: LabelledBatch) -> tuple[Tensor, Targets]:
        """A batch on the device."""
        images = torch.from_numpy(batch.images).unsqueeze(1).to(self.device, non_blocking=True)
        images = images.contiguous(memory_format=torch.channels_last)
        targets = self.settings.targets
        shape = (len(images), len(targets.classes), *images.shape[-2:])
        radius = targets.radius / self.settings.pixel_size
        return images, draw_targets(batch.sites, shape, radius, kind=targets.shape, device=self.device)

    def learn(self, images: Tensor, targets: Targets) -> Tensor:
        """One step; returns the loss, still on the device."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.settings, self.step)
        loss = loss_of(self.wrapped(images), targets, self.settings)
        self.fabric.backward(loss)
        if self.settings.optimisation.gradient_clip > 0:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.optimisation.gradient_clip)
        self.wrapped_optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.averaged.update(self.network, self.step)
        self.step += 1
        return loss.detach()

    def save(self, folder: Path) -> Checkpoint:
        """Write the checkpoint from which `restore` goes on."""
        tensors = {
            **network_tensors("network", self.network),
            **network_tensors("averaged", self.averaged.network),
            **optimiser_tensors(self.optimiser),
            "random.cpu": torch.get_rng_state(),
        }
        if self.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.device)
        values = {
            "step": self.step,
            "best": [self.best.f1, self.best.loss if math.isfinite(self.best.loss) else None],
            "settings": self.settings.record(),
        }
        path = checkpoint_path(folder, "last")
        with explained_writing(path.parent):
            write_checkpoint(path, tensors, values)
        return Checkpoint(step=self.step, name="last", path=str(path))

    def restore(self, folder: Path) -> None:
        """Go back to the last checkpoint, bit by bit."""
        path = checkpoint_path(folder, "last")
        tensors, values = read_checkpoint(path)
        check_same_settings(values["settings"], self.settings.record(), path, FREE_TO_CHANGE)
        restore_network("network", self.network, tensors)
        restore_network("averaged", self.averaged.network, tensors)
        restore_optimiser(self.optimiser, tensors)
        torch.set_rng_state(tensors["random.cpu"])
        if self.device.type == "cuda" and "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"], self.device)
        f1, loss = values["best"]
        self.best = Best(f1, math.inf if loss is None else loss)
        self.step = int(values["step"])

    def save_best(self, folder: Path, validation: Validation, same: Validation) -> Checkpoint:
        """Keep the averaged weights with what they scored."""
        self.best = Best(validation.f1, validation.loss)
        path = checkpoint_path(folder, "best")
        thresholds = validation.thresholds(self.thresholds_of_start)
        values = {
            "step": self.step,
            "thresholds": thresholds,
            "scores": scores_of_styles(self.settings, thresholds, validation, same),
        }
        with explained_writing(path.parent):
            write_checkpoint(path, network_tensors("averaged", self.averaged.network), values)
        return Checkpoint(step=self.step, name="best", path=str(path))
