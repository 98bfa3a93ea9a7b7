"""Features of patches by a network that knows atomic columns, for distances between looks (KID, FID).

The usual Inception network has learnt photographs; the shipped model `columns` has learnt lattices of many crystals
under many microscopes. It looks at images as it does when it finds columns: resampled to its pixel size, grey levels
normalised by its card. So gain, offset and what is finer than its pixels do not count.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from napari_stemlearn.errors import MicrographError
from napari_stemlearn.models.normalisation import normalise
from napari_stemlearn.models.resampling import resample
from napari_stemlearn.models.store import Model, load_model

NETWORK, LEVEL, PATCH = "columns", 2, 32
"""Model, level of its encoder (0 is the finest) whose channels are averaged, and side of a patch in its pixels."""

BATCH = 256
"""Patches computed together."""


@dataclass(frozen=True)
class FeatureNetwork:
    """The encoder of a shipped model.

    Parameters
    ----------
    model
        With its card.
    level
        Of the encoder.
    patch
        Side of a patch in pixels of the model.
    """

    model: Model
    level: int = LEVEL
    patch: int = PATCH

    @property
    def description(self) -> str:
        """Network, layer and preprocessing in words, for reports."""
        card = self.model.card
        return (
            f"encoder level {self.level} of the model '{card.name}' (weights {card.weights_sha256[:8]}), averaged over "
            f"patches of {self.patch} x {self.patch} pixels of {card.pixel_size:g} angstrom, grey levels normalised "
            f"{'locally' if card.normalisation.kind == 'local' else 'by frame'}"
        )

    @property
    def dimension(self) -> int:
        """Number of features."""
        return self.model.network.width * 2**self.level

    @torch.inference_mode()
    def features(self, images: Iterable[NDArray[np.generic]], pixel_size: float) -> NDArray[np.float64]:
        """Features (patch, dimension) of all whole patches of images (y, x).

        Parameters
        ----------
        images
            At `pixel_size`, each at least one patch wide.
        pixel_size
            In angstrom.

        Raises
        ------
        MicrographError
            If an image is smaller than a patch.
        """
        card, network = self.model.card, self.model.network
        patches = []
        for image in images:
            pixels = torch.from_numpy(np.asarray(image, dtype=np.float32)).to(self.model.device)
            pixels = normalise(resample(pixels, pixel_size, card.pixel_size), card.pixel_size, card.normalisation)
            rows, columns = (side // self.patch for side in pixels.shape)
            if not rows or not columns:
                need = int(np.ceil(self.patch * card.pixel_size / pixel_size))
                raise MicrographError(
                    f"Images of {image.shape[0]} by {image.shape[1]} pixels are too small to compare their features; "
                    f"at least {need} by {need} are needed."
                )
            whole = pixels[: rows * self.patch, : columns * self.patch]
            cut = whole.reshape(rows, self.patch, columns, self.patch).transpose(1, 2)
            patches.append(cut.reshape(-1, 1, self.patch, self.patch))
        found = []
        for batch in torch.cat(patches).split(BATCH):
            x = network.enter(network.fold(batch))
            for level, block in enumerate(network.encoder[: self.level + 1]):
                x = block(functional.max_pool2d(x, 2) if level else x)
            found.append(x.float().mean(dim=(-2, -1)).cpu().double().numpy())
        return np.concatenate(found)


def load_features(device: str = "cpu") -> FeatureNetwork:
    """The feature network of all reports."""
    return FeatureNetwork(load_model(NETWORK, device))
