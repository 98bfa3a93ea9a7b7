"""``stemlearn train``, ``runs`` and ``models``, with the real training shrunk by its settings."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from pathlib import Path

import pytest
import yaml

from napari_stemlearn import jobs
from napari_stemlearn.events import Metric
from napari_stemlearn.jobs import Run, RunState
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.models.store import CARD, WEIGHTS, load_model

TINY = ["--preset", "tiny", "--device", "cpu"]


def losses(run: Run) -> dict[int, float]:
    return {
        event.step: event.values["train_loss"]
        for event in run.events()[0]
        if isinstance(event, Metric) and "train_loss" in event.values
    }


def test_train_on_a_stored_set_then_list_show_and_delete(stemlearn, refused) -> None:  # type: ignore[no-untyped-def]
    stored = ["--set", "imaging.shape=[48, 48]", "--set", "structure.defects.0.probability=0.3"]
    assert stemlearn("simulate", "stored", "-n", 3, "--device", "cpu", *stored).exit_code == 0
    settings = Path("my.yaml")
    settings.write_text(
        "name: from_file\ndescription: A small one.\noptimisation:\n  steps: 3\n"
        "targets:\n  classes:\n    vacancy1: [vacancy1]\n    column: [all columns]\n"
        "data:\n  source: folder\n  folder: stored\n"
    )
    # what a system hides in a folder is no other file
    Path("models/small").mkdir(parents=True)
    Path("models/small/.DS_Store").write_text("")
    words = ["--settings", settings, "--set", "optimisation.steps=2", "--name", "small", "--out", "models/small"]
    result = stemlearn("train", *TINY, *words)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "models/small\n"
    assert "training on cpu" in result.stderr
    assert "train_loss" in result.stderr
    model = load_model("models/small", "cpu")
    assert model.card.name == "small"
    assert model.card.description == "A small one."
    assert model.card.settings["optimisation"]["steps"] == 2

    listed = stemlearn("models", "--folder", "models")
    assert "small" in listed.stdout
    assert "vacancy1, column" in listed.stdout
    cards = json.loads(stemlearn("models", "--folder", "models", "--json").stdout)
    mine = next(card for card in cards if card["name"] == "small")
    assert mine["pixel_size"] == 0.2
    shown = yaml.safe_load(stemlearn("models", "show", "small", "--folder", "models").stdout)
    assert shown["classes"] == ["vacancy1", "column"]
    assert json.loads(stemlearn("models", "show", "models/small", "--json").stdout)["name"] == "small"
    assert "There is no model 'large'" in refused("models", "show", "large")

    (run,) = jobs.list_runs("runs")
    assert run.state is RunState.DONE
    table = stemlearn("runs").stdout
    assert run.name in table
    assert "done" in table
    assert "2 of 2" in table
    (entry,) = json.loads(stemlearn("runs", "--json").stdout)
    assert entry["state"] == "done"
    record = yaml.safe_load(stemlearn("runs", "show", "last").stdout)
    assert record["settings"]["name"] == "small"
    assert record["result"]["model"] == str(run.result_folder)
    assert "torch" in record["versions"]
    assert "is not running: it is done" in refused("runs", "stop", run.name)
    assert "is not running: it is done" in refused("runs", "kill", run.name)
    assert "is done; there is nothing to resume" in refused("runs", "resume", run.name)
    assert "There is no run 'x' in runs; the newest there:" in refused("runs", "show", "x")
    assert "keeps its settings" in refused("train", "--resume", run.name, "--set", "seed=1")
    assert "holds other files than a model" in refused("train", *TINY, "--out", ".")
    assert "is a file" in refused("train", *TINY, "--out", settings)
    assert "There is no recipe 'soup'" in refused("train", "--recipe", "soup")
    assert "A recipe is complete" in refused("train", "--recipe", "soup", "--settings", settings)
    assert "There is no setting 'colour'" in refused("train", *TINY, "--set", "colour=red")
    assert len(jobs.list_runs("runs")) == 1
    assert stemlearn("runs", "delete", run.name).exit_code == 0
    assert not run.folder.exists()
    assert stemlearn("runs").stdout == ""


def test_a_run_is_found_by_the_name_that_it_was_given(stemlearn, refused) -> None:  # type: ignore[no-untyped-def]
    settings = SegmentationSettings.preset("tiny")
    labels = ("t1", "t2", "t2")
    runs = [jobs.create("train", settings, runs_folder="runs", label=label) for label in labels]
    (runs[2].folder / "job.yaml").write_text("kind: [torn")
    assert yaml.safe_load(stemlearn("runs", "show", "t1").stdout)["name"] == runs[0].name
    assert yaml.safe_load(stemlearn("runs", "show", "t2").stdout)["name"] == runs[1].name
    again = jobs.create("train", settings, runs_folder="runs", label="t1")
    sentence = refused("runs", "delete", "t1")
    assert sentence.startswith("2 runs in runs are called 't1'; give the name of one: ")
    assert all(run.name in sentence for run in (runs[0], again))
    assert stemlearn("runs", "delete", "t2").exit_code == 0
    assert [run.folder.exists() for run in runs] == [True, False, True]


@pytest.mark.parametrize("command", ["show", "follow", "stop", "kill", "resume", "delete"])
def test_the_folder_of_runs_is_named_before_or_after_what_to_do(stemlearn, refused, command: str) -> None:  # type: ignore[no-untyped-def]
    jobs.create("train", SegmentationSettings.preset("tiny"), runs_folder="mine", label="t1")
    assert "There is no run 'x' in mine" in refused("runs", command, "x", "--runs-folder", "mine")
    assert "There is no run 'x' in mine" in refused("runs", "--runs-folder", "mine", command, "x")
    Path("file").write_text("")
    assert refused("runs", command, "x", "--runs-folder", "file").startswith("file is a file; --runs-folder takes")
    assert stemlearn("runs", "show", "last", "--runs-folder", "mine").exit_code == 0


def test_a_failed_training_is_one_sentence_and_a_readable_run(stemlearn, refused) -> None:  # type: ignore[no-untyped-def]
    sentence = refused("train", *TINY, "--set", "optimisation.loss={cross_entropy: 1e39}", "--out", "model")
    assert "no longer a number" in sentence
    assert not Path("model").exists()
    (run,) = jobs.list_runs("runs")
    assert run.state is RunState.FAILED
    assert run.failure is not None
    assert run.failure.message == sentence
    shown = yaml.safe_load(stemlearn("runs", "show", "last").stdout)
    assert shown["what"] == sentence
    assert "Traceback" in shown["detail"]


NOT_BEGUN = {
    "empty folder": (["data={source: folder, folder: empty}"], "holds no images"),
    "no folder": (["data={source: folder, folder: gone}"], "gone, does not exist"),
    "bad query": (["data={source: folder, folder: set.stemset, where: colour is red}"], "colour"),
    "no such class": (["data={source: folder, folder: set.stemset}", "targets.classes={a: vacncy1}"], "no site of the"),
    "no generator": (["data.generator=gone"], "There is no generator in gone"),
    "no start": (["start_from=gone"], "There is no model 'gone'"),
    "another start": (["start_from=tmd-defects"], "both need the same classes"),
    "no device": (["device=cuda:9"], "cuda:9"),
    "no crystal": (["structures=[{crystals: gone.cif}]", "targets.classes={a: vacancy1}"], "gone.cif does not exist"),
    "large seed": (["seed=9223372036854775808"], "9223372036854775808 is too large for a seed"),
    "negative seed": (["seed=-1"], "seed is -1"),
}


@pytest.mark.parametrize("case", NOT_BEGUN)
def test_a_training_that_cannot_begin_leaves_no_run(case, stemlearn, refused) -> None:  # type: ignore[no-untyped-def]
    Path("empty").mkdir()
    if "set.stemset" in str(NOT_BEGUN[case]):
        assert stemlearn("generate", "--preset", "tiny", "--out", "set").exit_code == 0
    changes, said = NOT_BEGUN[case]
    assert said in refused("train", *TINY[:2], *(word for change in changes for word in ("--set", change)))
    assert not Path("runs").exists()


def test_out_takes_the_model_or_is_refused_before_the_training(stemlearn, refused) -> None:  # type: ignore[no-untyped-def]
    Path("file").write_text("")
    assert refused("train", *TINY, "--out", "file/models") == "Nothing can be written to file/models: file is a file."
    assert "give both, or neither" in refused("train", *TINY, "--overwrite")
    assert stemlearn("train", *TINY, "--out", "models/one").exit_code == 0
    weights = Path("models/one") / WEIGHTS
    before = weights.read_bytes()
    other = ["--set", "seed=1", "--out", "models/one"]
    assert "models/one holds a model already; choose another folder" in refused("train", *TINY, *other)
    assert weights.read_bytes() == before
    assert len(jobs.list_runs("runs")) == 1
    assert stemlearn("train", *TINY, *other, "--overwrite").exit_code == 0
    assert weights.read_bytes() != before


def test_a_model_that_cannot_be_copied_is_told_where_it_lies(refused, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    def full(_source: object, _target: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("shutil.copyfile", full)
    sentence = refused("train", *TINY, "--out", "models/one")
    (run,) = jobs.list_runs("runs")
    assert sentence == (
        f"The model cannot be copied to models/one: No space left on device; it lies in {run.result_folder}."
    )


def test_a_model_that_cannot_be_replaced_whole_stays(stemlearn, refused, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    assert stemlearn("train", *TINY, "--out", "models/one").exit_code == 0
    before = {path.name: path.read_bytes() for path in Path("models/one").iterdir()}
    copy = shutil.copyfile

    def full_at_the_card(source: Path, target: Path) -> None:
        if source.name == CARD:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        copy(source, target)

    monkeypatch.setattr("shutil.copyfile", full_at_the_card)
    sentence = refused("train", *TINY, "--set", "seed=1", "--out", "models/one", "--overwrite")
    assert "cannot be copied to models/one: No space left on device" in sentence
    assert {path.name: path.read_bytes() for path in Path("models/one").iterdir()} == before


@pytest.mark.skipif(os.name != "posix", reason="needs SIGINT")
def test_ctrl_c_saves_a_checkpoint_and_resume_goes_on_with_the_next_step(stemlearn, interrupt_when) -> None:  # type: ignore[no-untyped-def]
    steps = ["--set", "optimisation.steps=4000", "--set", "optimisation.report_every=1"]
    steps += ["--set", "validation.every=4000", "--set", "optimisation.schedule=constant"]
    interrupt_when(lambda: any(max(losses(run), default=0) >= 3 for run in jobs.list_runs("runs")))
    result = stemlearn("train", *TINY, *steps)
    assert result.exit_code == 130, result.stderr
    assert "Stopping at the next safe point" in result.stderr
    assert "go on with: stemlearn train --resume" in result.stderr
    (run,) = jobs.list_runs("runs")
    assert run.state is RunState.STOPPED
    last = max(losses(run))
    assert 3 <= last < 4000

    # in the background, watched from here until it has gone on
    resumed = stemlearn("train", "--resume", run.name, "--background")
    assert resumed.exit_code == 0, resumed.stderr
    assert resumed.stdout == f"{run.folder}\n"
    end = time.monotonic() + 120
    while max(losses(run)) < last + 2 and time.monotonic() < end:
        assert run.state.active, run.failure
        time.sleep(0.05)
    stopped = stemlearn("runs", "stop", "last")
    assert stopped.stdout == "stopping\n"
    followed = stemlearn("runs", "follow", "last")
    assert followed.exit_code == 0
    assert followed.stdout == "stopped\n"
    assert sorted(losses(run)) == list(range(1, max(losses(run)) + 1))
