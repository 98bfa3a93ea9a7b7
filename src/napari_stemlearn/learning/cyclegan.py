"""CycleGAN between simulations and an unlabelled experimental stack, as a plain generator of events.

Zhu et al., ICCV 2017; with critics on Fourier amplitudes, Khan et al., npj Comput. Mater. 9 (2023) 85.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from napari_stemlearn.atomic_writing import write_bytes
from napari_stemlearn.errors import MicrographError
from napari_stemlearn.events import Checkpoint, Done, Event, Log, Metric, Progress, Started, preview
from napari_stemlearn.learning.alike import levels_like, white_noise_level
from napari_stemlearn.learning.augmentation import blur, draw_turn
from napari_stemlearn.learning.checkpoints import (
    below,
    check_same_settings,
    checkpoint_path,
    make_checkpoint_folder,
    network_tensors,
    optimiser_tensors,
    read_checkpoint,
    restore_network,
    restore_optimiser,
    write_checkpoint,
)
from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.learning.device import (
    choose_precision,
    explained_writing,
    fitting_batch_size,
    let_go,
    out_of_memory,
)
from napari_stemlearn.learning.experiment import Experiment, read_experiment
from napari_stemlearn.learning.failures import TrainingError
from napari_stemlearn.learning.features import load_features
from napari_stemlearn.learning.label_survival import LabelSurvival, follow_labels, label_survival, translations
from napari_stemlearn.learning.likeness import likeness_to_crystals, likeness_to_images
from napari_stemlearn.learning.matched_settings import matched_settings
from napari_stemlearn.learning.mean_shift import mean_shift
from napari_stemlearn.learning.realism_report import compare_looks
from napari_stemlearn.learning.replay_buffer import ReplayBuffer
from napari_stemlearn.learning.settings import AugmentationSettings
from napari_stemlearn.learning.simulated_stack import SimulatedStack
from napari_stemlearn.learning.simulation_pool import SimulatedImage, SimulationPool, simulated_images
from napari_stemlearn.learning.steadiness import Steadiness
from napari_stemlearn.learning.torch_seeds import torch_seed
from napari_stemlearn.learning.translators import Translator, save_translator
from napari_stemlearn.memory_errors import is_out_of_memory
from napari_stemlearn.models.device import choose_device, device_name, memory_free_gb
from napari_stemlearn.networks.critics import PatchCritic
from napari_stemlearn.networks.generators import build_generator
from napari_stemlearn.networks.spectrum import LogSpectrum
from napari_stemlearn.scoring.realism import realism

NAMES = ("to_experiment", "to_simulation")
"""The two generators."""

COMPARED = 32
"""Images of either side that are compared for the generator's card."""

FREE_TO_CHANGE = ("name", "experiment", "simulated", "device", "precision", "check_likeness")
"""Settings that a resumed training may have otherwise than when it began; files may have moved."""

MATCHED = "matched.json"
"""File beside the checkpoints: settings of the simulations as given and as matched to the experiment."""

STACK_SIDE = 512
"""Pixels a side of a simulated stack of which the spectrum is compared with that of the experiment."""

MORE_REPEATS = 4
"""So many times the translations are averaged before labels count as lost."""

LOOKS = 8
"""Images of either side that are compared."""

POSITION_SMOOTHING = 0.5
"""Standard deviation in angstrom of the Gaussian before shifts are measured."""


class Networks(nn.Module):
    """Two generators, up to four critics, and the spectra that two of them look at."""

    def __init__(self, settings: CycleGANSettings) -> None:
        super().__init__()
        record, critic = settings.generator.network_record(), settings.critic
        # simulations hold no chance that a generator would have to make up
        back = {**record, "noise_channels": 0} if "noise_channels" in record else record
        self.generators = nn.ModuleDict(
            {name: build_generator(wanted) for name, wanted in zip(NAMES, (record, back), strict=True)}
        )
        self.critics = nn.ModuleDict(
            {name: PatchCritic(critic.width, critic.layers, critic.norm) for name in ("experiment", "simulation")}
        )
        self.spectra = nn.ModuleDict()
        if critic.fourier:
            for name in ("experiment", "simulation"):
                self.critics[f"{name}_fourier"] = PatchCritic(critic.width, critic.layers, critic.norm)
                self.spectra[name] = LogSpectrum(critic.spectrum, (settings.crop, settings.crop))


