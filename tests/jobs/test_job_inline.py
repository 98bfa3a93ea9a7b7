"""Jobs that run in this process: files, events, states, stop, resume, refusals."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from counting import KIND, CountingSettings

from napari_stemlearn import jobs
from napari_stemlearn.errors import JobError, StemlearnError
from napari_stemlearn.events import Checkpoint, Done, Failed, Log, Metric, Preview, Progress, Started
from napari_stemlearn.jobs import Run, RunState
from napari_stemlearn.jobs.event_log import append_event
from napari_stemlearn.jobs.execute import PREVIEWS_KEPT
from napari_stemlearn.jobs.failures import explain_failure
from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.settings import Settings


@pytest.mark.parametrize("begin", [jobs.start, jobs.run_inline])
@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        ("train", SegmentationSettings.preset("tiny", start_from="gone"), "There is no model 'gone'"),
        ("cyclegan", CycleGANSettings.preset("tiny"), "There is no experimental image to learn from"),
        ("cyclegan", CycleGANSettings.preset("tiny", experiment=["gone.tif"]), r"gone\.tif does not exist"),
    ],
)
def test_a_training_that_cannot_begin_makes_no_run(
    tmp_path: Path, begin: Any, kind: str, settings: Any, words: str
) -> None:
    with pytest.raises(StemlearnError, match=words):
        begin(kind, settings, runs_folder=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_run_folder_holds_everything(tmp_path: Path) -> None:
    run = jobs.run_inline(KIND, CountingSettings(total=3), runs_folder=tmp_path / "runs", label="day a/1")
    assert run.state is RunState.DONE
    assert run.result == {"number": 3}
    assert run.name.endswith("-counting-day_a_1")
    record = yaml.safe_load((run.folder / "job.yaml").read_text())
    assert record["settings"]["total"] == 3
    assert record["seed"] == 7
    assert {"python", "numpy", "torch"} <= set(record["versions"])
    assert (run.folder / "result" / "count.txt").read_text() == "3"
    assert run.settings == CountingSettings(total=3)
    kinds = [type(event) for event in run.events()[0]]
    assert kinds[0] is Started
    assert kinds[-1] is Done
    assert {Metric, Preview, Checkpoint, Log, Progress} <= set(kinds)
    leftovers = [path.name for path in run.folder.rglob(".*")]
    assert leftovers == []


def test_previews_are_files_and_events_carry_no_array(tmp_path: Path) -> None:
    run = jobs.run_inline(KIND, CountingSettings(total=PREVIEWS_KEPT + 5), runs_folder=tmp_path)
    previews = [event for event in run.events()[0] if isinstance(event, Preview)]
    assert len(previews) == PREVIEWS_KEPT + 5
    assert previews[-1].array is None
    assert previews[-1].pixel_size == 0.2
    np.testing.assert_array_equal(run.load_preview(previews[-1]), np.full((4, 4), PREVIEWS_KEPT + 5))
    assert run.load_preview(previews[0]) is None
    assert len(list((run.folder / "previews").iterdir())) == PREVIEWS_KEPT


def test_a_test_iterates_the_generator(tmp_path: Path) -> None:
    run = jobs.create(KIND, CountingSettings(total=2), runs_folder=tmp_path)
    assert run.state is RunState.WAITING
    states = [run.state for _ in run.execute()]
    assert states[:-1] == [RunState.RUNNING] * (len(states) - 1)
    assert states[-1] is RunState.DONE


def test_stop_and_resume_give_the_same_numbers(tmp_path: Path) -> None:
    whole = jobs.run_inline(KIND, CountingSettings(total=6), runs_folder=tmp_path)
    run = jobs.create(KIND, CountingSettings(total=6), runs_folder=tmp_path)
    for event in run.execute():
        if isinstance(event, Metric) and event.step == 3:
            run.stop()
            assert run.state is RunState.STOPPING
    assert run.state is RunState.STOPPED
    assert run.result == {"number": 3}
    resumed = list(run.execute(resume=True))
    assert isinstance(resumed[0], Started)
    assert resumed[0].resumed_at == 3
    assert run.state is RunState.DONE
    assert run.attempt == 2

    def metrics(one: Run) -> list[tuple[int, float]]:
        return [(event.step, event.values["square"]) for event in one.events()[0] if isinstance(event, Metric)]

    assert metrics(run) == metrics(whole)


def test_events_are_read_piece_by_piece_and_half_lines_wait(tmp_path: Path) -> None:
    run = jobs.run_inline(KIND, CountingSettings(total=2), runs_folder=tmp_path)
    everything, end = run.events()
    assert run.events(end) == ([], end)
    path = run.folder / "events.jsonl"
    line = json.dumps(Log(message="späte Zeile").record()).encode() + b"\n"
    with open(path, "ab") as stream:
        stream.write(line[:20])
    assert run.events(end) == ([], end)
    with open(path, "ab") as stream:
        stream.write(line[20:])
    new, after = run.events(end)
    assert [event.message for event in new] == ["späte Zeile"]
    assert after == end + len(line)
    assert len(run.events()[0]) == len(everything) + 1


def test_a_damaged_line_is_said_and_the_next_one_is_whole(tmp_path: Path) -> None:
    run = jobs.run_inline(KIND, CountingSettings(total=1), runs_folder=tmp_path)
    _, end = run.events()
    with open(run.folder / "events.jsonl", "ab") as stream:
        stream.write(b'{"kind": "metr')
    append_event(run.folder / "events.jsonl", Done(stopped=True))
    events, _ = run.events(end)
    assert isinstance(events[0], Log)
    assert events[0].level == "warning"
    assert events[1] == Done(stopped=True, time=events[1].time)
    assert run.state is RunState.STOPPED


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("error", "The job broke with ZeroDivisionError: division by zero."),
        ("sentence", "The micrograph is made of cheese."),
        ("memory", "The computer ran out of memory; choose a smaller batch, crop or field of view."),
        ("torch", "The GPU ran out of memory; choose a smaller batch or crop, or another device."),
        ("disk", "The disk that holds {folder} is full; free some space, then resume."),
    ],
)
def test_failures_are_one_sentence_with_detail(tmp_path: Path, how: str, sentence: str) -> None:
    events: list[object] = []
    settings = CountingSettings(total=3, breaks_at=2, breaks_with=how)
    run = jobs.run_inline(KIND, settings, runs_folder=tmp_path, on_event=events.append)
    assert run.state is RunState.FAILED
    assert run.failure is not None
    assert run.failure.message == sentence.format(folder=run.folder)
    assert "Traceback" in run.failure.detail
    assert isinstance(events[-1], Failed)
    assert run.result is None
    assert not (run.folder / ".spare").exists()


def test_an_interruption_promises_no_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    run = jobs.create(KIND, CountingSettings(), runs_folder=tmp_path)
    words = "The job was interrupted from the keyboard before it could save; "
    assert explain_failure(KeyboardInterrupt(), run.folder) == f"{words}there is no checkpoint yet."
    (run.folder / "checkpoints" / "last.json").write_text("{}")
    assert explain_failure(KeyboardInterrupt(), run.folder) == f"{words}the last checkpoint is kept."


@pytest.mark.parametrize("left", [("job.yaml",), ()])
def test_nothing_is_written_into_a_folder_that_is_just_being_deleted(tmp_path: Path, left: tuple[str, ...]) -> None:
    run = jobs.create(KIND, CountingSettings(total=50), runs_folder=tmp_path)
    last = None
    for event in run.execute():
        last = event
        if isinstance(event, Metric) and event.step == 2:
            # as far as a deletion has come at that moment
            for name in {"job.yaml", "events.jsonl"} - set(left):
                (run.folder / name).unlink()
    assert isinstance(last, Failed)
    assert "was deleted while the job was running" in last.message
    assert not (run.folder / "events.jsonl").exists()


def test_a_folder_deleted_under_the_job_ends_it_and_stays_deleted(tmp_path: Path) -> None:
    run = jobs.create(KIND, CountingSettings(total=50), runs_folder=tmp_path)
    import shutil

    seen = 0
    last = None
    for event in run.execute():
        last = event
        seen += 1
        if isinstance(event, Metric) and event.step == 2:
            shutil.rmtree(run.folder)
    assert isinstance(last, Failed)
    assert last.message == f"The run folder {run.folder} was deleted while the job was running, so the job ended."
    assert seen < 20
    assert not run.folder.exists()
    assert run.state is RunState.FAILED


def test_leaving_the_generator_is_recorded(tmp_path: Path) -> None:
    run = jobs.create(KIND, CountingSettings(total=5), runs_folder=tmp_path)
    events = run.execute()
    next(events)
    events.close()
    assert run.state is RunState.FAILED
    assert run.failure is not None
    assert run.failure.message == "The program that watched the job left it before the end."


def test_list_and_delete(tmp_path: Path) -> None:
    assert jobs.list_runs(tmp_path / "nowhere") == []
    runs = [jobs.run_inline(KIND, CountingSettings(total=1), runs_folder=tmp_path) for _ in range(3)]
    (tmp_path / "not-a-run").mkdir()
    assert len({run.name for run in runs}) == 3
    assert set(jobs.list_runs(tmp_path)) == set(runs)
    runs[0].delete()
    assert set(jobs.list_runs(tmp_path)) == set(runs[1:])
    with pytest.raises(JobError, match="is no run folder"):
        Run(tmp_path / "not-a-run").delete()
    assert (tmp_path / "not-a-run").exists()


def test_a_run_that_cannot_be_deleted_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = jobs.run_inline(KIND, CountingSettings(total=1), runs_folder=tmp_path)
    locked = run.folder / "previews"
    (locked / "target.npy").write_bytes(b"")
    before = sorted(run.folder.rglob("*"))
    # the administrator, as whom tests may run, is refused nothing
    monkeypatch.setattr(os, "access", lambda place, _mode: Path(place) != locked)
    with pytest.raises(JobError) as refused:
        run.delete()
    assert str(refused.value) == f"The run {run.name} cannot be deleted: nothing can be removed from {locked}."
    assert sorted(run.folder.rglob("*")) == before

    def held(_folder: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "target.npy")

    monkeypatch.setattr(os, "access", lambda _place, _mode: True)
    monkeypatch.setattr("shutil.rmtree", held)
    with pytest.raises(JobError) as refused:
        run.delete()
    words = f"The run {run.name} cannot be deleted whole: target.npy stays in {run.folder} (Permission denied)."
    assert str(refused.value) == words


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="There is no job kind 'bake'; choose one of train, simulate, find"):
        jobs.create("bake", CountingSettings(), runs_folder=tmp_path)
    with pytest.raises(JobError, match="cannot be imported"):
        jobs.create("no_such_module:KIND", CountingSettings(), runs_folder=tmp_path)
    with pytest.raises(JobError, match="A 'counting' job takes CountingSettings, not Settings"):
        jobs.create(KIND, Settings(), runs_folder=tmp_path)
    blocker = tmp_path / "file"
    blocker.write_text("")
    for place in (blocker, blocker / "runs"):
        with pytest.raises(JobError, match=re.escape(f"No run folder can be made in {place}: {blocker} is a file.")):
            jobs.create(KIND, CountingSettings(), runs_folder=place)
    run = jobs.run_inline(KIND, CountingSettings(total=1), runs_folder=tmp_path)
    for refused, words in [
        (run.stop, "is not running: it is done"),
        (run.kill, "is not running: it is done"),
        (run.resume, "is done; there is nothing to resume"),
        (run.start, "was started before and is done"),
    ]:
        with pytest.raises(JobError, match=words):
            refused()
    (run.folder / "job.yaml").write_text("kind: [unclosed")
    with pytest.raises(JobError, match=r"job\.yaml is damaged"):
        _ = run.job
    assert jobs.list_runs(tmp_path) == [run]


def test_an_inline_run_is_not_killed_or_deleted_while_it_works(tmp_path: Path) -> None:
    run = jobs.create(KIND, CountingSettings(total=5), runs_folder=tmp_path)
    events = run.execute()
    next(events)
    with pytest.raises(JobError, match="runs inside another program"):
        run.kill()
    with pytest.raises(JobError, match="stop it before deleting it"):
        run.delete()
    with pytest.raises(JobError, match="cannot be resumed now"):
        run.resume()
    events.close()


def test_importing_jobs_loads_nothing_heavy() -> None:
    code = (
        "import sys, napari_stemlearn.jobs, napari_stemlearn.jobs.devices;"
        "print([name for name in ('torch', 'abtem', 'hyperspy', 'matplotlib', 'napari', 'qtpy', 'pandas')"
        " if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def _stopped_run_made_in(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> jobs.Run:
    monkeypatch.chdir(folder)
    run = jobs.create(KIND, CountingSettings(total=3), runs_folder=tmp_path / "runs")
    for event in run.execute():
        if isinstance(event, Metric):
            run.stop()
    return run


def test_a_run_goes_on_in_the_folder_in_which_it_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, here = tmp_path / "made", tmp_path / "here"
    made.mkdir()
    here.mkdir()
    run = _stopped_run_made_in(made, tmp_path, monkeypatch)
    monkeypatch.chdir(here)
    folders = {Path.cwd() for _ in run.execute(resume=True)}
    assert run.state is RunState.DONE
    assert folders == {made}
    assert Path.cwd() == here


def test_a_run_whose_folder_of_relative_paths_is_gone_is_not_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "made"
    made.mkdir()
    run = _stopped_run_made_in(made, tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    made.rmdir()
    for resume in (run.resume, lambda: list(run.execute(resume=True))):
        with pytest.raises(JobError, match=f"was made in {made}, from where its paths hold; that folder is gone"):
            resume()
    assert run.state is RunState.STOPPED


def test_runs_are_listed_by_the_time_at_which_they_were_made(tmp_path: Path) -> None:
    names = ["x-2", "x-10", "x-1", "x"]
    for created, name in enumerate(names):
        run = jobs.create(KIND, CountingSettings(), runs_folder=tmp_path)
        job = run.job.model_copy(update={"created": 1.7e9 + created})
        job.save(run.folder / "job.yaml")
        run.folder.rename(tmp_path / name)
    assert [run.name for run in jobs.list_runs(tmp_path)] == names[::-1]
    (tmp_path / "x" / "job.yaml").write_text("cheese")
    assert jobs.list_runs(tmp_path)[0].name == "x"


def test_a_long_label_is_shortened_in_the_name_of_the_folder_only(tmp_path: Path) -> None:
    run = jobs.create(KIND, CountingSettings(), runs_folder=tmp_path, label="day " * 100)
    assert len(run.name) < 120
    assert run.job.label == "day " * 100
