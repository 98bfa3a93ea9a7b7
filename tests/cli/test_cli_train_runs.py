"""``stemlearn train``, ``runs`` and ``models``, with the real training shrunk by its settings."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
import yaml

from napari_stemlearn import jobs
from napari_stemlearn.events import Metric
from napari_stemlearn.jobs import Run, RunState
from napari_stemlearn.models.store import load_model

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


def test_a_failed_training_is_one_sentence_and_a_readable_run(stemlearn, refused) -> None:  # type: ignore[no-untyped-def]
    Path("empty").mkdir()
    words = ["--set", "data.source=folder", "--set", "data.folder=empty"]
    sentence = refused("train", *TINY, *words)
    assert "empty" in sentence
    (run,) = jobs.list_runs("runs")
    assert run.state is RunState.FAILED
    assert run.failure is not None
    assert run.failure.message == sentence
    shown = yaml.safe_load(stemlearn("runs", "show", "last").stdout)
    assert shown["what"] == sentence
    assert "Traceback" in shown["detail"]


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
