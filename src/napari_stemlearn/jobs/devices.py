"""Which devices can compute here, asked in a process of its own so that nothing heavy loads into this one."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from dataclasses import asdict, dataclass

from napari_stemlearn.errors import JobError

PATIENCE = 120.0
"""Seconds to wait for the answer; a cold start of torch from a slow disk takes long."""


@dataclass(frozen=True)
class Device:
    """A device to choose.

    Parameters
    ----------
    name
        What settings take: ``auto``, ``cpu``, ``cuda:0``, ``mps``.
    title
        What people read: the name of the card, the number of cores.
    memory_free_gb, memory_total_gb
        Gigabytes (1e9 bytes); None where it is not known.
    """

    name: str
    title: str
    memory_free_gb: float | None = None
    memory_total_gb: float | None = None

    def __str__(self) -> str:
        if self.memory_free_gb is None:
            return f"{self.name} ({self.title})"
        return f"{self.name} ({self.title}, {self.memory_free_gb:.1f} GB free)"


def list_devices(*, refresh: bool = False) -> list[Device]:
    """List ``auto`` and the devices that work here; asked once, then remembered (a few seconds the first time).

    Parameters
    ----------
    refresh
        Ask again, for the free memory of now.

    Raises
    ------
    JobError
        If torch cannot be loaded.
    """
    if refresh:
        _ask.cache_clear()
    return list(_ask())


@functools.cache
def _ask() -> tuple[Device, ...]:
    try:
        answer = subprocess.run(
            [sys.executable, "-m", "napari_stemlearn.jobs.devices"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise JobError(f"The devices cannot be listed: {error}.") from error
    if answer.returncode != 0:
        last = (answer.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise JobError(f"The devices cannot be listed: {last}.")
    return tuple(Device(**entry) for entry in json.loads(answer.stdout.strip().splitlines()[-1]))


def probe() -> list[Device]:
    """List the devices in this process; imports torch."""
    import os

    import psutil
    import torch

    memory = psutil.virtual_memory()
    cpu = Device("cpu", f"{os.cpu_count()} cores", round(memory.available / 1e9, 2), round(memory.total / 1e9, 2))
    cards = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            try:
                free, total = torch.cuda.mem_get_info(index)
                # a card that is listed but cannot compute (too old for this torch) shows here
                torch.ones(1, device=f"cuda:{index}").sum().item()
            except RuntimeError:
                continue
            title = torch.cuda.get_device_name(index)
            cards.append(Device(f"cuda:{index}", title, round(free / 1e9, 2), round(total / 1e9, 2)))
    if torch.backends.mps.is_available():
        cards.append(Device("mps", "Apple GPU"))
    best = cards[0] if cards else cpu
    return [Device("auto", f"{best.name} here"), cpu, *cards]


if __name__ == "__main__":
    print(json.dumps([asdict(device) for device in probe()]))
