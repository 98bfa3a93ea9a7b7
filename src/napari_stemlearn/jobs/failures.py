"""From an exception to one sentence for the person who started the job."""

from __future__ import annotations

import errno
import shutil
import signal
import traceback
from pathlib import Path

from napari_stemlearn.atomic_writing import visible_files
from napari_stemlearn.errors import JobError, StemlearnError
from napari_stemlearn.events import Failed
from napari_stemlearn.memory_errors import is_computer_memory, is_gpu_memory

DETAIL = 20_000
"""Characters of a traceback that are kept, from its end."""

NEARLY_FULL = 1 << 16
"""Free bytes below which a failed write is put down to a full disk."""


class RunFolderGoneError(JobError):
    """The run folder was deleted while its job was running."""


def failure_of(error: BaseException, folder: Path) -> Failed:
    """Describe an exception that ended a job in `folder`."""
    detail = "".join(traceback.format_exception(error))[-DETAIL:]
    return Failed(message=explain_failure(error, folder), detail=detail)


def explain_failure(error: BaseException, folder: Path) -> str:
    """One sentence about what ended a job: memory, disk, a deleted folder, a refusal of ours, a fault in the code."""
    chain = _chain(error)
    if any(isinstance(one, RunFolderGoneError) for one in chain):
        return f"The run folder {folder} was deleted while the job was running, so the job ended."
    if any(_is_disk_full(one) for one in chain) or (_is_write_error(error) and _free_bytes(folder) < NEARLY_FULL):
        return f"The disk that holds {folder} is full; free some space, then resume."
    for one in chain:
        if isinstance(one, StemlearnError):
            return str(one)
    if any(is_gpu_memory(one) for one in chain):
        return "The GPU ran out of memory; choose a smaller batch or crop, or another device."
    if any(is_computer_memory(one) for one in chain):
        return "The computer ran out of memory; choose a smaller batch, crop or field of view."
    if isinstance(error, KeyboardInterrupt):
        kept = "the last checkpoint is kept" if has_checkpoint(folder) else "there is no checkpoint yet"
        return f"The job was interrupted from the keyboard before it could save; {kept}."
    if isinstance(error, GeneratorExit):
        return "The program that watched the job left it before the end."
    words = " ".join(str(error).split())
    return f"The job broke with {type(error).__name__}{': ' + words[:300] if words else ''}."


def has_checkpoint(folder: Path) -> bool:
    """Whether there is a checkpoint in a run folder from which the run can go on."""
    return bool(visible_files(folder / "checkpoints", "last.*"))


def explain_exit(returncode: int | None) -> str:
    """One sentence about a process that ended without reporting.

    Parameters
    ----------
    returncode
        As `subprocess` gives it: negative for a signal; None where nobody saw the end.
    """
    if returncode is None:
        return "The job's process is gone without a word: it was killed, it crashed, or the computer was switched off."
    if returncode < 0:
        number = -returncode
        if number == getattr(signal, "SIGKILL", 9):
            return (
                "The job's process was killed (signal 9), which the system does when memory runs out; "
                "choose a smaller batch or crop if nobody killed it by hand."
            )
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = "unknown"
        return f"The job's process was ended by signal {number} ({name}); log.txt holds what it said last."
    return f"The job's process ended with exit status {returncode} before it was done; log.txt holds what it said last."


def _chain(error: BaseException) -> list[BaseException]:
    """The exception and those it came from."""
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found:
        found.append(current)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return found


def _is_disk_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return True
    return "No space left on device" in str(error)


def _is_write_error(error: BaseException) -> bool:
    # torch and safetensors report a failed write as RuntimeError or as an error of their own, without errno
    return not isinstance(error, (StemlearnError, MemoryError, KeyboardInterrupt, GeneratorExit)) and (
        isinstance(error, OSError) or "writ" in str(error)
    )


def _free_bytes(folder: Path) -> int:
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return NEARLY_FULL
    # what is no disk, such as /proc, has neither free bytes nor others
    return usage.free if usage.total else NEARLY_FULL
