"""What a long computation reports while it runs; a generator yields these, whoever watches draws them."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Event:
    """Base of all events; `time` is seconds since 1970."""

    kind: ClassVar[str] = "event"

    def record(self) -> dict[str, Any]:
        """Plain values for one JSON line."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True)
class Started(Event):
    """The computation has begun, on this device (``cpu``, ``cuda:0``)."""

    kind: ClassVar[str] = "started"
    device: str = "cpu"
    device_name: str = ""
    memory_free_gb: float | None = None
    total: int = 0
    resumed_at: int = 0
    time: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Progress(Event):
    """`done` of `total` steps; `stage` names what is counted."""

    kind: ClassVar[str] = "progress"
    done: int = 0
    total: int = 0
    stage: str = ""
    time: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Metric(Event):
    """Named numbers at a step (``{"train_loss": 0.3}``)."""

    kind: ClassVar[str] = "metric"
    step: int = 0
    values: dict[str, float] = field(default_factory=dict)
    time: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Preview(Event):
    """A small array to look at; in a run folder it is a file and `array` is not in the record."""

    kind: ClassVar[str] = "preview"
    step: int = 0
    name: str = ""
    array: NDArray[Any] | None = None
    pixel_size: float | None = None
    path: str = ""
    time: float = field(default_factory=time.time)

    def record(self) -> dict[str, Any]:
        """Plain values without the array."""
        kept = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name != "array"}
        return {"kind": self.kind, **kept}


@dataclass(frozen=True)
class Checkpoint(Event):
    """A checkpoint was written; `name` is ``last`` or ``best``."""

    kind: ClassVar[str] = "checkpoint"
    step: int = 0
    name: str = "last"
    path: str = ""
    time: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Log(Event):
    """One sentence for the log; `level` is ``info`` or ``warning``."""

    kind: ClassVar[str] = "log"
    message: str = ""
    level: str = "info"
    time: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Done(Event):
    """The end; `result` holds plain values (paths, scores), `stopped` tells that it was asked to stop early."""

    kind: ClassVar[str] = "done"
    result: dict[str, Any] = field(default_factory=dict)
    stopped: bool = False
    time: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Failed(Event):
    """It broke; `message` is one sentence, `detail` the traceback."""

    kind: ClassVar[str] = "failed"
    message: str = ""
    detail: str = ""
    time: float = field(default_factory=time.time)


_KINDS: dict[str, type[Event]] = {
    cls.kind: cls for cls in (Started, Progress, Metric, Preview, Checkpoint, Log, Done, Failed)
}


def event_from_record(record: dict[str, Any]) -> Event:
    """Rebuild an event from its JSON record; unknown kinds become a `Log`, unknown fields are left out."""
    cls = _KINDS.get(record.get("kind", ""))
    if cls is None:
        return Log(message=f"unknown event {record.get('kind')!r}", level="warning")
    names = {entry.name for entry in fields(cls)}
    return cls(**{name: value for name, value in record.items() if name in names})


def preview(name: str, array: Any, step: int, pixel_size: float | None = None) -> Preview:
    """A preview event of any array or tensor on the CPU."""
    return Preview(step=step, name=name, array=np.asarray(array), pixel_size=pixel_size)
