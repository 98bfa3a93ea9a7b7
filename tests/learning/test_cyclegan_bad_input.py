"""What a CycleGAN cannot use or survive ends with one clear sentence, and what was good before is kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_stemlearn.errors import MicrographError, StemlearnError
from napari_stemlearn.events import Done, Log
from napari_stemlearn.formats import read_micrograph, write_tiff
from napari_stemlearn.imaging.settings import ImagingSettings
from napari_stemlearn.imaging.simulate import simulate
from napari_stemlearn.learning import experiment as experiments
from napari_stemlearn.learning.cyclegan import train_cyclegan
from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.learning.cyclegan_trainer import Trainer
from napari_stemlearn.learning.experiment import Experiment
from napari_stemlearn.learning.steadiness import PATIENCE, Steadiness
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.structures.build import build
from napari_stemlearn.structures.settings import StructureSettings


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(50, 5, shape).astype(np.float32)


def stack(folder, data, pixel_size: float | None = 0.2):
    path = folder / "stack.tif"
    write_tiff(path, Micrograph(data, pixel_size, "stack"))
    return path


def tiny(path, **changes) -> CycleGANSettings:
    easy = {"survival.recall": 0.0, "survival.displacement": 10.0, "survival.defect_contrast": 0.0}
    return CycleGANSettings.preset("tiny").changed(experiment=[str(path)], **{**easy, **changes})


# images


def test_too_few_pixels_in_all():
    with pytest.raises(
        MicrographError, match=r"1600 pixels in all, the area of 1\.6 crops of 32 by 32 pixels; at least 4"
    ):
        Experiment([Micrograph(noise(40, 40), 0.2, "stack")], crop=32)
    assert len(Experiment([Micrograph(noise(3, 40, 40), 0.2, "stack")], crop=32).frames) == 3


def test_one_dead_frame_of_a_stack_is_named():
    data = noise(3, 64, 64)
    data[1] = 7
    with pytest.raises(MicrographError, match=r"'stack, frame 1' has one grey level \(7\) everywhere"):
        Experiment([Micrograph(data, 0.2, "stack")], crop=32)
    data = noise(3, 64, 64)
    data[2, 5, 5:8] = np.nan
    with pytest.raises(MicrographError, match="'stack, frame 2' has 3 pixels that are NaN or infinite"):
        Experiment([Micrograph(data, 0.2, "stack")], crop=32)


def test_pixel_size_of_settings_and_file_contradict(tmp_path):
    path = stack(tmp_path, noise(96, 96))
    events = list(train_cyclegan(tiny(path, pixel_size=0.21, steps=1), tmp_path / "run"))
    said = [event.message for event in events if isinstance(event, Log) and event.level == "warning"]
    assert any(
        "say pixels of 0.21 angstrom, the file of 'stack' says 0.2: the settings are followed" in one for one in said
    )
    assert Experiment([read_micrograph(path)], 32, 0.202).remark == ""
    assert Experiment([read_micrograph(path)], 32).remark == ""


def test_another_material_is_refused_before_anything_is_learnt(tmp_path):
    structure = StructureSettings.preset("wse2", field_of_view=(40.0, 40.0))
    imaging = ImagingSettings.checked({"shape": (200, 200), "pixel_size": 0.2, "detector": {"dose": 1e5}})
    micrograph = simulate(build(structure, 3), imaging, seed=3).micrograph
    path = stack(tmp_path, np.asarray(micrograph.data, dtype=np.float32))
    graphene = [{"structure": StructureSettings.preset("graphene").record()}]
    settings = tiny(path, structures=graphene, steps=1, simulations=1)
    with pytest.raises(StemlearnError, match=r"rings at 0\.35, 0\.61.* the simulated graphene at 0\.47.*wrong crystal"):
        list(train_cyclegan(settings, tmp_path / "run"))
    assert not (tmp_path / "run" / "result").exists()
    off = list(train_cyclegan(settings.changed(check_likeness=False), tmp_path / "run"))
    assert isinstance(off[-1], Done)
    right = list(train_cyclegan(tiny(path, steps=1, simulations=1), tmp_path / "right"))
    assert any(isinstance(event, Log) and "matches that of WSe2" in event.message for event in right)


# stacks larger than memory


class Endless:
    """A stack of any size that makes up the pixels that are asked for, and counts them."""

    dtype, ndim = np.dtype(np.uint16), 3

    def __init__(self, *shape: int) -> None:
        self.shape, self.largest, self.read = shape, 0, 0

    def __getitem__(self, key):
        return Frame(self) if not isinstance(key, tuple) else Frame(self)[key[1:]]


class Frame:
    """One frame of it."""

    def __init__(self, stack: Endless) -> None:
        self.stack, self.shape, self.ndim, self.dtype = stack, stack.shape[1:], 2, stack.dtype

    def __getitem__(self, key):
        key = key if isinstance(key, tuple) else (key, slice(None))
        rows, columns = (range(*part.indices(side)) for part, side in zip(key, self.shape, strict=True))
        pixels = len(rows) * len(columns)
        self.stack.largest, self.stack.read = max(self.stack.largest, pixels), self.stack.read + pixels
        return (np.add.outer(np.array(rows) * 7919, np.array(columns) * 104729) % 1009).astype(np.uint16)


def test_a_terabyte_is_read_in_strips_and_crops_only(monkeypatch):
    monkeypatch.setattr(experiments, "CHECKED_PIXELS", 1 << 22)
    monkeypatch.setattr(experiments, "STRIP_PIXELS", 1 << 18)
    data = Endless(100, 70000, 72000)
    experiment = Experiment([Micrograph(data, 0.1, "terabyte")], crop=64)
    assert data.largest <= experiments.STRIP_PIXELS
    assert data.read < 2 * max(experiments.CHECKED_PIXELS, 100 * 72000)
    data.largest = data.read = 0
    assert experiment.crops(np.random.default_rng(0), 8).shape == (8, 1, 64, 64)
    assert data.read == 8 * 64 * 64
    assert experiment.middles(3, 256)[2].shape == (256, 256)


def test_an_uncompressed_tiff_is_mapped_and_used_in_little_memory(tmp_path):
    """A sparse file of 768 MiB in a process that may take 256 MiB more."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs the limits of Linux")
    path = tmp_path / "huge.tif"
    script = f"""
import numpy as np, resource, tifffile
from napari_stemlearn.formats import read_micrograph
from napari_stemlearn.learning import experiment as experiments
shape = (6, 8192, 8192)
mapped = tifffile.memmap({str(path)!r}, shape=shape, dtype=np.uint16, bigtiff=True, metadata={{"axes": "TYX"}})
row = np.random.default_rng(0).integers(0, 4000, 8192, dtype=np.uint16)
for frame in mapped:
    frame[::64] = row
mapped.flush()
del mapped, frame
used = int(open("/proc/self/statm").read().split()[5]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_DATA, (used + (256 << 20), resource.RLIM_INFINITY))
micrograph = read_micrograph({str(path)!r}, pixel_size=0.2)
assert isinstance(micrograph.data, np.memmap), type(micrograph.data)
experiment = experiments.Experiment([micrograph], crop=128)
print(tuple(experiment.crops(np.random.default_rng(0), 4).shape), len(experiment.frames))
try:
    np.ones(shape, np.uint16)
except MemoryError:
    print("the whole does not fit")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["(4, 1, 128, 128) 6", "the whole does not fit"], done.stderr[-2000:]


def test_nan_that_the_first_look_at_a_huge_stack_misses_is_found_in_the_crop(monkeypatch):
    monkeypatch.setattr(experiments, "CHECKED_PIXELS", 512)
    monkeypatch.setattr(experiments, "STRIP_PIXELS", 512)
    data = noise(4, 64, 64)
    seen = list(experiments._strips((64, 64), -(-data.size // 512)))
    data[:, [row for row in range(64) if not any(row in range(part.start, part.stop) for part in seen)]] = np.nan
    experiment = Experiment([Micrograph(data, 0.2, "stack")], crop=32)
    with pytest.raises(MicrographError, match="NaN"):
        experiment.crops(np.random.default_rng(0), 1)


def test_compressed_pages_are_decoded_once_for_many_crops(tmp_path):
    dask = pytest.importorskip("dask.array")
    calls = []

    def page(block_info=None):
        calls.append(1)
        return noise(1, 96, 96)

    lazy = dask.map_blocks(page, chunks=((1, 1), (96,), (96,)), dtype=np.float32, meta=np.empty((0, 0, 0), np.float32))
    experiment = Experiment([Micrograph(lazy, 0.2, "lazy")], crop=32)
    before = len(calls)
    experiment.crops(np.random.default_rng(0), 50)
    assert len(calls) - before <= 2


# memory


def test_too_little_memory_names_a_batch_that_fits(tmp_path):
    """A process whose memory is limited once everything is loaded."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs the limits of Linux")
    script = f"""
import resource
import torch
torch.set_num_threads(1)
from napari_stemlearn.learning.cyclegan import train_cyclegan
from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
settings = CycleGANSettings.preset("tiny").changed(
    experiment=[{str(stack(tmp_path, noise(256, 256)))!r}], crop=128, batch_size=96, steps=1, replay=0, simulations=1)
try:
    for event in train_cyclegan(settings, __import__("pathlib").Path({str(tmp_path / "run")!r})):
        if type(event).__name__ == "Started":
            used = int(open("/proc/self/statm").read().split()[5]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_DATA, (used + (280 << 20), resource.RLIM_INFINITY))
except Exception as error:
    print(type(error).__name__, error)
"""
    # freed arrays go back to the system at once, for the limit counts what the heap only keeps for later
    own = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, env=own)
    words = done.stdout.strip()
    assert words.startswith("TrainingError The memory is too small for a batch of 96 crops; a batch size of"), (
        done.stderr
    )
    assert int(words.split("batch size of")[1].split()[0]) in (1, 3, 6, 12, 24, 48)


