"""Device, precision and what to say when memory runs out."""

from __future__ import annotations

import errno
import gc
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from napari_stemlearn.file_errors import reason
from napari_stemlearn.finding.heap import release_freed
from napari_stemlearn.learning.failures import TrainingError
from napari_stemlearn.memory_errors import is_out_of_memory


def let_go(error: BaseException) -> None:
    """Give back what a failed step holds: its traceback keeps every array of its functions."""
    traceback.clear_frames(error.__traceback__)
    # networks and their graphs hold each other
    gc.collect()
    release_freed()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def choose_precision(name: str, device: torch.device) -> str:
    """Turn ``auto`` into ``bf16-mixed`` where the device computes with it faster, else into ``32``.

    Raises
    ------
    TrainingError
        If bfloat16 is asked of a device that has none.
    """
    if name == "32":
        return "32-true"
    fast = has_fast_bfloat16(device)
    if name == "auto":
        return "bf16-mixed" if fast else "32-true"
    if device.type == "cuda" and not fast:
        raise TrainingError(
            f"{torch.cuda.get_device_name(device)} cannot compute with bf16-mixed; set precision to 32."
        )
    return name


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies matrices of bfloat16 in hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        # oneDNN knows it also where the C library hides it; without AMX or AVX512-BF16 it is slower than float32
        probe = getattr(torch.cpu, "_is_amx_tile_supported", None)
        other = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
        return bool((probe and probe()) or (other and other()))
    return False


@contextmanager
def shared_cores(device: torch.device, workers: int) -> Iterator[None]:
    """Learn with half of the threads while worker processes make images on the other cores of a CPU.

    Making a batch takes about as long on one core as learning from it. With a thread on each core as well, threads
    would wait for each other on cores that the workers use.
    """
    before = torch.get_num_threads()
    if device.type == "cpu" and workers:
        torch.set_num_threads(max(before // 2, 1))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fitting_batch_size(step: Callable[[int], None], batch_size: int) -> int:
    """Largest batch, by halving, for which `step` gets through; 0 if not even one image does."""
    size = batch_size // 2
    while size >= 1:
        try:
            step(size)
            return size
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            let_go(error)
            size //= 2
    return 0


def out_of_memory(
    device: torch.device, batch_size: int, fitting: int, otherwise: str = "lower optimisation.crop or network.width"
) -> TrainingError:
    """The sentence for a batch that does not fit; `otherwise` is said where not even one image does."""
    where = f"The memory of {device}" if device.type == "cuda" else "The memory"
    advice = f"a batch size of {fitting} fits" if fitting else otherwise
    return TrainingError(f"{where} is too small for a batch of {batch_size} crops; {advice}.")


@contextmanager
def explained_writing(folder: Path) -> Iterator[None]:
    """Turn a full or read-only disk into a sentence.

    Raises
    ------
    TrainingError
        Names the folder and the reason.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TrainingError(f"The disk that holds {folder} is full; free some space, then resume.") from error
        raise TrainingError(f"Nothing can be written to {folder}: {reason(error)}.") from error
