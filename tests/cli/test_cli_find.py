"""``stemlearn find``: from an image to a table that ``stemlearn score`` takes, and the search as a job."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from napari_stemlearn import jobs
from napari_stemlearn.errors import JobError, LabelsInTheWayError
from napari_stemlearn.events import Done, Progress
from napari_stemlearn.finding.settings import FindSettings
from napari_stemlearn.formats import read_micrograph, read_sidecar, read_sites, write_sites, write_tiff
from napari_stemlearn.formats.folders import micrograph_files
from napari_stemlearn.jobs import RunState
from napari_stemlearn.jobs.search import Request, search_files
from napari_stemlearn.jobs.search_outputs import SearchOutputs
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.models.card import ModelCard
from napari_stemlearn.models.store import save_model
from napari_stemlearn.sites import concat_sites, make_sites

PIXEL = 0.2


def lattice(shape: tuple[int, int], spacing: float = 12.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An image of bright round columns on a square lattice, and where they are."""
    y, x = (axis.ravel() for axis in np.mgrid[6 : shape[0] - 3 : spacing, 6.3 : shape[1] - 3 : spacing])
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    image = np.zeros(shape)
    for of_y, of_x in zip(y, x, strict=True):
        image += np.exp(-((rows - of_y) ** 2 + (columns - of_x) ** 2) / (2 * 2.5**2))
    return image.astype(np.float32) + np.random.default_rng(0).normal(0, 0.02, shape).astype(np.float32), y, x


