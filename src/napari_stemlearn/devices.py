"""The device that a computation runs on."""

from __future__ import annotations

import torch

from napari_stemlearn.errors import SettingsError


def choose_device(name: str = "auto") -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps`` into a device that is really there.

    Raises
    ------
    SettingsError
        If the device is unknown or absent.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", 0)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SettingsError(f"There is no device '{name}'; allowed: auto, cpu, cuda, cuda:0, mps.") from None
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (device.index or 0) >= there.get(device.type, 0):
        raise SettingsError(f"This computer has no device '{name}'; choose auto or cpu.")
    return torch.device(device.type, device.index or 0) if device.type == "cuda" else device


def device_name(device: torch.device) -> str:
    """Name of a device for people."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return "Apple GPU" if device.type == "mps" else f"CPU, {torch.get_num_threads()} threads"


def memory_free_gb(device: torch.device) -> float | None:
    """Free memory of a GPU in gigabytes; None elsewhere."""
    if device.type != "cuda":
        return None
    return torch.cuda.mem_get_info(device)[0] / 1e9
