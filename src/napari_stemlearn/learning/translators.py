"""A trained generator: simulations in, images with the look of the day out, labels unmoved."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_stemlearn.atomic_writing import replacing_together
from napari_stemlearn.devices import choose_device
from napari_stemlearn.errors import ModelError
from napari_stemlearn.learning.checkpoints import read_checkpoint, write_checkpoint
from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.learning.generator_cards import GENERATOR_CARD as CARD
from napari_stemlearn.learning.generator_cards import GENERATOR_WEIGHTS as WEIGHTS
from napari_stemlearn.learning.generator_cards import read_generator_card
from napari_stemlearn.learning.grey_levels import GreyLevels
from napari_stemlearn.networks.generators import build_generator, pad_to_multiple


@dataclass(frozen=True)
class Translator:
    """A generator with all that it needs to translate simulations.

    Parameters
    ----------
    network
        From simulation to experiment.
    simulation_levels, experiment_levels
        Grey levels of either side.
    pixel_size
        Of the experiment in angstrom; simulations must have it.
    noise
        Standard deviation of the noise added to the simulation, in the network's grey levels (-1 to 1).
    settings
        With which it was trained: what it has learnt to translate.
    device
        Where the network lies.
    """

    network: nn.Module
    simulation_levels: GreyLevels
    experiment_levels: GreyLevels
    pixel_size: float
    noise: float
    settings: CycleGANSettings
    device: torch.device

    def translate(self, image: NDArray[np.floating], rng: np.random.Generator | None = None) -> NDArray[np.float32]:
        """Translate one simulated image (y, x) of any size; fresh noise each time.

        Parameters
        ----------
        image
            At `pixel_size`, in the grey levels of the simulations that it learnt from.
        rng
            For the noise; None draws from torch's own state.
        """
        return self.translate_stack(image[None], rng)[0]

    @torch.no_grad()
    def translate_stack(
        self, images: NDArray[np.floating], rng: np.random.Generator | None = None
    ) -> NDArray[np.float32]:
        """Translate simulated images (n, y, x)."""
        self.network.eval()
        # the seed below is that of every GPU in use, also where this network lies on the CPU
        devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
        with torch.random.fork_rng(devices, enabled=rng is not None):
            if rng is not None:
                torch.manual_seed(int(rng.integers(2**31)))
            return np.stack([self._translated(np.asarray(image)) for image in images])

    def _translated(self, image: NDArray[np.floating]) -> NDArray[np.float32]:
        levels = torch.from_numpy(self.simulation_levels.scaled(image))[None, None]
        if self.noise:
            levels = levels + self.noise * torch.randn(levels.shape)
        padded = pad_to_multiple(levels.to(self.device), self.network.multiple)  # type: ignore[arg-type]
        translated = self.network(padded)[0, 0, : image.shape[0], : image.shape[1]]
        return self.experiment_levels.restored(translated.float().cpu().numpy())


def save_translator(
    folder: Path,
    translator: Translator,
    settings: CycleGANSettings,
    measured: dict[str, Any],
    stack: dict[str, Any] | None = None,
) -> Path:
    """Write a generator's folder, both files or neither.

    They are the weights, and a card with settings, measures, and the simulated stack if any.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    card = {
        "format": 1,
        "name": settings.name,
        "kind": "generator",
        "network": settings.generator.network_record(),
        "pixel_size": translator.pixel_size,
        "noise": translator.noise,
        "simulation_levels": translator.simulation_levels.record(),
        "experiment_levels": translator.experiment_levels.record(),
        "measured": measured,
        "settings": settings.record(),
        **({} if stack is None else {"simulated_stack": stack}),
        "note": "Images made with this generator are synthetic and are marked as such.",
    }
    folder.mkdir(parents=True, exist_ok=True)
    with replacing_together(folder / WEIGHTS, folder / CARD) as (weights, beside):
        write_checkpoint(weights, translator.network.state_dict(), {})
        beside.write_text(json.dumps(card, indent=2), encoding="utf-8")
    return folder


def load_translator(folder: str | Path, device: str = "auto") -> Translator:
    """Load a generator's folder.

    Raises
    ------
    ModelError
        If there is none, or its card does not fit its weights.
    """
    folder = Path(folder)
    card = read_generator_card(folder)
    try:
        # the first weights are drawn and then replaced: nobody else's random numbers should know
        with torch.random.fork_rng(devices=[]):
            network = build_generator(card["network"])
        tensors, _ = read_checkpoint(folder / WEIGHTS)
        network.load_state_dict(tensors)
        levels = [GreyLevels(**card[f"{side}_levels"]) for side in ("simulation", "experiment")]
        settings = CycleGANSettings.checked(card["settings"])
        chosen = choose_device(device)
        network.eval().requires_grad_(False).to(chosen)
        sizes = float(card["pixel_size"]), float(card["noise"])
        return Translator(network, levels[0], levels[1], *sizes, settings, chosen)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ModelError(f"The generator in {folder} cannot be loaded: {str(error).splitlines()[0]}.") from error
