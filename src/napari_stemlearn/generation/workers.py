"""Who makes the micrographs: this process, worker processes on this computer, or the workers of a cluster.

Whoever it is, they come back in the order of their numbers, a few at a time, so that memory does not grow with the set.
Workers send pixels and labels; only the caller writes. So a cluster's workers need no disk in common with it, only the
same version of this package, and CIF files at the same paths where structures name some.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari_stemlearn.datasets.entry import Entry
from napari_stemlearn.errors import JobError, StemlearnError
from napari_stemlearn.generation.recipe import Recipe, make_image
from napari_stemlearn.spawning import MOST_WORKERS, cores, ignore_interrupts, spawned_workers

if TYPE_CHECKING:
    from distributed import Client

FEW_PIXELS = 50_000_000
"""Plain sets with fewer pixels are made before two workers would be done, when the number is left open."""

TRANSLATION = 15
"""Times the work of a plain simulation that one takes which a generator of the usual size translates."""

GPU_MEMORY = 2.0
"""Gigabytes of a GPU that a worker takes, its CUDA context among them."""

AHEAD = 4
"""Images that are made ahead for each worker."""

AHEAD_BYTES = 1 << 29
"""Bytes of images that are made ahead at most, where each worker has one."""

_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

POLL = 0.5
"""Seconds between looks at whether to stop."""

CONNECT = 10.0
"""Seconds to wait for a scheduler to answer."""

PATIENCE = 60.0
"""Seconds to wait for a cluster that has no workers."""


def number_of_workers(
    workers: int,
    images: int,
    shape: tuple[int, int],
    *,
    translated: bool = False,
    gpu_memory: float | None = None,
) -> int:
    """Processes to start: as set, or one a core where the set is worth it.

    Parameters
    ----------
    workers
        As in the settings.
    images
        How many are still to be made.
    shape
        Of each in pixels.
    translated
        Whether a generator translates them.
    gpu_memory
        Free gigabytes of the GPU that all of them share; None where they compute on the CPU.
    """
    if workers >= 0:
        return min(workers, images)
    few = images * shape[0] * shape[1] * (TRANSLATION if translated else 1) < FEW_PIXELS
    fitting = MOST_WORKERS if gpu_memory is None else max(int(gpu_memory / GPU_MEMORY), 1)
    return 0 if few or cores() == 1 else min(cores(), MOST_WORKERS, fitting, images)


def check_scheduler(address: str) -> None:
    """Refuse an address at which nobody listens.

    Raises
    ------
    JobError
        If it is no address, or there is no answer.
    """
    from distributed.comm import parse_address
    from distributed.comm.addressing import get_address_host_port

    try:
        if parse_address(address)[0] in ("tcp", "tls", "ws", "wss"):
            socket.create_connection(get_address_host_port(address), timeout=CONNECT).close()
    except (OSError, ValueError) as error:
        raise JobError(f"There is no dask scheduler at {address}: {str(error).splitlines()[0]}.") from error


def made_here(recipe: Recipe, indices: Sequence[int], should_stop: Callable[[], bool]) -> Iterator[tuple[int, Entry]]:
    """Make images one after the other in this process."""
    for index in indices:
        if should_stop():
            return
        yield index, make_image(recipe, index)


def made_by_workers(
    recipe: Recipe, indices: Sequence[int], should_stop: Callable[[], bool], *, workers: int, scheduler: str = ""
) -> Iterator[tuple[int, Entry]]:
    """Make images in worker processes.

    Parameters
    ----------
    recipe
        What to make.
    indices
        Numbers of the images, in the order in which they are wanted.
    should_stop
        Asked while waiting; images that were begun are then given up.
    workers
        Processes on this computer.
    scheduler
        Address of a dask scheduler, whose workers are taken instead.

    Yields
    ------
    tuple
        Number and image.

    Raises
    ------
    JobError
        If the scheduler cannot be reached, its workers do not fit, or a worker died.
    StemlearnError
        What making an image raised.
    """
    from distributed import CancelledError, KilledWorker
    from distributed.comm import CommClosedError

    with _client(workers, scheduler) as client:
        if scheduler:
            _check_versions(client, scheduler)
        # sent once to each worker, since a generator may have megabytes
        shared = client.scatter(recipe, broadcast=True, hash=False)
        image_bytes = 4 * recipe.imaging.shape[0] * recipe.imaging.shape[1]
        waiting: deque[tuple[int, Any]] = deque()
        left = iter(indices)
        idle_since: float | None = None
        try:
            while True:
                threads = sum(client.nthreads().values())
                room = max(min(AHEAD * threads, AHEAD_BYTES // image_bytes), threads, 1)
                while len(waiting) < room and (index := next(left, None)) is not None:
                    future = client.submit(make_image, shared, index, pure=False, key=f"image-{index}-{id(waiting)}")
                    waiting.append((index, future))
                if not waiting or should_stop():
                    return
                if not _finished(client, waiting[0][1], POLL):
                    idle_since = None if threads else idle_since or time.monotonic()
                    if idle_since is not None and time.monotonic() - idle_since > PATIENCE:
                        raise JobError(f"{_whose(scheduler)} are gone; resume when there are some again.")
                    continue
                ready = []
                while waiting and waiting[0][1].done():
                    ready.append(waiting.popleft())
                    if ready[-1][1].status != "finished":
                        break
                for index, future in ready:
                    yield index, future.result()
        except (KilledWorker, CommClosedError, CancelledError, TimeoutError) as error:
            if should_stop():
                return
            # on this computer a connection is lost only with the worker at its end, which held images that were done
            if scheduler and not isinstance(error, KilledWorker):
                raise JobError(f"The connection to the workers of {scheduler} was lost; resume to go on.") from error
            height, width = recipe.imaging.shape
            raise JobError(
                f"A worker died while it made images of {height} by {width} pixels, most likely for want of memory; "
                "take fewer workers or a smaller shape, then resume."
            ) from error
        except ModuleNotFoundError as error:
            raise JobError(f"{_whose(scheduler)} lack a package: {error}.") from error
        finally:
            for _, future in waiting:
                future.cancel()


def _finished(client: Client, future: Any, seconds: float) -> bool:
    from distributed import wait

    try:
        # the caller may have a client of its own, which stays the current one
        with client.as_current():
            wait(future, timeout=seconds)
    except TimeoutError:
        return False
    return True


def _whose(scheduler: str) -> str:
    return f"The workers of {scheduler}" if scheduler else "This computer's workers"


@contextmanager
def _client(workers: int, scheduler: str) -> Iterator[Client]:
    """A connection to workers; those of this computer live as long as it does."""
    import dask
    from distributed import Client, LocalCluster

    if scheduler:
        try:
            client = Client(scheduler, timeout=CONNECT, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise JobError(f"There is no dask scheduler at {scheduler}: {str(error).splitlines()[0]}.") from error
        with client:
            yield client
        return
    settings = {
        # a worker that dies here would die again
        "distributed.scheduler.allowed-failures": 0,
        "distributed.comm.timeouts.connect": "60s",
        "distributed.worker.profile.enabled": False,
        # without dask's limit on what malloc keeps, under which each large array comes from the system anew
        "distributed.nanny.pre-spawn-environ": dict.fromkeys(_ONE_THREAD, 1),
    }
    with dask.config.set(settings), spawned_workers():
        try:
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                # none is wanted, and None takes a port that another program may have
                dashboard_address="127.0.0.1:0",
                memory_limit=0,
                silence_logs=logging.CRITICAL,
            )
        except (OSError, RuntimeError, TimeoutError) as error:
            raise JobError(f"Worker processes cannot be started: {str(error).splitlines()[0]}.") from error
    with cluster, Client(cluster, set_as_default=False) as client:
        if os.name != "posix":
            client.run(ignore_interrupts)
        yield client


def _check_versions(client: Client, scheduler: str) -> None:
    """Refuse workers that would make other images."""
    deadline = time.monotonic() + PATIENCE
    while not client.nthreads():
        if time.monotonic() > deadline:
            raise JobError(f"The scheduler at {scheduler} has no workers.")
        time.sleep(POLL)
    here = _package_version()
    try:
        there = set(client.run(_package_version).values())
    except (StemlearnError, ImportError) as error:
        raise JobError(f"The workers of {scheduler} do not have napari-stemlearn: {error}.") from error
    if there != {here}:
        other = ", ".join(sorted(there - {here}))
        raise JobError(
            f"The workers of {scheduler} have napari-stemlearn {other}, this computer {here}; they must agree."
        )


def _package_version() -> str:
    from napari_stemlearn import __version__

    return __version__
