"""One training of a CycleGAN: networks, optimisers, one step, and what a resumed run needs."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_stemlearn.devices import choose_device
from napari_stemlearn.learning.alike import levels_like, white_noise_level
from napari_stemlearn.learning.augmentation import draw_turn
from napari_stemlearn.learning.checkpoints import (
    below,
    check_same_settings,
    network_tensors,
    optimiser_tensors,
    read_checkpoint,
    restore_network,
    restore_optimiser,
)
from napari_stemlearn.learning.cyclegan_losses import Losses
from napari_stemlearn.learning.cyclegan_networks import Networks
from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.learning.device import choose_precision
from napari_stemlearn.learning.experiment import Experiment
from napari_stemlearn.learning.replay_buffer import ReplayBuffer
from napari_stemlearn.learning.settings import AugmentationSettings
from napari_stemlearn.learning.simulation_pool import SimulationPool
from napari_stemlearn.learning.steadiness import Steadiness
from napari_stemlearn.learning.torch_seeds import torch_seed
from napari_stemlearn.learning.translators import Translator

FREE_TO_CHANGE = ("name", "experiment", "simulated", "device", "precision", "check_likeness")
"""Settings that a resumed training may have otherwise than when it began; files may have moved."""

LOOKS = 8
"""Images of either side that are compared."""


class Trainer:
    """Networks, optimisers, schedule and what they have seen.

    Parameters
    ----------
    settings
        Of the training.
    experiment
        The unlabelled experimental images.
    pool
        The simulated images; they get the grey levels with which they look most like the experiment.
    """

    def __init__(self, settings: CycleGANSettings, experiment: Experiment, pool: SimulationPool) -> None:
        self.settings, self.experiment, self.pool = settings, experiment, pool
        self.device = choose_device(settings.device)
        self.bf16 = choose_precision(settings.precision, self.device) == "bf16-mixed"
        torch.manual_seed(torch_seed(settings.seed))
        networks = Networks(settings)
        self._bring_together(networks)
        self.networks = networks.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.losses = Losses(self.networks, settings.weights, experiment.pixel_size)
        betas = (settings.beta1, 0.999)
        self.optimisers = {
            "generators": torch.optim.Adam(self.networks.generators.parameters(), settings.learning_rate, betas),
            "critics": torch.optim.Adam(self.networks.critics.parameters(), settings.learning_rate, betas),
        }
        self.pools = {
            name: ReplayBuffer(settings.replay, torch_seed(settings.seed + number))
            for number, name in enumerate(("experiment", "simulation"))
        }
        self.average = copy.deepcopy(self.networks.generators["to_experiment"]).requires_grad_(False)
        self.step = 0
        self.best = math.inf
        self.steadiness = Steadiness(len(self.networks.critics))

    def _bring_together(self, networks: Networks) -> None:
        """Begin with the contrast and the noise of the experiment: the rest is found sooner."""
        experiment, pool = self.experiment, self.pool
        side = min(pool.images[0].image.shape)
        looks = experiment.patches(np.random.default_rng(self.settings.seed), LOOKS, side)
        simulated = pool.first(LOOKS)
        pool.grey_levels = levels_like(simulated, looks, experiment.pixel_size)
        if self.settings.generator.kind == "noise_shaping":
            had = np.hypot(white_noise_level(pool.grey_levels.scaled(simulated)), self.settings.simulation_noise)
            lacking = np.sqrt(max(white_noise_level(looks) ** 2 - had**2, 0.0))
            networks.generators["to_experiment"].begin_with_noise(float(lacking))  # type: ignore[operator]

    def learning_rate(self) -> float:
        """Constant for the first half, then falling in a line to nothing."""
        part = self.step / self.settings.steps
        return self.settings.learning_rate * min(1.0, max(2 * (1 - part), 0.0))

    def batch(self) -> tuple[Tensor, Tensor]:
        """Simulated and experimental crops of this step; the step's number alone decides which."""
        settings = self.settings
        rng = np.random.default_rng(np.random.SeedSequence(settings.seed, spawn_key=(7, self.step)))
        simulated = self.pool.crops(rng, settings.batch_size, settings.crop)
        measured = self.experiment.crops(rng, settings.batch_size, settings.crop)
        if settings.simulation_noise:
            noise = rng.standard_normal(simulated.shape, dtype=np.float32)
            simulated = simulated + settings.simulation_noise * torch.from_numpy(noise)
        if settings.turns != "none":
            turns = AugmentationSettings(quarter_turns=settings.turns == "all")
            simulated, measured = _turned(simulated, turns, rng), _turned(measured, turns, rng)
        if settings.inversions and rng.random() < 0.5:
            simulated, measured = -simulated, -measured
        return self._there(simulated), self._there(measured)

    def _there(self, images: Tensor) -> Tensor:
        return images.to(self.device, non_blocking=True).contiguous(memory_format=torch.channels_last)

    def learn(self) -> dict[str, float]:
        """One update of critics and generators; returns every part of the loss."""
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = self.learning_rate()
        # what chance adds inside the networks depends on the step alone, so that a resumed run goes on as it would have
        torch.manual_seed(torch_seed(self.settings.seed * 1_000_003 + self.step))
        simulated, measured = self.batch()
        total, parts, translated = self._learn_generators(simulated, measured)
        judged = self._learn_critics({"experiment": measured, "simulation": simulated}, translated)
        self.step += 1
        self._keep_average()
        losses = {"generators": total, "critics": judged, **parts}
        # one wait for the device, not one for each part
        return dict(zip(losses, torch.stack([part.detach().float() for part in losses.values()]).tolist(), strict=True))

    def _learn_generators(
        self, simulated: Tensor, measured: Tensor
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Update the generators; returns their loss, its parts, and the translations."""
        with self._autocast():
            self.networks.critics.requires_grad_(False)
            translated = self.losses.translated(simulated, measured)
            parts = self.losses.parts(simulated, measured, translated)
        total = self.losses.total(parts)
        self.optimisers["generators"].zero_grad(set_to_none=True)
        total.backward()
        if self.settings.gradient_clip:
            nn.utils.clip_grad_norm_(self.networks.generators.parameters(), self.settings.gradient_clip)
        self.optimisers["generators"].step()
        return total, parts, translated

    def _learn_critics(self, real: Mapping[str, Tensor], translated: Mapping[str, Tensor]) -> Tensor:
        """Update the critics; returns their loss."""
        self.networks.critics.requires_grad_(True)
        for name, spectrum in self.networks.spectra.items():
            spectrum.observe(real[name])  # type: ignore[operator]
        shown = {name: self.pools[name].exchange(images.detach().float()) for name, images in translated.items()}
        with self._autocast():
            judged = self.losses.of_critics(real, shown)
        self.optimisers["critics"].zero_grad(set_to_none=True)
        judged.backward()
        self.optimisers["critics"].step()
        return judged

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    @torch.no_grad()
    def _keep_average(self) -> None:
        """Average of the generator's weights: what is kept is steadier than what is learnt."""
        weight = 1 - min(0.995, self.step / (self.step + 10))
        for mean, now in zip(
            self.average.parameters(), self.networks.generators["to_experiment"].parameters(), strict=True
        ):
            mean.lerp_(now, weight)

    def translator(self) -> Translator:
        """The generator from simulation to experiment, as it is now."""
        return Translator(
            network=self.average,
            simulation_levels=self.pool.grey_levels,
            experiment_levels=self.experiment.grey_levels,
            pixel_size=self.experiment.pixel_size,
            noise=self.settings.simulation_noise,
            settings=self.settings,
            device=self.device,
        )

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a resumed run needs."""
        found = {**network_tensors("networks", self.networks), **network_tensors("average", self.average)}
        for name, optimiser in self.optimisers.items():
            found |= optimiser_tensors(optimiser, f"optimiser.{name}")
        for name, buffer in self.pools.items():
            found |= {f"pool.{name}.{key}": value for key, value in buffer.state().items()}
        return found

    def values(self) -> dict[str, Any]:
        """Plain values beside the tensors."""
        best = self.best if math.isfinite(self.best) else None
        return {
            "step": self.step,
            "best": best,
            "steadiness": self.steadiness.record(),
            "settings": self.settings.record(),
        }

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint, as if never stopped.

        Raises
        ------
        TrainingError
            If it cannot be read, or was written with other settings.
        """
        tensors, values = read_checkpoint(path)
        check_same_settings(values["settings"], self.settings.record(), path, FREE_TO_CHANGE)
        restore_network("networks", self.networks, tensors)
        restore_network("average", self.average, tensors)
        for name, optimiser in self.optimisers.items():
            restore_optimiser(optimiser, tensors, f"optimiser.{name}")
        for name, buffer in self.pools.items():
            buffer.load(below(f"pool.{name}", tensors), self.device)
        self.step = int(values["step"])
        self.best = math.inf if values["best"] is None else float(values["best"])
        self.steadiness.restore(values["steadiness"])


def _turned(images: Tensor, settings: AugmentationSettings, rng: np.random.Generator) -> Tensor:
    """Another turn or mirror for each crop of a batch."""
    return torch.stack([draw_turn(settings, rng).image(image) for image in images])