@pytest.fixture
def images(tmp_path: Path) -> tuple[np.ndarray, np.ndarray]:
    """``one.tif``, ``two.tif`` and ``stack.tif`` with the same columns; gives where they are."""
    image, y, x = lattice((72, 60))
    write_tiff(tmp_path / "one.tif", Micrograph(image, PIXEL, "one"))
    write_tiff(tmp_path / "two.tif", Micrograph(image[:, ::-1].copy(), PIXEL, "two"))
    write_tiff(tmp_path / "stack.tif", Micrograph(np.stack([image, image[::-1]]), PIXEL, "stack"))
    return y, x


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A network with random weights: it finds nonsense, but it is a network."""
    import torch

    from napari_stemlearn.networks.residual_unet import ResidualUNet

    torch.manual_seed(0)
    network = ResidualUNet(1, 2, width=4, levels=2, stem=2)
    card = ModelCard(
        name="random", classes=("vacancy1", "antisite"), pixel_size=PIXEL, network=network.record(), thresholds={}
    )
    save_model(tmp_path / "models" / "random", network, card)
    return tmp_path / "models" / "random"


def test_models_of_a_further_folder(stemlearn, refused, images, model) -> None:  # type: ignore[no-untyped-def]
    result = stemlearn("find", "one.tif", "--model", "random", "--folder", model.parent, "--out", "sites.csv")
    assert result.exit_code == 0, result.stderr
    assert set(read_sidecar(Path("sites.csv")).classes) == {"vacancy1", "antisite"}
    sentence = refused("find", "one.tif", "--model", "other", "--folder", model.parent, "--out", "none.csv")
    assert sentence.startswith("There is no model 'other'")
    assert "random" in sentence


def test_find_then_score(stemlearn, images) -> None:  # type: ignore[no-untyped-def]
    y, x = images
    result = stemlearn("find", "one.tif", "--model", "log", "--out", "sites.csv")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "sites.csv\n"
    assert f"Found {len(y)} sites: {len(y)} column." in result.stderr
    assert "column radius was measured" in result.stderr
    sidecar = read_sidecar("sites.csv")
    assert sidecar is not None
    assert sidecar.pixel_size_angstrom == pytest.approx(PIXEL)
    assert sidecar.provenance["model"] == "log"
    pd.DataFrame({"y": y, "x": x, "class": "atom"}).to_csv("truth.csv", index=False)
    scored = stemlearn("score", "sites.csv", "truth.csv", "--map", "column=atom", "--border", 4, "--json")
    row = json.loads(scored.stdout)["classes"][-1]
    assert row["f1"] == 1.0
    assert row["rms_error_angstrom"] < 0.05


def test_without_out_the_table_goes_to_stdout(stemlearn, images) -> None:  # type: ignore[no-untyped-def]
    result = stemlearn("find", "one.tif", "--model", "log")
    table = pd.read_csv(io.StringIO(result.stdout))
    assert len(table) == len(images[0])
    assert list(table.columns[:8]) == ["frame", "y", "x", "y_angstrom", "x_angstrom", "class", "score", "origin"]
    assert not list(Path().glob("*.csv"))


def test_several_images_share_a_table_or_get_one_each(stemlearn, refused, images, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    n = len(images[0])
    result = stemlearn("find", "one.tif", "stack.tif", "two.tif", "--model", "log", "--out", "all.csv")
    assert result.exit_code == 0, result.stderr
    table = read_sites("all.csv")
    assert table["image"].value_counts().to_dict() == {"one.tif": n, "stack.tif": 2 * n, "two.tif": n}
    assert sorted(set(table["frame"])) == [0, 1, 2, 3]
    assert set(table.loc[table["frame"] == 2, "image_frame"]) == {1}
    assert set(table.loc[table["frame"] == 3, "image"]) == {"two.tif"}
    sidecar = read_sidecar("all.csv")
    assert sidecar is not None
    assert [entry["shape"] for entry in sidecar.provenance["images"]] == [[72, 60], [2, 72, 60], [72, 60]]
    # the tables know the size of the frames, so a border can be left out
    bordered = stemlearn("score", "all.csv", "all.csv", "--border", 8, "--json")
    assert json.loads(bordered.stdout)["classes"][-1]["f1"] == 1.0

    result = stemlearn("find", "one.tif", "stack.tif", "--model", "log", "--out", "tables")
    assert result.stdout.splitlines() == ["tables/one_sites.csv", "tables/stack_sites.csv"]
    assert len(read_sites("tables/stack_sites.csv")) == 2 * n
    image = read_micrograph("one.tif")
    write_tiff(tmp_path / "coarse.tif", Micrograph(image.data, 0.3, "coarse"))
    assert "which one table cannot hold; give a folder" in refused(
        "find", "one.tif", "coarse.tif", "--model", "log", "--out", "all.csv"
    )
    assert "one.tif is given twice" in refused("find", "one.tif", "one.tif", "--model", "log")
    (tmp_path / "other").mkdir()
    write_tiff(tmp_path / "other" / "one.tif", Micrograph(image.data, PIXEL, "one"))
    result = stemlearn("find", "one.tif", "other/one.tif", "--model", "log", "--out", "both.csv")
    assert set(read_sites("both.csv")["image"]) == {"one.tif", "other/one.tif"}


def test_a_network_with_maps_thresholds_and_settings(stemlearn, refused, images, model: Path) -> None:  # type: ignore[no-untyped-def]
    base = ["find", "one.tif", "--model", model, "--device", "cpu"]
    low = stemlearn(*base, "--threshold", 0.05, "--tta", "--maps", "--out", "sites.csv", "--pixel-size", 0.25)
    assert low.exit_code == 0, low.stderr
    assert "resampled from 0.25 to 0.2 angstrom per pixel" in low.stderr
    sidecar = read_sidecar("sites.csv")
    assert sidecar is not None
    assert sidecar.pixel_size_angstrom == pytest.approx(0.25)
    assert sidecar.classes == ["vacancy1", "antisite"]
    assert sidecar.provenance["settings"]["test_time_augmentation"] is True
    score_map = read_micrograph(
        "sites_map_vacancy1.tif" if Path("sites_map_vacancy1.tif").exists() else "one_map_vacancy1.tif"
    )
    assert score_map.pixel_size == pytest.approx(0.2)
    assert score_map.shape == (90, 75)
    assert 0 <= score_map.frame(0).min() <= score_map.frame(0).max() <= 1
    n_low = len(read_sites("sites.csv"))
    high = stemlearn(*base, "--threshold", 0.99, "--out", "high.csv")
    assert high.exit_code == 0
    assert len(read_sites("high.csv")) < n_low
    only = stemlearn(*base, "--set", "classes=[antisite]", "--threshold", 0.05, "--out", "only.csv")
    assert only.exit_code == 0, only.stderr
    assert set(read_sites("only.csv")["class"]) <= {"antisite"}
    assert "knows no class 'adatom'; it knows vacancy1, antisite" in refused(*base, "--set", "classes=[adatom]")
    assert "threshold is 2" in refused(*base, "--threshold", 2)
    assert "give --out with --maps" in refused(*base, "--maps")
    assert "There is no model 'nobody'" in refused("find", "one.tif", "--model", "nobody")
    assert "trained for 0.1 to 0.4 angstrom" in refused(*base, "--pixel-size", 10)
    assert not Path("refused.csv").exists()


def test_the_search_is_a_job(images, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    inputs = {"images": [str(tmp_path / "stack.tif")], "model": "log"}
    run = jobs.start("find", FindSettings(), runs_folder=tmp_path / "runs", inputs=inputs)
    assert run.wait(200) is RunState.DONE, run.failure
    assert run.result is not None
    assert run.result["classes"] == {"column": 2 * len(images[0])}
    assert len(read_sites(run.result_folder / "sites.csv")) == 2 * len(images[0])
    broken = jobs.run_inline("find", FindSettings(), runs_folder=tmp_path / "runs", inputs={"model": "log"})
    assert broken.failure is not None
    assert broken.failure.message.startswith("A search needs images and model as inputs")
    gone = {**inputs, "images": [str(tmp_path / "stack.tif"), "nowhere.tif"]}
    failed = jobs.run_inline("find", FindSettings(), runs_folder=tmp_path / "runs", inputs=gone)
    assert failed.failure is not None
    assert failed.failure.message == "The file nowhere.tif does not exist."
    with pytest.raises(JobError, match="takes FindSettings"):
        jobs.create("find", jobs.job_kind("simulate").settings_model()(), runs_folder=tmp_path / "runs")


def test_a_stopped_search_keeps_the_frames_that_are_done(images, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    done_frames = 0

    def second_frame() -> bool:
        return done_frames >= 1

    events = []
    request = Request(images=(str(tmp_path / "stack.tif"), str(tmp_path / "one.tif")), model="log")
    for event in search_files(FindSettings(), request, tmp_path / "out", should_stop=second_frame):
        events.append(event)
        if isinstance(event, Progress):
            assert event.stage == "tiles of stack.tif"
            done_frames += 1
    assert isinstance(events[-1], Done)
    assert events[-1].stopped
    assert (tmp_path / "out" / "stack_sites.csv").exists()
    assert not (tmp_path / "out" / "one_sites.csv").exists()


def test_leaving_a_search_ends_its_thread(images, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    import threading

    write_tiff(tmp_path / "long.tif", Micrograph(np.stack([read_micrograph("one.tif").data] * 200), PIXEL, "long"))
    request = Request(images=(str(tmp_path / "long.tif"),), model="log")
    events = search_files(FindSettings(), request, tmp_path / "out")
    while not isinstance(next(events), Progress):
        pass
    events.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "search"]
    assert not (tmp_path / "out" / "long_sites.csv").exists()


def test_a_truth_table_of_another_image_does_not_fit(stemlearn, images) -> None:  # type: ignore[no-untyped-def]
    stemlearn("find", "one.tif", "--model", "log", "--out", "sites.csv")
    make_sites([500.0], [500.0], "column", pixel_size=PIXEL).to_csv("far.csv", index=False)
    row = json.loads(stemlearn("score", "sites.csv", "far.csv", "--json").stdout)["classes"][-1]
    assert row["tp"] == 0
    assert row["recall"] == 0.0


@pytest.mark.usefixtures("images")
def test_a_folder_stands_for_its_images_and_other_tables_are_refused(stemlearn, refused, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "day").mkdir()
    for name in ("two.tif", "one.tif"):
        (tmp_path / name).rename(tmp_path / "day" / name)
    result = stemlearn("find", "day", "--model", "log", "--out", "tables")
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in (tmp_path / "tables").glob("*.csv")) == ["one_sites.csv", "two_sites.csv"]
    sentence = refused("find", "day", "--model", "log", "--out", "found.xlsx")
    assert sentence == "Sites are written as .csv, not as '.xlsx'; give a CSV file or a folder with --out."
    assert not (tmp_path / "found.xlsx").exists()
    assert refused("info", "day").startswith("day is a folder; name a file in it that ends in dm3")
    assert "it is no text" in refused("score", "day/one.tif", "day/two.tif")


def test_memory_of_the_gpu_that_runs_out_is_one_sentence(stemlearn, monkeypatch, tmp_path):
    write_tiff(tmp_path / "image.tif", Micrograph(np.random.default_rng(0).random((64, 64), dtype=np.float32), 0.2))

    def full(*_arguments, **_settings):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 EiB")

    monkeypatch.setattr("napari_stemlearn.finding.inference.NetworkMaps.window", full)
    result = stemlearn("find", tmp_path / "image.tif", "--model", "tmd-defects", "--out", tmp_path / "sites.csv")
    assert result.exit_code == 2
    assert result.stderr.strip().endswith(
        "The GPU ran out of memory; choose a smaller batch or crop, or another device."
    )
    assert not (tmp_path / "sites.csv").exists()


def bad_files(folder: Path) -> None:
    """``bad.tif`` and the stack ``late.tif``, whose last frame holds NaN."""
    image = read_micrograph(folder / "one.tif").data
    bad = image.copy()
    bad[3, 4] = np.nan
    write_tiff(folder / "bad.tif", Micrograph(bad, PIXEL, "bad"))
    write_tiff(folder / "late.tif", Micrograph(np.stack([image, image, bad]), PIXEL, "late"))


def test_what_was_found_before_a_fault_is_written_and_told(stemlearn, refused, images, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    n = len(images[0])
    bad_files(tmp_path)
    nan = "1 pixels that are NaN or infinite; mask or replace them first"
    told = refused("find", "one.tif", "bad.tif", "--model", "log", "--out", "one.csv")
    assert told == f"'bad' has {nan} (written: the sites of one.tif)."
    assert read_sites("one.csv")["image"].value_counts().to_dict() == {"one.tif": n}
    told = refused("find", "one.tif", "late.tif", "two.tif", "--model", "log", "--out", "two.csv")
    assert told == f"Frame 2 of 'late' has {nan} (written: the sites of one.tif and of 2 of 3 frames of late.tif)."
    assert read_sites("two.csv")["image"].value_counts().to_dict() == {"one.tif": n, "late.tif": 2 * n}
    sidecar = read_sidecar("two.csv")
    assert sidecar is not None
    assert [entry.get("frames") for entry in sidecar.provenance["images"]] == [None, [0, 1]]
    told = refused("find", "one.tif", "late.tif", "two.tif", "--model", "log", "--maps", "--out", "tables")
    assert told.endswith("(written: the sites of one.tif and of 2 of 3 frames of late.tif).")
    assert sorted(path.name for path in Path("tables").glob("*.csv")) == ["late_sites.csv", "one_sites.csv"]
    assert sorted(set(read_sites("tables/late_sites.csv")["frame"])) == [0, 1]
    assert read_micrograph("tables/late_map_column.tif").n_frames == 2
    # nothing was found before this one
    assert refused("find", "bad.tif", "one.tif", "--model", "log", "--out", "none.csv") == f"'bad' has {nan}."
    assert not Path("none.csv").exists()


def test_what_was_found_before_a_fault_goes_to_stdout(stemlearn, images, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    bad_files(tmp_path)
    result = stemlearn("find", "late.tif", "--model", "log")
    assert result.exit_code == 2
    assert result.stderr.strip().endswith("(written: the sites of 2 of 3 frames of late.tif).")
    assert "column radius was measured" in result.stderr
    assert len(pd.read_csv(io.StringIO(result.stdout))) == 2 * len(images[0])


def test_a_job_keeps_what_was_found_before_a_fault(images, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    bad_files(tmp_path)
    inputs = {"images": [str(tmp_path / "late.tif")], "model": "log"}
    run = jobs.run_inline("find", FindSettings(), runs_folder=tmp_path / "runs", inputs=inputs)
    assert run.failure is not None
    assert run.failure.message.endswith("(written: the sites of 2 of 3 frames of late.tif).")
    assert len(read_sites(run.result_folder / "sites.csv")) == 2 * len(images[0])


@pytest.mark.usefixtures("images")
def test_memory_that_runs_out_late_leaves_what_was_found(refused, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    from napari_stemlearn.finding import classical

    whole, asked = classical.classical_maps, []

    def full(*arguments):  # type: ignore[no-untyped-def]
        asked.append(1)
        if len(asked) > 1:
            raise MemoryError
        return whole(*arguments)

    monkeypatch.setattr(classical, "classical_maps", full)
    told = refused("find", "one.tif", "two.tif", "--model", "log", "--out", "all.csv")
    assert told.startswith("The computer ran out of memory")
    assert told.endswith("(written: the sites of one.tif).")
    assert set(read_sites("all.csv")["image"]) == {"one.tif"}


@pytest.mark.usefixtures("images")
def test_a_fault_in_the_code_is_no_sentence_but_leaves_what_was_found(monkeypatch, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from napari_stemlearn.finding import classical

    whole, asked = classical.classical_maps, []

    def wrong(*arguments):  # type: ignore[no-untyped-def]
        asked.append(1)
        return whole(*arguments) if len(asked) == 1 else [][0]

    monkeypatch.setattr(classical, "classical_maps", wrong)
    request = Request(images=(str(tmp_path / "one.tif"), str(tmp_path / "two.tif")), model="log")
    events = []
    with pytest.raises(IndexError):
        events.extend(search_files(FindSettings(), request, tmp_path / "all.csv"))
    assert set(read_sites("all.csv")["image"]) == {"one.tif"}


@pytest.mark.usefixtures("images")
def test_places_that_cannot_be_written_are_refused_before_the_search(refused, monkeypatch, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    def searched(*_arguments, **_settings):  # type: ignore[no-untyped-def]
        raise AssertionError("the search began")

    monkeypatch.setattr("napari_stemlearn.jobs.search._search", searched)
    (tmp_path / "dir.csv").mkdir()
    told = refused("find", "one.tif", "--model", "log", "--out", "dir.csv")
    assert told == "dir.csv cannot be written: it is a folder."
    (tmp_path / "out.sites.json").mkdir()
    told = refused("find", "one.tif", "--model", "log", "--out", "out.csv")
    assert told == "out.csv cannot be written: out.sites.json beside it is a folder."
    (tmp_path / "tables" / "two_sites.csv").mkdir(parents=True)
    told = refused("find", "one.tif", "two.tif", "--model", "log", "--out", "tables")
    assert told == "tables/two_sites.csv cannot be written: it is a folder."
    (tmp_path / "maps" / "one_map_column.tif").mkdir(parents=True)
    told = refused("find", "one.tif", "--model", "log", "--maps", "--out", "maps")
    assert told == "maps/one_map_column.tif cannot be written: it is a folder."
    (tmp_path / "file").write_text("")
    sentence = "The folder {} cannot be made: file is a file."
    assert refused("find", "one.tif", "--model", "log", "--out", "file") == sentence.format("file")
    assert refused("find", "one.tif", "--model", "log", "--out", "file/a/x.csv") == sentence.format("file/a")
    long = "x" * 300 + ".csv"
    assert refused("find", "one.tif", "--model", "log", "--out", long) == (
        f"{long} cannot be used: File name too long."
    )

    def read_only(*_arguments, **_settings):  # type: ignore[no-untyped-def]
        raise PermissionError(13, "Permission denied", "some/name")

    monkeypatch.setattr("napari_stemlearn.jobs.search_outputs.tempfile.TemporaryFile", read_only)
    told = refused("find", "one.tif", "--model", "log", "--out", "fine.csv")
    assert told == "fine.csv cannot be written: Permission denied."


@pytest.mark.usefixtures("images")
def test_a_folder_is_searched_the_same_way_twice(stemlearn, refused, monkeypatch, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "day").mkdir()
    (tmp_path / "one.tif").rename(tmp_path / "day" / "one.tif")
    # a micrograph that only has such a name, and what other systems leave in folders
    (tmp_path / "two.tif").rename(tmp_path / "day" / "a_map_of_it.tif")
    for name in ("._one.tif", ".DS_Store"):
        (tmp_path / "day" / name).write_bytes(b"\x00\x05\x16\x07")
    for _ in range(2):
        result = stemlearn("find", "day", "--model", "log", "--maps", "--out", "day")
        assert result.exit_code == 0, result.stderr
        assert result.stdout.splitlines() == ["day/a_map_of_it_sites.csv", "day/one_sites.csv"]
        assert (tmp_path / "day" / "one_map_column.tif").exists()
    # named by itself it is searched
    assert micrograph_files(["day/one_map_column.tif"]) == [Path("day/one_map_column.tif")]

    def closed(path: Path):  # type: ignore[no-untyped-def]
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", closed)
    assert refused("find", "day", "--model", "log") == "day cannot be read: Permission denied."


def test_series_that_come_with_their_emi_file_are_not_read_twice(tmp_path: Path) -> None:
    for name in ("scan.emi", "scan_1.ser", "scan_2.ser", "scan_1_1.ser", "alone_1.ser", "scan.ser"):
        (tmp_path / name).write_bytes(b"")
    kept = ["alone_1.ser", "scan.emi", "scan.ser", "scan_1_1.ser"]
    assert [path.name for path in micrograph_files([tmp_path])] == kept
    assert micrograph_files([tmp_path / "scan_1.ser"]) == [tmp_path / "scan_1.ser"]


def test_labels_are_replaced_only_when_asked(stemlearn, refused, images, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    labels = make_sites(*images, "vacancy1", pixel_size=PIXEL, origin="hand")
    table = tmp_path / "one_sites.csv"
    write_sites(table, labels, pixel_size=PIXEL)
    before = table.read_bytes()
    error = refused("find", "one.tif", "--model", "log", "--out", ".")
    assert "one_sites.csv is there already and is not as a search wrote it" in error
    assert error.endswith("write elsewhere, or overwrite it with --overwrite.")
    with pytest.raises(LabelsInTheWayError, match=r"write elsewhere, or overwrite it\.$"):
        SearchOutputs(tmp_path, ["one.tif"]).prepare()
    assert table.read_bytes() == before
    asked = ("find", "one.tif", "--model", "log", "--out", ".")
    assert stemlearn(*asked, "--overwrite").exit_code == 0
    assert set(read_sites(table)["origin"]) == {"predicted"}
    # its own tables a search replaces as it likes
    assert stemlearn(*asked).exit_code == 0


@pytest.mark.parametrize("changed_in", ["a spreadsheet", "Python"])
def test_corrected_tables_are_replaced_only_when_asked(stemlearn, refused, images, changed_in, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    asked = ("find", "one.tif", "--model", "log", "--out", "sites.csv")
    assert stemlearn(*asked).exit_code == 0
    table = tmp_path / "sites.csv"
    if changed_in == "Python":
        sidecar = read_sidecar(table)
        assert sidecar is not None
        write_sites(table, read_sites(table).iloc[1:], provenance=sidecar.provenance, classes=sidecar.classes)
    else:
        lines = table.read_text().splitlines(keepends=True)
        table.write_text("".join(lines[:-1]))
    before = table.read_bytes()
    assert "it may hold labels or corrections" in refused(*asked)
    assert table.read_bytes() == before
    assert stemlearn(*asked, "--overwrite").exit_code == 0


def test_images_named_like_maps_are_replaced_only_when_asked(stemlearn, refused, images, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    asked = ("find", "one.tif", "--model", "log", "--out", "sites.csv", "--maps")
    assert stemlearn(*asked).exit_code == 0
    (score_map,) = tmp_path.glob("*_map_*.tif")
    # its own maps a search replaces as it likes
    assert stemlearn(*asked).exit_code == 0
    write_tiff(score_map, Micrograph(np.eye(20, dtype=np.float32), PIXEL, "measured"))
    before = score_map.read_bytes()
    error = refused(*asked)
    assert f"{score_map.name} is there already and is no score map" in error
    assert error.endswith("write elsewhere, or overwrite it with --overwrite.")
    assert score_map.read_bytes() == before
    assert stemlearn(*asked, "--overwrite").exit_code == 0


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know no such names")
def test_names_that_are_no_text_are_searched_and_shown(stemlearn, images, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for name in (b"L\xf6cher.tif", b"L\xe4cher.tif", b"\xe4tz.tif"):
        (tmp_path / os.fsdecode(name)).write_bytes((tmp_path / "one.tif").read_bytes())
    names = ["one.tif", "two.tif", *map(os.fsdecode, (b"L\xf6cher.tif", b"L\xe4cher.tif", b"\xe4tz.tif"))]
    result = stemlearn("find", *names, "--model", "log", "--maps", "--out", "tables")
    assert result.exit_code == 0, result.stderr
    tables = {path.name for path in (tmp_path / "tables").glob("*.csv")}
    shown = ["one", "two", "L\\udcf6cher", "L\\udce4cher", "\ufffdtz"]
    assert tables == {f"{name}_sites.csv" for name in shown}
    assert len(list((tmp_path / "tables").glob("*_map_*.tif"))) == 5
    sidecar = read_sidecar(tmp_path / "tables" / "\ufffdtz_sites.csv")
    assert sidecar is not None
    assert sidecar.image is not None
    assert sidecar.image.name == "\ufffdtz"
    assert stemlearn("find", *names, "--model", "log", "--out", "all.csv").exit_code == 0
    assert set(read_sites("all.csv")["image"]) == {f"{name}.tif" for name in shown}
    assert stemlearn("find", names[-1], "--model", "log").exit_code == 0


def test_a_search_stopped_in_its_first_frame_writes_nothing(images, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "out.csv"
    asked = iter([False, False])
    request = Request(images=(str(tmp_path / "stack.tif"),), model="log")
    *_, done = search_files(FindSettings(), request, out, should_stop=lambda: next(asked, True))
    assert isinstance(done, Done)
    assert done.stopped
    assert done.result["tables"] == []
    assert not out.exists()


def test_frames_that_were_not_searched_do_not_count(stemlearn, images, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    y, x = images
    truth = [make_sites(y, x, "column", pixel_size=PIXEL, frame=frame, origin="truth") for frame in (0, 1)]
    write_sites(tmp_path / "truth.csv", concat_sites(truth), pixel_size=PIXEL)
    seen: list[bool] = []
    request = Request(images=(str(tmp_path / "stack.tif"),), model="log")
    events = search_files(FindSettings(), request, tmp_path / "out.csv", should_stop=lambda: bool(seen))
    seen.extend(True for event in events if isinstance(event, Progress))
    result = stemlearn("score", "out.csv", "truth.csv", "--tolerance", 0.6, "--json")
    assert json.loads(result.stdout)["classes"][-1]["n_truth"] == len(y)
    assert "Frame 1 was not searched, so not counted." in result.stderr


def test_a_search_stopped_at_once_says_that_nothing_was_written(stemlearn, images, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    @contextlib.contextmanager
    def pressed(ask_to_stop: Callable[[], object]) -> Iterator[None]:
        ask_to_stop()
        yield

    monkeypatch.setattr("napari_stemlearn.cli.watching.stop_on_interrupt", pressed)
    result = stemlearn("find", "stack.tif", "--model", "log", "--out", "out.csv")
    assert result.exit_code == 130
    assert "Stopped before the first frame was searched; nothing was written." in result.stderr
    assert "Found" not in result.stderr
    assert not Path("out.csv").exists()


def write_pair(path: Path, image: np.ndarray) -> None:
    """An emd file (Berkeley) that holds two images, HAADF and BF."""
    with h5py.File(path, "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
        for name, values in {"HAADF": image, "BF": 1 - image}.items():
            group = file.create_group(f"data/{name}")
            group.attrs["emd_group_type"] = 1
            group["data"] = values
            for number, (axis, length) in enumerate(zip("yx", values.shape, strict=True), 1):
                dimension = group.create_dataset(f"dim{number}", data=np.arange(length) * PIXEL / 10)
                dimension.attrs["name"], dimension.attrs["units"] = axis, "[n_m]"


def test_a_title_is_for_files_that_hold_several_images(stemlearn, refused, images, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    write_pair(tmp_path / "pair.emd", np.asarray(read_micrograph("one.tif").data))
    base = ["find", "one.tif", "pair.emd", "--model", "log", "--out", "tables"]
    sentence = refused(*base)
    assert sentence.startswith("pair.emd holds 2 images (")
    assert sentence.endswith("; say which one with --title.")
    result = stemlearn(*base, "--title", "HAADF")
    assert result.exit_code == 0, result.stderr
    assert len(read_sites("tables/one_sites.csv")) == len(read_sites("tables/pair_sites.csv")) == len(images[0])
    assert "has no image 'ADF'" in refused(*base, "--title", "ADF")
    # nothing else that it could be meant for
    assert "has no image 'HAADF'" in refused("find", "one.tif", "--model", "log", "--title", "HAADF")


def test_all_files_that_cannot_be_read_are_named(refused, images, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "broken.tif").write_bytes(b"no image")
    one = refused("find", tmp_path, "--model", "log", "--out", "tables")
    assert "broken.tif" in one
    assert one.endswith("; move it away, or name the files to be searched.")
    (tmp_path / "broken2.dm4").write_bytes(b"neither")
    both = refused("find", tmp_path, "--model", "log", "--out", "tables")
    assert "2 of 5 images cannot be read: broken.tif, broken2.dm4; move them away, or name the files" in both
    assert "move" not in refused("find", "broken.tif", "--model", "log")
    assert not Path("tables").exists()
