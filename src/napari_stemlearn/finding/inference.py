"""Score maps of a trained network: a frame resampled, normalised and predicted tile by tile."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_stemlearn.finding.frame_reader import FrameReader
from napari_stemlearn.finding.score_maps import ScoreMaps
from napari_stemlearn.finding.settings import FindSettings
from napari_stemlearn.finding.tiles import (
    Span,
    network_window,
    normalisation_window,
    plan_tiles,
    reflected,
)
from napari_stemlearn.finding.windowed_resampling import read_resampled
from napari_stemlearn.models.normalisation import frame_scale, halo, normalise
from napari_stemlearn.models.resampling import resample, resampled_length
from napari_stemlearn.models.store import Model

RIM = 32
"""Mirrored pixels around the frame, at least; the same whatever the tiles."""

SCALE_BLOCK = 2048
"""Up to this side the contrast of a frame is measured on all of it, beyond on sample blocks of this side."""


def predict(network: Callable[[Tensor], Tensor], images: Tensor, *, augmentation: bool = False) -> Tensor:
    """Scores (batch, class, y, x) between 0 and 1 of normalised images (batch, 1, y, x).

    Parameters
    ----------
    network
        Gives logits.
    images
        Sides that are multiples of the network's stride, or turned tiles see another grid.
    augmentation
        Mean over the four rotations, each also mirrored, every result turned back.
    """
    if not augmentation:
        return torch.sigmoid(network(images).float())
    total: Tensor | None = None
    for mirrored in (False, True):
        for turns in range(4):
            turned = torch.rot90(images.flip(-1) if mirrored else images, turns, (-2, -1))
            scores = torch.rot90(torch.sigmoid(network(turned).float()), -turns, (-2, -1))
            scores = scores.flip(-1) if mirrored else scores
            total = scores if total is None else total + scores
    assert total is not None
    return total / 8


@dataclass
class NetworkMaps:
    """A frame prepared for a network.

    Parameters
    ----------
    reader
        The frame.
    model
        The network with its card.
    pixel_size
        Of the frame, in angstrom.
    settings
        Tile, precision, augmentation.
    """

    reader: FrameReader
    model: Model
    pixel_size: float
    settings: FindSettings

    def __post_init__(self) -> None:
        card = self.model.card
        self.factor = self.pixel_size / card.pixel_size
        height, width = (resampled_length(side, self.pixel_size, card.pixel_size) for side in self.reader.shape)
        self.shape = (height, width)
        stride = int(self.model.network.stride)
        self.rim = -(-RIM // stride) * stride
        self.tiles = plan_tiles(self.shape, self.settings.tile, stride)
        self.halo = halo(card.pixel_size, card.normalisation)
        self.whole: Tensor | None = None
        if len(self.tiles) == 1:
            frame = torch.from_numpy(self.reader.read(slice(None), slice(None))).to(self.model.device)
            self.whole = resample(frame, self.pixel_size, card.pixel_size)
        self.scale = self._scale()

    def _read(self, y: Span, x: Span) -> Tensor:
        """Window of the resampled frame on the network's device."""
        if self.whole is not None:
            return self.whole[y.start : y.stop, x.start : x.stop]
        return torch.from_numpy(read_resampled(self.reader, self.factor, y, x)).to(self.model.device)

    def _scale(self) -> float:
        """Contrast of the frame as the normalisation wants it: of the whole frame, or of 16 blocks of a huge one."""
        card = self.model.card
        blocks = [_sample(side) for side in self.shape]
        squares, pixels = 0.0, 0
        for y in blocks[0]:
            for x in blocks[1]:
                value = float(frame_scale(self._read(y, x), card.pixel_size, card.normalisation))
                squares += value**2 * len(y) * len(x)
                pixels += len(y) * len(x)
        return (squares / pixels) ** 0.5

    def window(self, y: Span, x: Span) -> NDArray[np.float32]:
        """Score maps (class, y, x) of a window."""
        network = self.model.network
        outer_y, outer_x = (
            network_window(span, side, int(network.margin), self.rim, int(network.stride))
            for span, side in zip((y, x), self.shape, strict=True)
        )
        index_y = reflected(outer_y.start, outer_y.stop, self.shape[0])
        index_x = reflected(outer_x.start, outer_x.stop, self.shape[1])
        read_y = normalisation_window(index_y, self.shape[0], self.halo.pixels, self.halo.multiple)
        read_x = normalisation_window(index_x, self.shape[1], self.halo.pixels, self.halo.multiple)
        card, device = self.model.card, self.model.device
        with torch.inference_mode():
            image = normalise(
                self._read(read_y, read_x), card.pixel_size, card.normalisation, scale=self.scale, mean=0.0
            )
            rows = torch.from_numpy(index_y - read_y.start).to(device)
            columns = torch.from_numpy(index_x - read_x.start).to(device)
            image = image.index_select(0, rows).index_select(1, columns)[None, None]
            image = image.contiguous(memory_format=torch.channels_last)
            short = self.settings.precision
            shortened = (
                nullcontext() if short == "float32" else torch.autocast(device.type, dtype=getattr(torch, short))
            )
            with shortened:
                scores = predict(network, image, augmentation=self.settings.test_time_augmentation)
            return scores[0, :, y.within(outer_y), x.within(outer_x)].cpu().numpy()

    def maps(self) -> ScoreMaps:
        """What the peak search works on."""
        card = self.model.card
        return ScoreMaps(self.shape, card.pixel_size, self.tiles, self.window, card.target_radius / card.pixel_size)


def _sample(side: int) -> list[Span]:
    """The whole axis, or four blocks spread over it."""
    if side <= SCALE_BLOCK:
        return [Span(0, side)]
    block = min(SCALE_BLOCK, side // 2) // 2
    return [Span(int(start), int(start) + block) for start in np.linspace(0, side - block, 4)]
