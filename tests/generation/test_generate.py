"""Generated sets: the same whoever makes them, marked, gone on with, refused in one sentence."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from interrupted_children import interrupted_children
from napari_stemlearn import jobs
from napari_stemlearn.datasets import DataSet, open_data_set
from napari_stemlearn.datasets.one_writer import LOCK
from napari_stemlearn.datasets.store import IMAGES
from napari_stemlearn.errors import FormatError, JobError, MicrographError, ModelError, SettingsError
from napari_stemlearn.events import Done, Log, Preview, Progress, Started
from napari_stemlearn.generation import GenerateSettings, write_generated_set
from napari_stemlearn.generation.recipe import recipe_of
from napari_stemlearn.generation.workers import number_of_workers
from napari_stemlearn.imaging.settings import ImagingSettings
from napari_stemlearn.jobs import RunState
from napari_stemlearn.learning.generator_cards import read_generator_card
from napari_stemlearn.marking import find_watermark
from untrained_generator import PIXEL_SIZE, UNET, untrained_generator

TINY = GenerateSettings.preset(
    "tiny",
    number=4,
    seed=3,
    structures=[{"structure": {"crystal": "WSe2", "defects": [{"kind": "vacancy1", "probability": 0.2}]}}],
    imaging={"detector": {"dose": "log_uniform(1e4, 1e5)"}},
)


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_generator(tmp_path_factory.mktemp("generator"))


@pytest.fixture(scope="module")
def translated(tmp_path_factory: pytest.TempPathFactory, generator: Path) -> DataSet:
    """Four translated images, made one after the other."""
    path = tmp_path_factory.mktemp("sets") / "alone.stemset"
    list(write_generated_set(TINY.changed(generator=str(generator)), path))
    return open_data_set(path)


def content(data_set: DataSet) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (data_set.path / IMAGES).iterdir()}


def assert_same(one: DataSet, other: DataSet) -> None:
    assert content(one) == content(other)
    pd.testing.assert_frame_equal(one.query(), other.query())
    assert [one.table.block(index) for index in one.indices()] == [other.table.block(i) for i in other.indices()]


def stop_after(calls: int) -> Callable[[], bool]:
    counter = itertools.count()
    return lambda: next(counter) >= calls


def test_images_and_their_labels_fit_together(tmp_path: Path) -> None:
    settings = TINY.changed(number=1, shape=(160, 130), **{"imaging.pixel_size": 0.2})
    events = list(write_generated_set(settings, tmp_path / "plain.stemset"))
    assert isinstance(events[0], Started)
    done = events[-1]
    assert isinstance(done, Done)
    assert not done.stopped
    assert done.result["images"] == 1
    previews = [event for event in events if isinstance(event, Preview)]
    assert previews[0].array is not None
    assert previews[0].array.shape == (160, 130)
    assert [event for event in events if isinstance(event, Progress)][-1].done == 1
    data_set = open_data_set(tmp_path / "plain.stemset")
    micrograph, sites = data_set.image(0), data_set.sites(0)
    assert micrograph.pixel_size == 0.2
    image = micrograph.frame(0)
    assert image.shape == (160, 130)
    heavy = sites[(sites["class"] == "W") & sites["y"].between(2, 157) & sites["x"].between(2, 127)]
    assert image[heavy["y"].round().astype(int), heavy["x"].round().astype(int)].mean() > image.mean() + image.std()
    assert done.result["columns"] == (sites["kind"] == "column").sum()
    assert done.result["defects"] == (sites["class"] == "vacancy1").sum() > 0
    # every image says that it is synthetic, in words and in its pixels
    assert micrograph.provenance["synthetic"] is True
    assert micrograph.provenance["marks"] == {"watermark": True, "visible_mark": False}
    assert find_watermark(image).present
    assert data_set.indices("vacancy1.probability = 0.2") == [0]
    assert sites.loc[sites["kind"] == "defect", "z_angstrom"].notna().all()
    row = data_set.query().loc[0]
    assert 1e4 <= row["imaging.detector.dose"] <= 1e5
    assert row["imaging.detector.gain"] == 1
    assert row["structure.crystal"] == "WSe2"
    assert data_set.settings["structures"][0]["structure"]["defects"][0]["probability"] == 0.2


def test_the_table_holds_the_gain_that_stretching_chose(tmp_path: Path) -> None:
    stretched = {"imaging.detector.stretch": True, "imaging.detector.bits": 8}
    list(write_generated_set(TINY.changed(number=2, **stretched), tmp_path / "stretched.stemset"))
    gains = open_data_set(tmp_path / "stretched.stemset").query()["imaging.detector.gain"]
    assert gains.nunique() == 2
    assert (gains != 1).all()


def test_a_generator_decides_look_and_pixel_size(translated: DataSet, generator: Path) -> None:
    assert translated.pixel_size == PIXEL_SIZE
    assert translated.card["generator"]["name"] == "day_x"
    assert translated.image(0).provenance["generator"] == "day_x"
    assert "'day_x'" in translated.card["statement"]
    table = translated.query()
    assert set(table["translation.generator"]) == {"day_x"}
    assert table["translation_seed"].nunique() == 4
    # grey levels of the experiment, not of the simulation
    assert 50 < translated.pixels(0).mean() < 300


def test_what_is_set_of_the_microscope_is_laid_over_what_the_generator_learnt(tmp_path: Path) -> None:
    learnt = {"probe": {"C10": "normal(0, 20)", "C12": 7.0}, "detector": {"counting_noise": False, "flicker": 0.1}}
    folder = untrained_generator(tmp_path / "look", imaging=learnt)
    settings = GenerateSettings(generator=str(folder), imaging={"detector": {"dose": 5e4}, "sampling": "area"})
    made = recipe_of(settings).imaging
    assert (made.detector.dose, made.sampling) == (5e4, "area")
    card = read_generator_card(folder)["settings"]["imaging"]
    untouched = ImagingSettings.checked(card).changed(
        shape=(512, 512), pixel_size=PIXEL_SIZE, sampling="area", **{"detector.dose": 5e4}
    )
    assert made == untouched
    assert made.probe.C12 == 7.0
    # a whole microscope is taken as it is
    whole = ImagingSettings(detector={"dose": 5e4})
    for given in (whole, whole.record(), "noise_free"):
        assert recipe_of(GenerateSettings.checked({"generator": str(folder), "imaging": given})).imaging.probe.C12 == 0
    assert recipe_of(GenerateSettings(imaging={"detector": {"dose": 5e4}})).imaging.probe.C12 == 0


def test_a_shape_or_pixel_size_that_the_set_would_not_get_is_refused(generator: Path) -> None:
    look = str(generator)
    with pytest.raises(SettingsError, match=r"give shape=\[128, 96\] in place of imaging.shape"):
        GenerateSettings(imaging={"shape": [128, 96]})
    with pytest.raises(SettingsError, match=r"pixel_size is 0.1 angstrom, but the generator 'day_x' makes .* of 0.25"):
        GenerateSettings(generator=look, imaging={"pixel_size": 0.1})
    with pytest.raises(SettingsError, match=r"Setting imaging: .* there is no generator in nowhere\."):
        GenerateSettings(generator="nowhere", imaging={"detector": {"dose": 1.0}})
    assert recipe_of(GenerateSettings(generator=look, imaging={"pixel_size": PIXEL_SIZE})).imaging.shape == (512, 512)


def test_the_same_set_comes_from_any_number_of_workers(tmp_path: Path, translated: DataSet, generator: Path) -> None:
    settings = TINY.changed(generator=str(generator), workers=2)
    events = list(write_generated_set(settings, tmp_path / "together.stemset"))
    assert any(isinstance(event, Log) and "2 worker processes" in event.message for event in events)
    assert_same(open_data_set(tmp_path / "together.stemset"), translated)


def test_the_same_set_comes_from_a_cluster_that_the_scheduler_names(
    tmp_path: Path, translated: DataSet, generator: Path
) -> None:
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=3, processes=False, dashboard_address="127.0.0.1:0") as cluster:
        settings = TINY.changed(generator=str(generator), scheduler=cluster.scheduler_address)
        events = list(write_generated_set(settings, tmp_path / "cluster.stemset"))
        assert isinstance(events[0], Started)
        assert events[0].device == cluster.scheduler_address
    assert_same(open_data_set(tmp_path / "cluster.stemset"), translated)


def test_a_set_goes_on_where_it_was_stopped(tmp_path: Path, translated: DataSet, generator: Path) -> None:
    settings = TINY.changed(generator=str(generator))
    path = tmp_path / "parts.stemset"
    first = list(write_generated_set(settings, path, should_stop=stop_after(2)))[-1]
    assert isinstance(first, Done)
    assert first.stopped
    assert first.result["images"] == 2
    before = (path / IMAGES / "0.0.0").stat().st_mtime_ns
    with pytest.raises(SettingsError, match="is there already; resume it"):
        list(write_generated_set(settings, path))
    # what a crash leaves: pixels without a row, and a row without pixels
    (path / IMAGES / "2.0.0").write_bytes(b"half")
    (path / IMAGES / "1.0.0").unlink()
    events = list(write_generated_set(settings, path, resume=True))
    assert events[0].resumed_at == 1
    assert (path / IMAGES / "0.0.0").stat().st_mtime_ns == before
    assert_same(open_data_set(path), translated)
    more = list(write_generated_set(settings.changed(number=5), path, resume=True))[-1]
    assert more.result["images"] == 5
    assert {name: data for name, data in content(open_data_set(path)).items() if name in content(translated)}
    np.testing.assert_array_equal(open_data_set(path).pixels(3), translated.pixels(3))


def test_a_set_without_images_blocks_no_other(tmp_path: Path) -> None:
    path = tmp_path / "set.stemset"
    list(write_generated_set(TINY, path, should_stop=lambda: True))
    assert len(open_data_set(path)) == 0
    done = list(write_generated_set(TINY.changed(number=1, seed=4, shape=(32, 32)), path))[-1]
    assert done.result["images"] == 1
    assert open_data_set(path).shape == (32, 32)


@pytest.mark.parametrize("resume", [False, True])
def test_a_set_that_another_program_is_making_is_left_alone(tmp_path: Path, resume: bool) -> None:
    path = tmp_path / "busy.stemset"
    first = write_generated_set(TINY, path)
    # it has begun, and no image is there yet
    next(first)
    with pytest.raises(FormatError, match=rf"Another program \(process {os.getpid()} on .*\) is making the set"):
        list(write_generated_set(TINY.changed(seed=9), path, resume=resume))
    done = list(first)[-1]
    assert isinstance(done, Done)
    assert done.result["images"] == 4
    list(write_generated_set(TINY, tmp_path / "alone.stemset"))
    assert_same(open_data_set(path), open_data_set(tmp_path / "alone.stemset"))
    assert not (path / LOCK).exists()
    with pytest.raises(SettingsError, match="resume it, or choose another name"):
        list(write_generated_set(TINY, path))


def test_a_set_whose_maker_was_killed_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "killed.stemset"
    list(write_generated_set(TINY, path, should_stop=stop_after(2)))
    lines = (
        "import sys, time; from pathlib import Path; from napari_stemlearn.datasets.one_writer import OneWriter; "
        "writer = OneWriter(Path(sys.argv[1])); print('begun', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", lines, str(path)], stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout is not None
        try:
            assert maker.stdout.readline() == "begun\n"
            with pytest.raises(FormatError, match=f"process {maker.pid} on"):
                list(write_generated_set(TINY, path, resume=True))
        finally:
            maker.kill()
    assert (path / LOCK).exists()
    done = list(write_generated_set(TINY, path, resume=True))[-1]
    assert isinstance(done, Done)
    assert done.result["images"] == 4


def test_a_set_is_not_gone_on_with_otherwise(tmp_path: Path, generator: Path) -> None:
    path = tmp_path / "set.stemset"
    settings = TINY.changed(number=1, generator=str(generator))
    list(write_generated_set(settings, path))
    with pytest.raises(SettingsError, match=r"other settings \('seed' differs\)"):
        list(write_generated_set(settings.changed(seed=4), path, resume=True))
    other = untrained_generator(tmp_path / "other", seed=1)
    with pytest.raises(SettingsError, match="another generator"):
        list(write_generated_set(settings.changed(generator=str(other)), path, resume=True))
    # the same generator somewhere else is the same
    same = untrained_generator(tmp_path / "same", seed=0)
    again = list(write_generated_set(settings.changed(generator=str(same), workers=3), path, resume=True))[-1]
    assert again.result["images"] == 1


def test_a_worker_that_dies_is_one_sentence_and_what_is_made_stays(tmp_path: Path) -> None:
    settings = TINY.changed(number=40, workers=1, shape=(256, 256))
    path = tmp_path / "set.stemset"
    # the virtual screen of other tests is a child as well
    others = set(psutil.Process().children(recursive=True))
    events = write_generated_set(settings, path)
    next(event for event in events if isinstance(event, Progress) and event.done)
    for child in set(psutil.Process().children(recursive=True)) - others:
        if "resource_tracker" not in " ".join(child.cmdline()):
            child.kill()
    with pytest.raises(JobError, match="A worker died while it made images of 256 by 256 pixels"):
        list(events)
    kept = open_data_set(path)
    assert 1 <= len(kept) < 40
    assert kept.indices() == list(range(len(kept)))
    assert np.isfinite(kept.pixels(len(kept) - 1)).all()


@pytest.mark.skipif(os.name != "posix", reason="needs SIGINT")
def test_workers_go_on_when_ctrl_c_reaches_them(tmp_path: Path) -> None:
    with interrupted_children() as reached:
        done = list(write_generated_set(TINY.changed(workers=1), tmp_path / "set.stemset"))[-1]
    assert reached
    assert isinstance(done, Done)
    assert done.result["images"] == 4


def test_what_cannot_be_made_is_refused_before_anything_is_written(tmp_path: Path, generator: Path) -> None:
    path = tmp_path / "sets" / "set.stemset"
    with pytest.raises(ModelError, match="no generator in"):
        list(write_generated_set(TINY.changed(generator=str(tmp_path / "nowhere")), path))
    (generator_without := tmp_path / "half").mkdir()
    (generator_without / "generator.json").write_bytes((generator / "generator.json").read_bytes())
    with pytest.raises(ModelError, match=r"has no generator\.safetensors"):
        list(write_generated_set(TINY.changed(generator=str(generator_without)), path))
    with pytest.raises(MicrographError, match="too small for the visible mark"):
        list(write_generated_set(TINY.changed(visible_mark=True, shape=(32, 32)), path))
    with pytest.raises(FormatError, match=r"nowhere\.cif"):
        list(write_generated_set(TINY.changed(structures=[{"crystals": "WSe2, nowhere.cif"}]), path))
    assert not path.parent.exists()
    with pytest.raises(FormatError, match=r"must end in \.stemset"):
        list(write_generated_set(TINY, tmp_path / "set"))
    for address in ("tcp://127.0.0.1:9", "nonsense"):
        with pytest.raises(JobError, match=f"no dask scheduler at {address}"):
            list(write_generated_set(TINY.changed(scheduler=address), path))
    assert not path.exists()
    for changes, words in (
        ({"shape": (8, 8)}, "16 to 16384 pixels"),
        ({"number": 0}, "number is 0; allowed: 1 to"),
        ({"structures": [{"weight": 0}]}, "weight above 0"),
    ):
        with pytest.raises(SettingsError, match=words):
            TINY.changed(**changes)


def test_a_shape_that_the_generator_cannot_take_is_one_sentence(tmp_path: Path) -> None:
    unet = untrained_generator(tmp_path / "unet", **UNET)
    settings = TINY.changed(generator=str(unet), number=1, shape=(20, 20))
    with pytest.raises(SettingsError, match="20 by 20 pixels are too small for the generator 'day_x'"):
        list(write_generated_set(settings, tmp_path / "set.stemset"))


def test_simulations_that_the_generator_does_not_know_are_warned_of(tmp_path: Path) -> None:
    narrow = untrained_generator(tmp_path / "narrow", brightest=5.0)
    events = list(write_generated_set(TINY.changed(generator=str(narrow), number=2), tmp_path / "set.stemset"))
    warnings = [event for event in events if isinstance(event, Log) and event.level == "warning"]
    assert len(warnings) == 1
    assert "outside the grey levels that the generator learnt from" in warnings[0].message


@pytest.mark.parametrize("workers", [0, 1])
def test_a_set_warns_once_of_what_the_model_does_not_hold_for(tmp_path: Path, workers: int) -> None:
    thick = TINY.changed(structures=[{"structure": {"crystal": "Au", "thickness": 200.0}}], number=3, workers=workers)
    events = list(write_generated_set(thick, tmp_path / "thick.stemset"))
    warnings = [event for event in events if isinstance(event, Log) and event.level == "warning"]
    assert len(warnings) == 1
    assert warnings[0].message.startswith("Image 0: The brightest pixel gets ")
    assert "make the specimen thinner" in warnings[0].message


def test_the_visible_mark_is_drawn(tmp_path: Path) -> None:
    settings = TINY.changed(number=1)
    list(write_generated_set(settings, tmp_path / "plain.stemset"))
    list(write_generated_set(settings.changed(visible_mark=True), tmp_path / "marked.stemset"))
    plain, marked = (open_data_set(tmp_path / f"{name}.stemset") for name in ("plain", "marked"))
    differ = plain.pixels(0) != marked.pixels(0)
    assert 0.02 < differ.mean() < 0.5
    assert marked.image(0).provenance["marks"]["visible_mark"] is True


def test_workers_are_started_for_sets_that_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_stemlearn.generation.workers.cores", lambda: 4)
    assert number_of_workers(-1, 10, (512, 512)) == 0
    assert number_of_workers(-1, 10_000, (512, 512)) == 4
    assert number_of_workers(-1, 100, (512, 512)) == 0
    assert number_of_workers(-1, 100, (512, 512), translated=True) == 4
    assert number_of_workers(0, 10_000, (512, 512)) == 0
    assert number_of_workers(8, 3, (512, 512)) == 3
    assert number_of_workers(-1, 10_000, (512, 512), gpu_memory=5.0) == 2
    assert number_of_workers(-1, 10_000, (512, 512), gpu_memory=0.5) == 1
    assert number_of_workers(-1, 10_000, (512, 512), gpu_memory=80.0) == 4
    monkeypatch.setattr("napari_stemlearn.generation.workers.cores", lambda: 1)
    assert number_of_workers(-1, 10_000, (512, 512)) == 0


def test_the_set_is_a_job(tmp_path: Path) -> None:
    run = jobs.run_inline("generate", TINY.changed(number=1, name="day: A"), runs_folder=tmp_path)
    assert run.state is RunState.DONE, run.failure
    assert run.result is not None
    path = Path(run.result["data_set"])
    assert path == run.result_folder / "day_ A.stemset"
    assert len(open_data_set(path)) == 1
    assert run.job.seed == 3


def test_nothing_beneath_the_visible_mark_is_labelled(tmp_path: Path) -> None:
    settings = TINY.changed(number=1, shape=(160, 160), **{"imaging.pixel_size": 0.2})
    list(write_generated_set(settings, tmp_path / "plain.stemset"))
    list(write_generated_set(settings.changed(visible_mark=True), tmp_path / "marked.stemset"))
    plain, marked = (open_data_set(tmp_path / f"{name}.stemset") for name in ("plain", "marked"))
    covered = plain.pixels(0) != marked.pixels(0)
    rows, columns = np.nonzero(covered)
    every, left = plain.sites(0), marked.sites(0)
    beneath = (every["y"] > rows.min() - 0.5) & (every["x"] < columns.max() + 0.5)
    assert 3 < beneath.sum() < len(every)
    pd.testing.assert_frame_equal(left, every[~beneath].reset_index(drop=True))
    assert (
        marked.table.totals()["column"]
        == every[~beneath & (every["kind"] == "column")]["class"].value_counts().to_dict()
    )
