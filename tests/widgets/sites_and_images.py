"""Small images and tables that the tests of the docks share."""

from __future__ import annotations

import numpy as np

from napari_stemlearn.sites import make_sites

PIXEL_SIZE = 0.2


def lattice_stack(n_frames=3, size=96, spacing=16.0, seed=0):
    """Frames (frame, y, x) with a square lattice of spots, and the site table of the spots."""
    rows, columns = np.indices((size, size))
    rng = np.random.default_rng(seed)
    frames, y, x, frame = [], [], [], []
    for index in range(n_frames):
        image = rng.normal(0, 0.03, (size, size))
        for centre_y in np.arange(spacing / 2, size, spacing):
            for centre_x in np.arange(spacing / 2, size, spacing):
                image += np.exp(-((rows - centre_y) ** 2 + (columns - centre_x) ** 2) / (2 * 2.0**2))
                y.append(centre_y)
                x.append(centre_x)
                frame.append(index)
        frames.append(image)
    return np.array(frames, dtype=np.float32), make_sites(y, x, "column", pixel_size=PIXEL_SIZE, frame=frame)


def add_stack(viewer, data, name="stack"):
    """The stack as a calibrated image layer."""
    n = data.ndim
    return viewer.add_image(
        data,
        name=name,
        scale=(1,) * (n - 2) + (PIXEL_SIZE, PIXEL_SIZE),
        units=("pixel",) * (n - 2) + ("angstrom", "angstrom"),
        axis_labels=("frame", "y", "x")[-n:],
    )


def save_toy_model(folder, classes=("vacancy1", "vacancy2")):
    """A network of random weights that marks something, as a model folder."""
    import torch

    from napari_stemlearn.models.card import ModelCard
    from napari_stemlearn.models.store import build_for, save_model

    torch.manual_seed(0)
    network = {"in_channels": 1, "out_channels": len(classes), "width": 4, "levels": 2}
    card = ModelCard(
        name=folder.name,
        description="random weights",
        classes=classes,
        pixel_size=PIXEL_SIZE,
        pixel_size_range=(0.08, 0.4),
        network=network,
        thresholds=dict.fromkeys(classes, 0.5),
    )
    save_model(folder, build_for(card), card)
    return folder
