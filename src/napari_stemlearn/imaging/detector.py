"""From the fraction of the beam that reaches the detector to grey levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from napari_stemlearn.imaging.counting import poisson
from napari_stemlearn.imaging.dose import electrons_per_pixel
from napari_stemlearn.imaging.grid import fast_length

_TAIL = 12  # afterglow lengths after which nothing is left


@dataclass(frozen=True)
class Detected:
    """Images as the detector gives them.

    Parameters
    ----------
    images
        Grey levels, shape (image, y, x), single precision.
    brightest
        Largest fraction of the incident beam on a pixel of each image, before noise, shape (image,).
    stretched
        Gain and offset that stretching chose for each image, shape (image, 2); None where those of the settings hold.
        ``(grey level - offset) / gain`` are electrons, but for rounding and clipped pixels.
    """

    images: torch.Tensor
    brightest: torch.Tensor
    stretched: torch.Tensor | None = None


def detect(
    fractions: torch.Tensor,
    drawn: Sequence[Mapping[str, float]],
    *,
    pixel_sizes: Sequence[float],
    currents: np.ndarray,
    seeds: Sequence[int],
    counting_noise: bool,
    stretch: bool,
    bits: int,
) -> Detected:
    """Turn fractions of the incident beam into grey levels.

    Parameters
    ----------
    fractions
        Shape (image, y, x); not kept.
    drawn
        For each image, values with the names of `DetectorSettings`.
    pixel_sizes
        Of each image in angstrom.
    currents
        Relative current of each line, shape (image, y).
    seeds
        For the noise of each image, which therefore does not depend on its neighbours in the batch.
    counting_noise, stretch, bits
        As in `DetectorSettings`.

    Returns
    -------
    Detected
        Grey levels, and the gain and offset of stretched ones.
    """
    device = fractions.device
    electrons = np.array([electrons_per_pixel(one, size) for one, size in zip(drawn, pixel_sizes, strict=True)])
    scale = torch.from_numpy(electrons[:, None] * currents).float().to(device)[..., None]
    signal = fractions * scale
    brightest = fractions.flatten(1).amax(dim=1)
    readout = np.array([one["readout_noise"] for one in drawn])
    noise = torch.empty_like(signal) if readout.any() else None
    generator = torch.Generator(device=device)
    for image, seed in enumerate(seeds):
        generator.manual_seed(int(seed))
        if counting_noise:
            signal[image] = poisson(signal[image].clamp_min_(0), generator)
        if noise is not None:
            noise[image].normal_(generator=generator)
    afterglow = np.array([one["afterglow"] for one in drawn])
    if afterglow.any():
        signal = _late(signal, afterglow, np.array([one["afterglow_length"] for one in drawn]))
    if noise is not None:
        signal.addcmul_(noise, torch.from_numpy(readout).float().to(device)[:, None, None])
    stretched = None
    if stretch:
        signal, stretched = _stretched(signal, drawn, bits)
    else:
        gain = torch.tensor([one["gain"] for one in drawn], device=device)[:, None, None]
        offset = torch.tensor([one["offset"] for one in drawn], device=device)[:, None, None]
        signal = signal.mul_(gain).add_(offset)
    if bits:
        signal = signal.round_().clamp_(0, 2**bits - 1)
    return Detected(signal, brightest, stretched)


def _late(signal: torch.Tensor, part: np.ndarray, length: np.ndarray) -> torch.Tensor:
    """Let a part of each pixel's signal arrive in the next pixels of its line, falling exponentially."""
    width = signal.shape[-1]
    padded = fast_length(width + int(np.ceil(_TAIL * length.max())))
    wave = np.exp(-2j * np.pi * np.arange(padded // 2 + 1) / padded)
    left = np.exp(-1 / length)[:, None]
    response = 1 - part[:, None] + part[:, None] * (1 - left) * wave / (1 - left * wave)
    filters = torch.from_numpy(response.astype(np.complex64)).to(signal.device)[:, None]
    return torch.fft.irfft(torch.fft.rfft(signal, n=padded) * filters, n=padded)[..., :width]


def _stretched(
    signal: torch.Tensor, drawn: Sequence[Mapping[str, float]], bits: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Stretch each image over the range of the digitiser (0 to 1 without bits), clipping parts of its pixels.

    The second tensor holds the gain and offset of each image.
    """
    top = float(2**bits - 1) if bits else 1.0
    flat = signal.reshape(len(signal), -1)
    low = _ranked(flat, [one["clipped_dark"] for one in drawn], largest=False)
    high = _ranked(flat, [one["clipped_bright"] for one in drawn], largest=True)
    gain = top / (high - low).clamp_min(1e-20)
    return ((signal - low) * gain).clamp_(0, top), torch.cat([gain, -low * gain], dim=1)[..., 0]


def _ranked(values: torch.Tensor, parts: Sequence[float], *, largest: bool) -> torch.Tensor:
    """The value of each image (image, pixel) that this part of its pixels lies beyond, shape (image, 1, 1)."""
    ranks = [round(part * (values.shape[1] - 1)) for part in parts]
    # a few of the outermost values cost a tenth of sorting all of them
    outermost = values.topk(max(ranks) + 1, dim=1, largest=largest).values
    return outermost.gather(1, torch.tensor(ranks, device=values.device)[:, None])[..., None]
