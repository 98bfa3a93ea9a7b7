"""A second device that is made of the first one, so that mixing the two is told where there is no GPU.

Tensors on it hold a tensor of the processor and compute with that one. As on a GPU, an operation that is given tensors
of both devices is refused, and so is numpy, until the tensor was brought back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

NAME = "pretend"


class _Module(_DummyBackendModule):
    """What torch asks a device about itself."""

    @staticmethod
    def get_amp_supported_dtype() -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


_setup_privateuseone_for_python_backend(NAME, _Module())
DEVICE = torch.device(NAME, 0)

_INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_")
_BACK = "to the processor"
_WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", _BACK)


class DevicesMixed(AssertionError):
    """An operation was given tensors of both devices."""


class OnDevice(torch.Tensor):
    """A tensor that says it is elsewhere."""

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> OnDevice:
        return torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
            requires_grad=held.requires_grad,
        )

    def __init__(self, held: torch.Tensor) -> None:
        self.held = held.detach()

    def tolist(self) -> list:
        """As of a tensor on a GPU; torch refuses it to subclasses."""
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        return _computed(function, arguments, named or {})


class PretendDevice(TorchDispatchMode):
    """Makes tensors there when asked for; counts operations and the times that the processor would wait."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        return _computed(function, arguments, named or {}, self.operations)

    @property
    def waits(self) -> dict[str, int]:
        """Operations after which the processor needs a value."""
        return {name: count for name, count in self.operations.items() if name.startswith(_WAITS)}


def _computed(function: Any, arguments: Any, named: dict[str, Any], operations: Counter[str] | None = None) -> Any:
    flat = pytree.tree_leaves((arguments, named))
    tensors = [leaf for leaf in flat if isinstance(leaf, torch.Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, OnDevice)]
    here = [tensor for tensor in tensors if not isinstance(tensor, OnDevice)]
    name = function.overloadpacket.__name__
    asked = named.get("device")
    if asked is not None:
        asked = torch.device(asked)
        named = {**named, "device": torch.device("cpu")}
    copies = name in ("copy_", "_to_copy", "_copy_from")
    # numbers of the processor may stand beside tensors of the device, and so may indices
    strangers = [] if copies else [tensor for tensor in here if tensor.dim() or not there]
    if name in _INDEXING and isinstance(arguments[0], OnDevice):
        strangers = []
    if there and strangers:
        shapes = [tuple(tensor.shape) for tensor in strangers]
        raise DevicesMixed(f"{name} was given tensors of the device and, of shape {shapes}, of the processor.")
    held = pytree.tree_map(lambda leaf: leaf.held if isinstance(leaf, OnDevice) else leaf, (arguments, named))
    if operations is not None and (there or (asked is not None and asked.type == NAME)):
        operations[name] += 1
        if name == "_to_copy" and asked is not None and asked.type == "cpu" and there:
            operations[_BACK] += 1
    result = function(*held[0], **held[1])
    goes_there = asked.type == NAME if asked is not None else bool(there)
    if name == "copy_":
        goes_there = isinstance(arguments[0], OnDevice)
    if not function._schema.returns:
        return None
    if function._schema.is_mutable and name.endswith("_"):
        return arguments[0]
    if not goes_there:
        return result
    return pytree.tree_map(lambda leaf: OnDevice(leaf) if isinstance(leaf, torch.Tensor) else leaf, result)


@contextmanager
def pretend_device() -> Iterator[PretendDevice]:
    """Within, ``pretend:0`` can be used as ``cuda:0`` is elsewhere."""
    before = torch._C._only_lift_cpu_tensors()
    # numbers of Python become tensors of the processor first, which are then seen to move
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        with PretendDevice() as mode:
            yield mode
    finally:
        torch._C._set_only_lift_cpu_tensors(before)
