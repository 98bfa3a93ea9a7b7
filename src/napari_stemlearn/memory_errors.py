"""Telling errors of memory from others; knows no torch, so that the command line and docks can ask."""

from __future__ import annotations

GPU_WORDS = ("CUDA out of memory", "CUDA error: out of memory", "CUDA_ERROR_OUT_OF_MEMORY", "ALLOC_FAILED")
"""What CUDA and its libraries (cuDNN, cuBLAS, cuFFT) say in plain RuntimeErrors."""

# oneDNN does not say why it has no room for its scratch pad
CPU_WORDS = ("allocate memory", "not enough memory", "could not create a primitive", "memory object")
"""What torch and oneDNN say on the CPU."""


def is_gpu_memory(error: BaseException) -> bool:
    """Whether the memory of a GPU ran out."""
    if type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in GPU_WORDS)


def is_computer_memory(error: BaseException) -> bool:
    """Whether the computer's own memory ran out; torch raises a plain RuntimeError then."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in CPU_WORDS)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, wherever."""
    return is_gpu_memory(error) or is_computer_memory(error)
