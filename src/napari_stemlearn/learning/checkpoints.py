"""Checkpoints: one safetensors file each, tensors beside plain values, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from napari_stemlearn.atomic_writing import write_bytes
from napari_stemlearn.learning.failures import TrainingError
from napari_stemlearn.nested_names import flattened

FORMAT = 1
"""Version of the layout."""


def checkpoint_path(folder: Path, name: str) -> Path:
    """Where the checkpoint `name` (``last`` or ``best``) of a run lies."""
    return folder / "checkpoints" / f"{name}.safetensors"


def make_checkpoint_folder(folder: Path) -> None:
    """Make the folder of a run's checkpoints, once, when a training begins.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    checkpoint_path(folder, "last").parent.mkdir(parents=True, exist_ok=True)


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Write a checkpoint whole or not at all.

    Raises
    ------
    OSError
        If its folder is missing (somebody deleted the run) or the disk refuses; the checkpoint before stays.
    """
    from safetensors.torch import save

    content = save(
        {key: tensor.detach().cpu().contiguous().clone() for key, tensor in tensors.items()},
        metadata={"stemlearn": json.dumps({"format": FORMAT, **values})},
    )
    write_bytes(path, content)


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint's tensors and plain values.

    Raises
    ------
    TrainingError
        If it is missing, broken, or of another kind.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            values = json.loads((file.metadata() or {})["stemlearn"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
    except FileNotFoundError:
        raise TrainingError(f"There is no checkpoint {path} to resume from.") from None
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise TrainingError(f"The checkpoint {path} cannot be read: {error}.") from error
    if values.get("format") != FORMAT:
        raise TrainingError(f"The checkpoint {path} is of another version of this package.")
    return tensors, values


def below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors whose names begin with ``prefix.``, without it."""
    return {key.removeprefix(f"{prefix}."): value for key, value in tensors.items() if key.startswith(f"{prefix}.")}


def network_tensors(prefix: str, network: nn.Module) -> dict[str, Tensor]:
    """Weights and statistics under ``prefix.``."""
    return {f"{prefix}.{key}": value for key, value in network.state_dict().items()}


def restore_network(prefix: str, network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put tensors under ``prefix.`` into a network.

    Raises
    ------
    TrainingError
        If they are those of another network.
    """
    try:
        network.load_state_dict(below(prefix, tensors))
    except RuntimeError as error:
        raise TrainingError("The checkpoint holds another network than the settings describe.") from error


def optimiser_tensors(optimiser: torch.optim.Optimizer, prefix: str = "optimiser") -> dict[str, Tensor]:
    """State of an optimiser with one group of parameters, under ``prefix.``."""
    return {
        f"{prefix}.{number}.{name}": torch.as_tensor(value)
        for number, state in optimiser.state_dict()["state"].items()
        for name, value in state.items()
    }


def restore_optimiser(
    optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor], prefix: str = "optimiser"
) -> None:
    """Put the state under ``prefix.`` back, in the memory layout of each parameter."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in below(prefix, tensors).items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = value
    record = optimiser.state_dict()
    optimiser.load_state_dict({"state": state, "param_groups": record["param_groups"]})
    for parameter, values in optimiser.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                values[name] = torch.empty_like(parameter).copy_(value)


def check_same_settings(
    before: Mapping[str, Any], now: Mapping[str, Any], path: Path, free_to_change: Collection[str]
) -> None:
    """Refuse to go on with other settings than those of the checkpoint `path`.

    Raises
    ------
    TrainingError
        Names the first setting that differs and is not in `free_to_change`.
    """
    flat_before, flat_now = flattened(before), flattened(now)
    for key in sorted(flat_before.keys() | flat_now.keys()):
        if key not in free_to_change and flat_before.get(key) != flat_now.get(key):
            raise TrainingError(
                f"The training cannot go on from {path}: "
                f"{key} was {flat_before.get(key)!r} and is {flat_now.get(key)!r} now."
            )