# divergence


def test_a_loss_that_is_no_number_without_a_good_checkpoint_fails_clearly(tmp_path):
    path = stack(tmp_path, noise(96, 96))
    settings = tiny(path, steps=4, every=4, **{"weights.cycle": 1e39})
    with pytest.raises(StemlearnError, match=r"diverged at step 1: .* no number .*lower the learning rate \(now"):
        list(train_cyclegan(settings, tmp_path / "run"))
    assert not (tmp_path / "run" / "result").exists()


def test_a_loss_that_is_no_number_keeps_the_best_checkpoint(tmp_path, monkeypatch):
    """Grey levels beyond all bounds, from the fourth step on, break the networks after the first looks."""
    batch = Trainer.batch

    def too_bright(trainer):
        simulated, measured = batch(trainer)
        return (simulated * 1e30, measured) if trainer.step >= 3 else (simulated, measured)

    monkeypatch.setattr(Trainer, "batch", too_bright)
    path = stack(tmp_path, noise(96, 96))
    settings = tiny(path, steps=40, every=1)
    events = list(train_cyclegan(settings, tmp_path / "run"))
    said = [event.message for event in events if isinstance(event, Log)]
    assert any("diverged at step" in one and "The best checkpoint before is kept." in one for one in said)
    assert isinstance(events[-1], Done)
    assert events[-1].result["best_step"] < 40


