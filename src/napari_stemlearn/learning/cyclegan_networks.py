"""The networks of a CycleGAN: two generators, up to four critics, and the spectra that two of them look at."""

from __future__ import annotations

from torch import Tensor, nn

from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.networks.critics import PatchCritic
from napari_stemlearn.networks.generators import build_generator
from napari_stemlearn.networks.spectrum import LogSpectrum

NAMES = ("to_experiment", "to_simulation")
"""The two generators."""


class Networks(nn.Module):
    """Two generators, up to four critics, and the spectra that two of them look at.

    Parameters
    ----------
    settings
        Of the training.
    """

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

    def judge(self, name: str, images: Tensor) -> list[tuple[str, Tensor]]:
        """Logits of the critics of one side, on the image and on its Fourier amplitudes.

        Parameters
        ----------
        name
            The side that the images should look like: ``experiment`` or ``simulation``.
        images
            Shape (batch, 1, y, x).
        """
        judged = [("adversarial", self.critics[name](images))]
        if name in self.spectra:
            spectrum = self.spectra[name](images).to(images.dtype)
            judged.append(("fourier", self.critics[f"{name}_fourier"](spectrum)))
        return judged
