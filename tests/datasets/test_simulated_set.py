"""Sets of simulated micrographs: files, truth, determinism, going on, refusals."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_stemlearn import jobs
from napari_stemlearn.datasets.settings import SimulateSettings
from napari_stemlearn.datasets.simulated import all_sites, simulate_one, write_data_set
from napari_stemlearn.errors import FormatError, SettingsError
from napari_stemlearn.events import Done, Log, Preview
from napari_stemlearn.formats import read_micrograph, read_sidecar, read_sites
from napari_stemlearn.imaging.settings import ImagingSettings
from napari_stemlearn.imaging.specimen_margin import needed_margin
from napari_stemlearn.jobs import RunState

SMALL = SimulateSettings(
    number=3,
    seed=5,
    device="cpu",
    structure={"crystal": "WSe2", "defects": [{"kind": "vacancy1", "probability": 0.2}]},
    imaging={"shape": (48, 40), "pixel_size": 0.25, "detector": {"bits": 16, "stretch": True}},
)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".tif"}


def test_images_lie_beside_their_truth(tmp_path: Path) -> None:
    events = list(write_data_set(SMALL, tmp_path / "set"))
    done = events[-1]
    assert isinstance(done, Done)
    assert done.result["images"] == 3
    micrograph = read_micrograph(tmp_path / "set" / "00001.tif")
    assert micrograph.shape == (48, 40)
    assert micrograph.data.dtype == np.uint16
    assert micrograph.pixel_size == pytest.approx(0.25)
    assert micrograph.provenance["synthetic"] is True
    sites = read_sites(tmp_path / "set" / "00001_sites.csv")
    assert set(sites["kind"]) == {"column", "defect"}
    assert set(sites["origin"]) == {"truth"}
    # the one or the other selenium of a column is missing, 1.67 angstrom from the tungsten
    heights = sites.loc[sites["kind"] == "defect", "z_angstrom"]
    assert set(heights.round(1)) <= {0.0, 3.3}
    assert sites.loc[sites["kind"] == "column", "z_angstrom"].isna().all()
    assert sites["y"].between(-0.5, 47.5).all()
    sidecar = read_sidecar(tmp_path / "set" / "00001_sites.csv")
    assert sidecar is not None
    assert sidecar.pixel_size_angstrom == pytest.approx(0.25)
    assert sidecar.image is not None
    assert sidecar.image.shape == (48, 40)
    # the brightest column stands where the table says: tungsten
    heavy = sites[(sites["class"] == "W") & sites["y"].between(2, 45) & sites["x"].between(2, 37)]
    image = micrograph.frame(0).astype(float)
    at_sites = image[heavy["y"].round().astype(int), heavy["x"].round().astype(int)]
    assert at_sites.mean() > image.mean() + image.std()
    table = pd.read_csv(tmp_path / "set" / "images.csv")
    assert list(table["image"]) == ["00000.tif", "00001.tif", "00002.tif"]
    assert table["n_vacancy1"].sum() == table["n_defects"].sum() > 0
    assert "structure.rotation" in table
    # what stretching chose, not the 1 and 0 of the settings
    assert table["detector.gain"].nunique() == 3
    assert table["detector.gain"][1] == pytest.approx(micrograph.provenance["drawn"]["detector"]["gain"])
    previews = [event for event in events if isinstance(event, Preview)]
    assert previews[0].array is not None
    assert previews[0].array.shape == (48, 40)


def test_a_set_warns_once_of_what_the_model_does_not_hold_for(tmp_path: Path) -> None:
    thick = SMALL.changed(structure={"crystal": "Au", "thickness": 200.0, "defects": []})
    logs = [event for event in write_data_set(thick, tmp_path / "set") if isinstance(event, Log)]
    assert [log.level for log in logs] == ["warning"]
    assert logs[0].message.startswith("Image 0: The brightest pixel gets ")
    assert read_micrograph(tmp_path / "set" / "00002.tif").provenance["notes"]
    assert not [event for event in write_data_set(SMALL, tmp_path / "thin") if isinstance(event, Log)]


def test_each_image_depends_on_seed_and_index_only(tmp_path: Path) -> None:
    list(write_data_set(SMALL, tmp_path / "a"))
    list(write_data_set(SMALL.changed(number=1), tmp_path / "b"))
    list(write_data_set(SMALL.changed(seed=6), tmp_path / "c"))
    a, b, c = (content(tmp_path / name) for name in "abc")
    assert b["00000.tif"] == a["00000.tif"]
    assert c["00000.tif"] != a["00000.tif"]
    assert a["00001.tif"] != a["00000.tif"]


def test_a_set_that_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    list(write_data_set(SMALL, tmp_path / "whole"))
    asked = iter([False, True])
    stopped = list(write_data_set(SMALL, tmp_path / "set", should_stop=lambda: next(asked)))[-1]
    assert isinstance(stopped, Done)
    assert stopped.stopped
    assert stopped.result["images"] == 1
    first = tmp_path / "set" / "00000.tif"
    before = first.stat().st_mtime_ns
    # what a crash leaves: half a row, and an image without a row
    with open(tmp_path / "set" / "images.jsonl", "a") as stream:
        stream.write('{"index": 1, "ima')
    (tmp_path / "set" / "00001.tif").write_bytes(b"half")
    done = list(write_data_set(SMALL, tmp_path / "set"))[-1]
    assert isinstance(done, Done)
    assert not done.stopped
    assert first.stat().st_mtime_ns == before
    assert content(tmp_path / "set") == content(tmp_path / "whole")
    assert (tmp_path / "set" / "images.csv").read_text() == (tmp_path / "whole" / "images.csv").read_text()
    more = list(write_data_set(SMALL.changed(number=4), tmp_path / "set"))[-1]
    assert isinstance(more, Done)
    assert more.result["images"] == 4


@pytest.mark.parametrize("seed", [5, 6])
def test_a_folder_that_another_program_writes_is_left_alone(tmp_path: Path, seed: int) -> None:
    folder = tmp_path / "set"
    first = write_data_set(SMALL, folder)
    # it has begun, and no image is there yet
    next(first)
    with pytest.raises(FormatError, match=r"Another program \(process \d+ on .*\) is making the set"):
        list(write_data_set(SMALL.changed(seed=seed), folder))
    list(first)
    assert len((folder / "images.jsonl").read_text(encoding="utf-8").splitlines()) == 3
    assert SimulateSettings.load(folder / "settings.yaml") == SMALL
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_another_set_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    # what a system hides in a folder is no other file
    (tmp_path / "set" / ".DS_Store").write_text("")
    list(write_data_set(SMALL.changed(number=1), tmp_path / "set"))
    with pytest.raises(SettingsError, match=r"other settings \('seed' differs\)"):
        list(write_data_set(SMALL.changed(seed=1), tmp_path / "set"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("")
    with pytest.raises(SettingsError, match="holds other files"):
        list(write_data_set(SMALL, tmp_path / "home"))
    assert os.listdir(tmp_path / "home") == ["thesis.tex"]


def test_a_table_that_cannot_be_written_whole_leaves_the_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "set"
    list(write_data_set(SMALL.changed(number=1), folder))
    before = {path.name for path in folder.iterdir()}
    table, index = (folder / "images.csv").read_text(), (folder / "images.jsonl").read_text()

    def full(_table: pd.DataFrame, path: Path, **_named: object) -> None:
        Path(path).write_text("index,ima")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr(pd.DataFrame, "to_csv", full)
        with pytest.raises(FormatError, match=r"cannot be written to .*: No space left on device"):
            list(write_data_set(SMALL.changed(number=1), folder))
    assert {path.name for path in folder.iterdir()} == before
    assert (folder / "images.csv").read_text() == table
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", lambda _descriptor: full(pd.DataFrame(), tmp_path / "other"))
        with pytest.raises(FormatError, match=r"cannot be written to .*: No space left on device"):
            list(write_data_set(SMALL.changed(number=1), folder))
    assert {path.name for path in folder.iterdir()} == before
    assert (folder / "images.jsonl").read_text() == index


def test_what_cannot_be_built_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"nowhere\.cif"):
        list(write_data_set(SMALL.changed(structure={"crystal": "nowhere.cif"}), tmp_path / "set"))
    assert not (tmp_path / "set").exists()


def test_a_set_without_images_blocks_no_other(tmp_path: Path) -> None:
    list(write_data_set(SMALL, tmp_path / "set", should_stop=lambda: True))
    assert not list((tmp_path / "set").glob("*.tif"))
    done = list(write_data_set(SMALL.changed(number=1, seed=SMALL.seed + 1), tmp_path / "set"))[-1]
    assert isinstance(done, Done)
    assert done.result["images"] == 1


def test_a_distorted_scan_stays_on_the_specimen() -> None:
    strong = {"shear": 0.2, "scale_y": 1.3, "drift_x": 20.0, "drift_y": -20.0, "wobble": 1.0}
    settings = SimulateSettings(
        structure={"crystal": "graphene", "defects": [], "rotation": 0.0, "displacement": 0.0},
        imaging=ImagingSettings(
            shape=(96, 96), pixel_size=0.4, scan=strong, detector={"counting_noise": False}, probe={"source_fwhm": 1.2}
        ),
        device="cpu",
    )
    assert needed_margin(settings.imaging) > 20
    labelled, _ = simulate_one(settings, 0)
    image = labelled.micrograph.frame(0)
    middle = image[32:64, 32:64].mean()
    for rim in (image[:10, :10], image[-10:, -10:], image[:10, -10:], image[-10:, :10]):
        assert rim.mean() == pytest.approx(middle, rel=0.25)


def test_without_defects_there_are_only_columns() -> None:
    labelled, _ = simulate_one(SMALL.changed(structure={"crystal": "graphene", "defects": []}), 0)
    assert set(all_sites(labelled)["kind"]) == {"column"}


def test_the_set_is_a_job(tmp_path: Path) -> None:
    run = jobs.run_inline("simulate", SMALL.changed(number=1), runs_folder=tmp_path)
    assert run.state is RunState.DONE, run.failure
    assert (run.result_folder / "00000.tif").exists()
    assert run.result is not None
    assert run.result["images"] == 1
    assert run.job.seed == 5
