"""Full disks, vanished folders, places that cannot be written: one sentence, nothing half-written or left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from napari_stemlearn import jobs
from napari_stemlearn.datasets.settings import SimulateSettings
from napari_stemlearn.formats import read_micrograph, read_sites
from napari_stemlearn.jobs import RunState
from napari_stemlearn.jobs.processes import read_process
from napari_stemlearn.learning.settings import SegmentationSettings

Refused = Callable[..., str]

SMALL = SimulateSettings(
    number=2000, device="cpu", imaging={"shape": (64, 64)}, structure={"crystal": "graphene", "defects": []}
)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small disk can only be mounted as root on Linux")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(disk)], check=False).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_simulating_onto_a_full_disk(refused: Refused, small_disk: Path) -> None:
    words = ("-n", 2000, "--device", "cpu", "--set", "imaging.shape=[64, 64]", "--set", "structure.crystal=graphene")
    sentence = refused("simulate", small_disk / "set", *words)
    assert "No space left on device" in sentence or "is full" in sentence
    images = sorted((small_disk / "set").glob("*.tif"))
    assert images
    # every image that is there is whole
    for path in images:
        assert np.isfinite(read_micrograph(path).frame(0)).all()
        assert not read_sites(path.with_name(f"{path.stem}_sites.csv")).empty
    assert not list((small_disk / "set").glob(".*"))


def test_finding_onto_a_full_disk(refused: Refused, small_disk: Path, good: Path) -> None:
    (small_disk / "filler").write_bytes(bytes(shutil.disk_usage(small_disk).free))
    sentence = refused("find", good, "--model", "log", "--threshold", 0.01, "--out", small_disk / "sites.csv")
    assert "No space left on device" in sentence or "is full" in sentence
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


def test_training_onto_a_full_disk_fails_with_the_cause(small_disk: Path) -> None:
    # a checkpoint of this network alone is larger than the disk
    settings = SegmentationSettings.preset("tiny").changed(**{"network.width": 32, "optimisation.crop": 16})
    run = jobs.run_inline("train", settings, runs_folder=small_disk)
    assert run.state is RunState.FAILED
    assert run.failure is not None
    assert "full" in run.failure.message or "No space left" in run.failure.message
    assert not list((run.folder / "checkpoints").glob(".*"))


def test_places_that_are_not_there(refused: Refused, good: Path) -> None:
    Path("file").write_text("")
    assert "file" in refused("find", good, "--model", "log", "--out", "file/sites.csv")
    assert "file" in refused("simulate", "file/set")
    assert "No run folder can be made in" in refused("train", "--preset", "tiny", "--runs-folder", "file")
    assert not [path for path in Path().iterdir() if path.name not in ("file", "good.tif")]


def test_run_folder_deleted_under_a_simulation(tmp_path: Path) -> None:
    run = jobs.start("simulate", SMALL, runs_folder=tmp_path / "runs")
    end = time.monotonic() + 200
    while not (run.result_folder / "00002.tif").exists():
        assert run.state.active, run.failure
        assert time.monotonic() < end
        time.sleep(0.02)
    record = read_process(run.folder / "process.json")
    assert record is not None
    while run.folder.exists():
        shutil.rmtree(run.folder, ignore_errors=True)
        assert time.monotonic() < end
    while psutil.pid_exists(record.pid):
        assert time.monotonic() < end, "the process is still there"
        time.sleep(0.02)
    assert not run.folder.exists()
    assert run.state is RunState.FAILED
    assert run.failure is not None
    assert "is gone" in run.failure.message


def test_run_folder_deleted_under_a_training(tmp_path: Path) -> None:
    from napari_stemlearn.events import Failed, Progress

    settings = SegmentationSettings.preset("tiny").changed(**{"optimisation.steps": 50, "validation.every": 50})
    run = jobs.create("train", settings, runs_folder=tmp_path / "runs")
    last, seen = None, 0
    for event in run.execute():
        last = event
        if isinstance(event, Progress):
            seen = event.done
            if seen == 2:
                shutil.rmtree(run.folder)
    assert isinstance(last, Failed)
    assert "was deleted while the job was running" in last.message
    assert seen == 2
    assert not run.folder.exists()


def test_generating_onto_a_full_disk(refused: Refused, small_disk: Path) -> None:
    words = ("--preset", "tiny", "-n", 200, "--structure", "graphene", "--out", small_disk / "set.stemset")
    sentence = refused("generate", *words)
    assert "No space left on device" in sentence or "is full" in sentence
    if (small_disk / "set.stemset").exists():
        from napari_stemlearn.datasets import open_data_set

        left = open_data_set(small_disk / "set.stemset")
        for index in left.indices():
            assert left.pixels(index).shape == (64, 64)
            assert len(left.sites(index))
