"""From site tables to the maps that a network learns to draw."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_stemlearn.learning.truth_classes import belongs

SIGMA_OF_RADIUS = 1 / math.sqrt(2 * math.log(2))
"""Standard deviation of a Gaussian whose half height is at radius 1."""

REACH = 3.5
"""Standard deviations after which a Gaussian mark ends (0.002 of its height)."""


class Targets(NamedTuple):
    """What a batch should give.

    Parameters
    ----------
    maps
        Shape (batch, class, y, x), 0 to 1.
    centres
        Same shape, bool: the pixels nearest to a site.
    """

    maps: Tensor
    centres: Tensor


def class_indices(names: Sequence[str], classes: Mapping[str, Sequence[str]]) -> list[tuple[int, ...]]:
    """Training classes, by index, that each site of truth class `names` belongs to.

    Parameters
    ----------
    names
        Class of each site in the truth tables (n,): defects and contents of columns.
    classes
        As in `TargetSettings`.
    """

    known = {
        name: tuple(index for index, wanted in enumerate(classes.values()) if belongs(name, wanted))
        for name in dict.fromkeys(names)
    }
    return [known[name] for name in names]


def sites_array(
    image: int, names: Sequence[str], y: NDArray, x: NDArray, classes: Mapping[str, Sequence[str]]
) -> NDArray:
    """Rows (image, class index, y, x) of the sites that are marked; float64 (n, 4)."""
    members = class_indices(names, classes)
    rows = [(image, index, y[site], x[site]) for site, found in enumerate(members) for index in found]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def draw_targets(
    sites: NDArray[np.floating] | Tensor,
    shape: tuple[int, int, int, int],
    radius: float,
    *,
    kind: Literal["gaussian", "disc"] = "gaussian",
    device: torch.device | str = "cpu",
) -> Targets:
    """Draw a mark at the exact sub-pixel position of every site.

    Parameters
    ----------
    sites
        Rows (image, class index, y, x), positions in pixels; sites outside the image mark what they reach.
    shape
        (batch, class, y, x).
    radius
        In pixels: where a Gaussian has half its height, or the edge of a disc.
    kind
        ``gaussian`` or ``disc``.
    device
        Where to draw.
    """
    _, n_classes, height, width = shape
    sites = torch.as_tensor(sites, dtype=torch.float32, device=device).reshape(-1, 4)
    maps = torch.zeros(shape, dtype=torch.float32, device=device)
    centres = torch.zeros(shape, dtype=torch.bool, device=device)
    if not len(sites):
        return Targets(maps, centres)
    sigma = radius * SIGMA_OF_RADIUS
    reach = math.ceil(REACH * sigma if kind == "gaussian" else radius) + 1
    image, site_class = sites[:, 0].long(), sites[:, 1].long()
    nearest = sites[:, 2:].round().long()
    offsets = torch.arange(-reach, reach + 1, device=device)
    rows = nearest[:, :1] + offsets
    columns = nearest[:, 1:] + offsets
    square = (rows - sites[:, 2:3]).square()[:, :, None] + (columns - sites[:, 3:4]).square()[:, None, :]
    marks = torch.exp(-square / (2 * sigma**2)) if kind == "gaussian" else (square <= radius**2).float()
    there = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    plane = (image * n_classes + site_class)[:, None, None] * (height * width)
    index = plane + rows[:, :, None] * width + columns[:, None, :]
    # what lies outside adds nothing to the first pixel; picking it out would make a GPU wait
    index, marks = index.where(there, 0), marks.where(there, 0.0)
    maps.view(-1).scatter_reduce_(0, index.flatten(), marks.flatten(), "amax")
    inside = ((nearest >= 0) & (nearest < torch.tensor([height, width], device=device))).all(dim=1)
    centres[image[inside], site_class[inside], nearest[inside, 0], nearest[inside, 1]] = True
    return Targets(maps, centres)