class Trainer:
    """One training: networks, optimisers, schedule and what they have seen."""

    def __init__(self, settings: CycleGANSettings, experiment: Experiment, pool: SimulationPool) -> None:
        self.settings, self.experiment, self.pool = settings, experiment, pool
        self.device = choose_device(settings.device)
        self.bf16 = choose_precision(settings.precision, self.device) == "bf16-mixed"
        torch.manual_seed(torch_seed(settings.seed))
        networks = Networks(settings)
        self._bring_together(networks)
        self.networks = networks.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
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
        simulated = np.stack([entry.image for entry in pool.images[:LOOKS]])
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

    def _toward(self, logits: Tensor, target: float) -> Tensor:
        judged = logits.float().sigmoid() if self.settings.weights.target == "sigmoid" else logits.float()
        return (judged - target).square().mean()

    def _critics_of(self, name: str, images: Tensor) -> list[tuple[str, Tensor]]:
        """Logits of the image critic and of the Fourier critic."""
        judged = [("adversarial", self.networks.critics[name](images))]
        if name in self.networks.spectra:
            spectrum = self.networks.spectra[name](images).to(images.dtype)
            judged.append(("fourier", self.networks.critics[f"{name}_fourier"](spectrum)))
        return judged

    def learn(self) -> dict[str, float]:
        """One update of critics and generators; returns every part of the loss."""
        settings, weights, generators = self.settings, self.settings.weights, self.networks.generators
        size = self.experiment.pixel_size
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = self.learning_rate()
        # what chance adds inside the networks depends on the step alone, so that a resumed run goes on as it would have
        torch.manual_seed(torch_seed(settings.seed * 1_000_003 + self.step))
        simulated, measured = self.batch()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            self.networks.critics.requires_grad_(False)
            translated = {
                "experiment": generators["to_experiment"](simulated),
                "simulation": generators["to_simulation"](measured),
            }
            cycled = (
                generators["to_simulation"](translated["experiment"]),
                generators["to_experiment"](translated["simulation"]),
            )
            parts: dict[str, Tensor] = {"adversarial": simulated.new_zeros(()), "fourier": simulated.new_zeros(())}
            for name, images in translated.items():
                for part, logits in self._critics_of(name, images):
                    parts[part] = parts[part] + self._toward(logits, 1.0)
            parts["cycle"] = self._apart(cycled[0], simulated) + self._apart(cycled[1], measured)
            if weights.identity:
                parts["identity"] = self._apart(
                    generators["to_experiment"](measured), measured, weights.identity_norm
                ) + self._apart(generators["to_simulation"](simulated), simulated, weights.identity_norm)
            if weights.position:
                shift = mean_shift(simulated, translated["experiment"].float(), POSITION_SMOOTHING / size)
                parts["position"] = (shift * size).norm(dim=-1).mean()
        total = sum((getattr(weights, name) * part for name, part in parts.items()), simulated.new_zeros(()))
        self.optimisers["generators"].zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(generators.parameters(), 10.0)
        self.optimisers["generators"].step()

        self.networks.critics.requires_grad_(True)
        real = {"experiment": measured, "simulation": simulated}
        for name, spectrum in self.networks.spectra.items():
            spectrum.observe(real[name])  # type: ignore[operator]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            judged = simulated.new_zeros(())
            for name, images in translated.items():
                shown = self.pools[name].exchange(images.detach().float())
                for _, logits in self._critics_of(name, real[name]):
                    judged = judged + 0.5 * self._toward(logits, 1.0)
                for _, logits in self._critics_of(name, shown):
                    judged = judged + 0.5 * self._toward(logits, 0.0)
        self.optimisers["critics"].zero_grad(set_to_none=True)
        judged.backward()
        self.optimisers["critics"].step()
        self.step += 1
        self._keep_average()
        losses = {"generators": total, "critics": judged, **parts}
        # one wait for the device, not one for each part
        return dict(zip(losses, torch.stack([part.detach().float() for part in losses.values()]).tolist(), strict=True))

    def _apart(self, image: Tensor, before: Tensor, norm: str = "l1") -> Tensor:
        """Distance of what noise leaves alone: both are smoothed before they are compared."""
        sigma = self.settings.weights.smoothing / self.experiment.pixel_size
        distance = functional.l1_loss if norm == "l1" else functional.mse_loss
        return distance(blur(image.float(), sigma), blur(before, sigma))

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