def test_critics_that_always_win_while_labels_are_lost_end_the_training():
    watch = Steadiness(critics=4)
    for _ in range(3):
        watch.add({"generators": 3.0, "critics": 1.0})
        assert watch.look(0.5, refused=False) == ""
    said = []
    for _ in range(PATIENCE):
        watch.add({"generators": 5.0, "critics": 0.001})
        said.append(watch.look(0.5, refused=True))
    assert said[:-1] == [""] * (PATIENCE - 1)
    assert "critics told translations from originals without fault" in said[-1]
    assert "labels were lost" in said[-1]


def test_winning_critics_alone_or_bad_looks_alone_are_no_collapse():
    for critics, distance, refused in ((0.001, 0.5, False), (1.0, 5.0, True)):
        watch = Steadiness(critics=4)
        for _ in range(3 * PATIENCE):
            watch.add({"generators": 3.0, "critics": critics})
            assert watch.look(distance, refused) == ""


def test_exploding_losses_end_the_training_and_a_resumed_watch_goes_on():
    watch = Steadiness(critics=2)
    for loss in (3.0, 2.0, 30.0):
        watch.add({"generators": loss, "critics": 0.5})
        assert watch.look(1.0, refused=False) == ""
    other = Steadiness(critics=2)
    other.restore(watch.record())
    other.add({"generators": 40.0, "critics": 0.5})
    assert other.look(1.0, refused=False) == "the generators' loss grew to 40 from 2"


def test_a_generator_that_loses_labels_is_refused_and_leaves_nothing(tmp_path):
    path = stack(tmp_path, noise(96, 96))
    strict = tiny(path, steps=1, **{"survival.displacement": 0.001, "survival.tolerance": 0.01, "survival.recall": 1.0})
    with pytest.raises(StemlearnError, match="The generator moves or hides atoms"):
        list(train_cyclegan(strict, tmp_path / "run"))
    assert not (tmp_path / "run" / "result").exists()
