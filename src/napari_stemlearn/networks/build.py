"""A network from its record, as model cards keep it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_stemlearn.networks.residual_unet import ResidualUNet

NETWORKS: dict[str, type[ResidualUNet]] = {"residual_unet": ResidualUNet}
"""Architectures by the name that a record calls `kind`."""


def build_network(record: Mapping[str, Any]) -> ResidualUNet:
    """Build a network with fresh weights.

    Parameters
    ----------
    record
        ``kind`` and the arguments of that architecture, as its ``record()`` gives them.

    Raises
    ------
    ValueError
        If the kind is unknown or an argument does not fit it.
    """
    arguments = dict(record)
    kind = arguments.pop("kind", "residual_unet")
    if kind not in NETWORKS:
        raise ValueError(f"there is no network '{kind}', only {', '.join(NETWORKS)}")
    try:
        return NETWORKS[kind](**arguments)
    except TypeError as error:
        raise ValueError(f"the network '{kind}' cannot be built from {arguments}: {error}") from None
