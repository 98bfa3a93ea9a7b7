"""A pool of earlier translated images, so that critics do not forget (Shrivastava et al., CVPR 2017)."""

from __future__ import annotations

import torch
from torch import Tensor


class ReplayBuffer:
    """Half of the images that it gives back are older ones, swapped for new.

    Parameters
    ----------
    size
        Images kept; 0 passes everything through.
    seed
        For the choice of images.
    """

    def __init__(self, size: int = 50, seed: int = 0) -> None:
        self.size = size
        self.images: list[Tensor] = []
        self.generator = torch.Generator().manual_seed(seed)

    def exchange(self, images: Tensor) -> Tensor:
        """Put images (batch, channel, y, x) in, take as many out."""
        if self.size == 0:
            return images
        given = []
        for image in images.detach():
            if len(self.images) < self.size:
                self.images.append(image.clone())
                given.append(image)
                continue
            if torch.rand((), generator=self.generator) < 0.5:
                index = int(torch.randint(self.size, (), generator=self.generator))
                given.append(self.images[index])
                self.images[index] = image.clone()
            else:
                given.append(image)
        return torch.stack(given)

    def state(self) -> dict[str, Tensor]:
        """Tensors for a checkpoint."""
        state = {"generator": self.generator.get_state()}
        if self.images:
            state["images"] = torch.stack(self.images).cpu()
        return state

    def load(self, state: dict[str, Tensor], device: torch.device | str = "cpu") -> None:
        """Take up a state."""
        self.generator.set_state(state["generator"].cpu())
        self.images = list(state["images"].to(device)) if "images" in state else []