def survival_of(translator: Translator, pool: SimulationPool, settings: CycleGANSettings) -> LabelSurvival:
    """Label survival over a few simulated images.

    Where it falls short, more translations are averaged before anybody believes it: it may be their noise.
    """
    survival, repeats = _survival_of(translator, pool, settings, settings.survival.repeats), settings.survival.repeats
    if survival.problem(settings.survival):
        survival = _survival_of(translator, pool, settings, MORE_REPEATS * repeats)
    return survival


def _survival_of(
    translator: Translator, pool: SimulationPool, settings: CycleGANSettings, repeats: int
) -> LabelSurvival:
    tolerance = settings.survival.tolerance
    followed = []
    for entry in pool.images[: settings.survival.images]:
        translated = translations(translator.translate, entry.image, repeats)
        followed.append(
            follow_labels(entry.image, translated, entry.columns, entry.defects, translator.pixel_size, tolerance)
        )
    return label_survival(followed, tolerance)


def train_cyclegan(
    settings: CycleGANSettings,
    folder: Path,
    *,
    resume: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Train a CycleGAN; yields events, writes checkpoints and the generator into `folder`.

    Parameters
    ----------
    settings
        What to learn from, and how.
    folder
        Run folder; ``checkpoints/`` and ``result/`` are written into it.
    resume
        Go on from the checkpoint ``last``.
    should_stop
        Asked before every step; on True a checkpoint is written and the generator ends.

    Raises
    ------
    StemlearnError
        If images do not fit, memory or disk run out, labels survive in no checkpoint, or it diverges from the start.
    """
    experiment = read_experiment(settings.experiment, settings.crop, settings.pixel_size)
    yield Log(
        message=f"{len(experiment.frames)} experimental frames at {experiment.pixel_size:.4g} angstrom per pixel."
    )
    if experiment.remark:
        yield Log(message=experiment.remark, level="warning")
    stack = SimulatedStack.of(settings, experiment.pixel_size) if settings.simulated else None
    if stack is not None:
        frames = "1 frame" if len(stack.frames) == 1 else f"{len(stack.frames)} frames"
        yield Log(message=f"Simulated images are cut out of {frames} of {stack.name}.")
        if stack.remark:
            yield Log(message=stack.remark)
    if settings.check_likeness:
        yield _compared(experiment, settings, stack)
    with explained_writing(folder):
        make_checkpoint_folder(folder)
    if settings.align_lattice and stack is None:
        settings, remarks = _matched(settings, experiment, folder, resume)
        for remark in remarks:
            yield Log(message=remark)
    side = max(2 * settings.crop, 192)
    if stack is not None:
        side = min(side, stack.smallest)
    images = []
    for image in _simulations(settings, experiment.pixel_size, side, stack, should_stop):
        images.append(image)
        yield Progress(len(images), settings.simulations, "simulations")
    if len(images) < settings.simulations:
        yield Log(message=f"Stopped after {len(images)} of {settings.simulations} simulations, as asked.")
        yield Done(stopped=True)
        return
    pool = SimulationPool(images)
    trainer = Trainer(settings, experiment, pool)
    if resume and checkpoint_path(folder, "last").exists():
        trainer.restore(checkpoint_path(folder, "last"))
    elif not resume:
        for name in ("last", "best"):
            checkpoint_path(folder, name).unlink(missing_ok=True)
    yield Started(
        device=str(trainer.device),
        device_name=device_name(trainer.device),
        memory_free_gb=memory_free_gb(trainer.device),
        total=settings.steps,
        resumed_at=trainer.step,
    )
    rng = np.random.default_rng(settings.seed)
    looks = experiment.patches(rng, 8, side)
    before = realism(looks, np.stack([entry.image for entry in pool.images[:8]]))
    yield Metric(trainer.step, {f"simulation_{name}": value for name, value in before.record().items()})
    refused = ""
    while trainer.step < settings.steps:
        if should_stop():
            yield _write(trainer, folder, "last")
            yield Done(result={"step": trainer.step}, stopped=True)
            return
        losses = _learn(trainer)
        lost = trainer.steadiness.add(losses)
        if lost:
            yield _diverged(trainer, folder, lost)
            break
        if trainer.step % 10 == 0 or trainer.step == settings.steps:
            yield Metric(trainer.step, losses)
        yield Progress(trainer.step, settings.steps, "steps")
        if trainer.step % settings.every == 0 or trainer.step == settings.steps:
            survival, distance, events = _look(trainer, looks)
            yield from events
            refused = survival.problem(settings.survival)
            if refused:
                yield Log(message=refused, level="warning")
            elif distance < trainer.best:
                trainer.best = distance
                yield _write(trainer, folder, "best")
            lost = trainer.steadiness.look(distance, bool(refused))
            if lost:
                yield _diverged(trainer, folder, lost)
                break
            yield _write(trainer, folder, "last")
    if not checkpoint_path(folder, "best").exists():
        raise TrainingError(refused or "No checkpoint was good enough to be kept.")
    trainer.restore(checkpoint_path(folder, "best"))
    translator = trainer.translator()
    survival = survival_of(translator, pool, settings)
    after = realism(looks, translator.translate_stack(np.stack([entry.image for entry in pool.images[:8]])))
    measured = {"labels": survival.record(), "realism": after.record(), "realism_of_simulation": before.record()}
    try:
        measured["looks"] = compared_looks(trainer, translator, side)
    except MicrographError as error:
        yield Log(message=f"KID and FID were not measured: {error}", level="warning")
    with explained_writing(folder):
        learnt = None if stack is None else stack.record()
        saved = save_translator(folder / "result" / settings.name, translator, settings, measured, learnt)
    yield Done(result={"generator": str(saved), "best_step": trainer.step, **survival.record(), **after.record()})


def _matched(
    settings: CycleGANSettings, experiment: Experiment, folder: Path, resume: bool
) -> tuple[CycleGANSettings, tuple[str, ...]]:
    """Settings matched to the experiment; a resumed run takes those that it began with, to the last digit."""
    path = checkpoint_path(folder, "last").with_name(MATCHED)
    given = {name: settings.record()[name] for name in ("structures", "imaging")}
    if resume and path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["given"] == json.loads(json.dumps(given)):
            return settings.changed(**kept["matched"]), ()
    found = matched_settings(settings.structures, settings.imaging, experiment, cells=settings.fit_cell)
    settings = settings.model_copy(update={"structures": found.structures, "imaging": found.imaging})
    matched = {name: settings.record()[name] for name in given}
    with explained_writing(folder):
        write_bytes(path, json.dumps({"given": given, "matched": matched}).encode("utf-8"))
    # drawn settings are written with six digits: all of the run takes those that a resumed one will read
    return settings.changed(**matched), found.remarks


def _simulations(
    settings: CycleGANSettings,
    pixel_size: float,
    side: int,
    stack: SimulatedStack | None,
    should_stop: Callable[[], bool],
) -> Iterator[SimulatedImage]:
    """Images to draw crops from: cut out of a stack, or simulated."""
    if stack is not None:
        return stack.images(side, should_stop)
    return simulated_images(
        settings.structures,
        settings.imaging,
        pixel_size=pixel_size,
        side=side,
        count=settings.simulations,
        seed=settings.seed,
        should_stop=should_stop,
    )


def compared_looks(trainer: Trainer, translator: Translator, side: int) -> dict[str, Any]:
    """Reports on how like the experiment simulations and generated images look, as plain values.

    Raises
    ------
    MicrographError
        If images are too small or too few for it.
    """
    settings, experiment = trainer.settings, trainer.experiment
    simulated = np.stack([entry.image for entry in trainer.pool.images[:COMPARED]])
    area = sum(micrograph.shape[0] * micrograph.shape[1] for micrograph, _ in experiment.frames)
    count = int(np.clip(area // side**2, 4, COMPARED))
    patches = experiment.patches(np.random.default_rng(settings.seed), count, side)
    generated = translator.translate_stack(simulated, np.random.default_rng(settings.seed))
    network = load_features(settings.device)
    return {
        name: compare_looks(patches, images, experiment.pixel_size, network=network).record()
        for name, images in (("simulated", simulated), ("generated", generated))
    }


def _compared(experiment: Experiment, settings: CycleGANSettings, stack: SimulatedStack | None) -> Log:
    """Compare crystal and pixel size of experiment and simulations before anything learns.

    Raises
    ------
    TrainingError
        If they do not match.
    """
    if stack is not None:
        likeness = likeness_to_images(experiment, stack.looks(STACK_SIDE))
    else:
        likeness = likeness_to_crystals(experiment, settings.structures)
    if likeness.problem():
        raise TrainingError(likeness.problem())
    if likeness.judged:
        return Log(message=f"The spectrum of the experiment matches that of {likeness.crystal}.")
    return Log(
        message="The experiment and the simulations show too few lattice spots to tell whether crystal and pixel size "
        "match.",
        level="warning",
    )


def _learn(trainer: Trainer) -> dict[str, float]:
    """One step.

    Raises
    ------
    TrainingError
        If memory runs out; says which batch or crop fits.
    """
    try:
        return trainer.learn()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        settings = trainer.settings

        def smaller(size: int, crop: int = settings.crop) -> None:
            # a trainer of its own: what is left of the failed step takes memory, and crops have a spectrum of their own
            tried = settings.model_copy(update={"batch_size": size, "crop": crop})
            Trainer(tried, trainer.experiment, trainer.pool).learn()

        for optimiser in trainer.optimisers.values():
            optimiser.zero_grad(set_to_none=True)
        let_go(error)
        fitting = fitting_batch_size(smaller, settings.batch_size)
        # crops of 32 pixels are the smallest
        crop = 0 if fitting else 32 * fitting_batch_size(lambda parts: smaller(1, 32 * parts), settings.crop // 32)
        otherwise = f"a crop of {crop} pixels fits" if crop else "choose a smaller generator or another device"
        raise out_of_memory(trainer.device, settings.batch_size, fitting, otherwise) from error


def _diverged(trainer: Trainer, folder: Path, why: str) -> Log:
    """The word that the best checkpoint is kept after a training went wrong.

    Raises
    ------
    TrainingError
        If there is none.
    """
    message = f"The training diverged at step {trainer.step}: {why}."
    if checkpoint_path(folder, "best").exists():
        return Log(message=f"{message} The best checkpoint before is kept.", level="warning")
    raise TrainingError(
        f"{message} No checkpoint was good enough to be kept; lower the learning rate "
        f"(now {trainer.settings.learning_rate:g}) or raise the weights of cycle and identity."
    )


def _look(trainer: Trainer, looks: NDArray[np.float32]) -> tuple[LabelSurvival, float, list[Event]]:
    """Label survival, distance to the experiment, and pictures of both directions."""
    translator = trainer.translator()
    survival = survival_of(translator, trainer.pool, trainer.settings)
    translated = translator.translate_stack(np.stack([entry.image for entry in trainer.pool.images[: len(looks)]]))
    measured = realism(looks, translated)
    distance = measured.spectrum + measured.grey_levels + measured.noise
    generators, size = trainer.networks.generators, trainer.experiment.pixel_size
    with torch.no_grad():
        simulated, real = (images[:1] for images in trainer.batch())
        there = {"simulation": generators["to_experiment"](simulated), "experiment": generators["to_simulation"](real)}
        back = {
            "simulation": generators["to_simulation"](there["simulation"]),
            "experiment": generators["to_experiment"](there["experiment"]),
        }
    pictures = {"simulation": simulated, "experiment": real}
    events: list[Event] = [
        Metric(trainer.step, {**survival.record(), **{f"realism_{k}": v for k, v in measured.record().items()}})
    ]
    for name, first in pictures.items():
        rows = [image.float().cpu().numpy()[0, 0] for image in (first, there[name], back[name])]
        events.append(preview(f"{name}: input, translated, cycled", np.stack(rows), trainer.step, size))
        amplitudes = [np.log10(np.abs(np.fft.fftshift(np.fft.fft2(row - row.mean()))) + 1e-3) for row in rows]
        events.append(preview(f"{name}: Fourier amplitudes", np.stack(amplitudes).astype(np.float32), trainer.step))
    return survival, distance, events


def _write(trainer: Trainer, folder: Path, name: str) -> Checkpoint:
    path = checkpoint_path(folder, name)
    with explained_writing(folder):
        write_checkpoint(path, trainer.tensors(), trainer.values())
    return Checkpoint(trainer.step, name, str(path))
