"""Simulated columns and small real networks."""

from __future__ import annotations

import numpy as np
import pytest


def columns_image(shape, points, sigma, amplitude=1.0):
    """Sum of round Gaussians at sub-pixel points (n, 2)."""
    image = np.zeros(shape)
    amplitude = np.broadcast_to(amplitude, len(points))
    reach = int(np.ceil(6 * sigma))
    for (y, x), height in zip(points, amplitude, strict=True):
        rows = np.arange(max(int(y) - reach, 0), min(int(y) + reach + 1, shape[0]))
        columns = np.arange(max(int(x) - reach, 0), min(int(x) + reach + 1, shape[1]))
        image[np.ix_(rows, columns)] += height * np.outer(
            np.exp(-0.5 * ((rows - y) / sigma) ** 2), np.exp(-0.5 * ((columns - x) / sigma) ** 2)
        )
    return image


def lattice_points(shape, spacing, rng, jitter=0.5, rim=0.0):
    """A square lattice with every point moved at random."""
    yy, xx = np.mgrid[rim : shape[0] - rim : spacing, rim : shape[1] - rim : spacing]
    points = np.stack([yy.ravel(), xx.ravel()], axis=1) + spacing / 2
    points += rng.uniform(-jitter, jitter, points.shape)
    return points[(points < np.array(shape) - 1 - rim).all(axis=1)]


@pytest.fixture
def make_image():
    return columns_image


@pytest.fixture
def make_points():
    return lattice_points


@pytest.fixture(scope="session")
def make_model():
    """A small residual U-Net with random weights that make lively maps, as a loaded model."""
    import torch

    from napari_stemlearn.models.card import ModelCard
    from napari_stemlearn.models.store import Model
    from napari_stemlearn.networks.build import build_network

    def build(classes=("a", "b"), *, seed=0, width=4, levels=3, stem=2, gain=40.0, **card):
        torch.manual_seed(seed)
        network = build_network(
            {"kind": "residual_unet", "out_channels": len(classes), "width": width, "levels": levels, "stem": stem}
        )
        with torch.no_grad():
            for module in network.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.running_mean.normal_(0, 0.2)
                    module.running_var.uniform_(0.5, 1.5)
            network.head.weight.mul_(gain)
        network.eval().requires_grad_(False)
        values = {"name": "random", "pixel_size": 0.2, "pixel_size_range": (0.1, 0.4), "target_radius": 0.5, **card}
        return Model(ModelCard(classes=classes, network=network.record(), **values), network, torch.device("cpu"))

    return build


@pytest.fixture(scope="session")
def make_blob_model():
    """A network of one fixed convolution that answers to bright blobs, so that found positions are known."""
    import torch

    from napari_stemlearn.models.card import ModelCard
    from napari_stemlearn.models.store import Model

    class BlobNetwork(torch.nn.Module):
        stride, margin = 1, 8

        def __init__(self, sigma, classes):
            super().__init__()
            axis = torch.arange(-8.0, 9.0)
            square = axis[:, None] ** 2 + axis[None, :] ** 2
            kernel = (1 - square / (2 * sigma**2)) * torch.exp(-square / (2 * sigma**2))
            kernel -= kernel.mean()
            self.register_buffer("kernel", (kernel / kernel.abs().sum())[None, None].repeat(classes, 1, 1, 1))

        def forward(self, images):
            return 12 * torch.nn.functional.conv2d(images, self.kernel, padding=8) - 2

    def build(sigma=2.0, classes=("column",), **card):
        values = {"name": "blobs", "pixel_size": 0.2, "pixel_size_range": (0.05, 0.8), "target_radius": 0.5, **card}
        network = BlobNetwork(sigma, len(classes)).eval()
        return Model(ModelCard(classes=classes, network={}, **values), network, torch.device("cpu"))

    return build
