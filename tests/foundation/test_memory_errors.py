"""Memory that ran out is told from other faults, by type and by words."""

from __future__ import annotations

import errno
from types import SimpleNamespace

import pytest
import torch

from napari_stemlearn.jobs.failures import explain_failure
from napari_stemlearn.memory_errors import is_computer_memory, is_gpu_memory
from napari_stemlearn.widgets.background import sentence_of as said_in_docks
from napari_stemlearn.widgets.search_child import sentence_of as said_in_find

GPU = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 EiB"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
    RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
]
COMPUTER = [
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("could not create a primitive"),
]
OTHER = [RuntimeError("shapes do not match"), ValueError("CUDA out of memory"), OSError("not enough memory cards")]


@pytest.mark.parametrize("error", GPU, ids=str)
def test_memory_of_a_gpu(error, tmp_path):
    assert is_gpu_memory(error)
    assert not is_computer_memory(error)
    assert explain_failure(error, tmp_path).startswith("The GPU ran out of memory")
    assert said_in_docks(error).startswith("The GPU has not enough memory")
    assert said_in_find(error).startswith("There is not enough memory for this search")


@pytest.mark.parametrize("error", COMPUTER, ids=str)
def test_memory_of_the_computer(error, tmp_path):
    assert is_computer_memory(error)
    assert not is_gpu_memory(error)
    assert explain_failure(error, tmp_path).startswith("The computer ran out of memory")
    assert said_in_docks(error).startswith("There is not enough memory")
    assert said_in_find(error).startswith("There is not enough memory for this search")


@pytest.mark.parametrize("error", OTHER, ids=str)
def test_other_faults(error):
    assert not is_gpu_memory(error)
    assert not is_computer_memory(error)


@pytest.mark.parametrize(("total", "full"), [(0, False), (1000, True)])
def test_only_a_disk_can_be_full(total, full, tmp_path, monkeypatch):
    """Where there is no disk, as in /proc, the free space reads 0 as well."""
    monkeypatch.setattr("shutil.disk_usage", lambda _place: SimpleNamespace(total=total, used=total, free=0))
    refused = OSError(errno.EIO, "Input/output error")
    assert ("is full" in explain_failure(refused, tmp_path)) is full


def test_torch_says_what_is_looked_for():
    """The words are those of the torch that is installed."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_computer_memory(caught.value)
