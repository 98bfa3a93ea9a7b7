"""The panel shows what a run does, steers it, and never takes it down with itself."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QWidget
from watched_job import KIND, WatchedSettings

from napari_stemlearn import jobs
from napari_stemlearn.events import Done, Progress
from napari_stemlearn.jobs import Run, RunState
from napari_stemlearn.jobs.event_log import append_event, size_of
from napari_stemlearn.jobs.job_file import JobFile
from napari_stemlearn.jobs.processes import process_record
from napari_stemlearn.widgets import job_panel
from napari_stemlearn.widgets.curves import Curves, plot_of, short_name
from napari_stemlearn.widgets.cyclegan_curves import CycleGANCurves
from napari_stemlearn.widgets.job_panel import JobPanel, duration
from napari_stemlearn.widgets.labels import ElidedLabel, ErrorLabel
from napari_stemlearn.widgets.layers import our_layers
from napari_stemlearn.widgets.previews import PreviewLayers, montage
from napari_stemlearn.widgets.project import Project, ProjectRow
from napari_stemlearn.widgets.words import soft_of

HERE = str(Path(__file__).parent)
"""Where the children find the job."""


@pytest.fixture(autouse=True)
def _jobs_of_tests(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [HERE, os.environ.get("PYTHONPATH", "")])))


@pytest.fixture
def panel(qtbot, viewer):
    panel = JobPanel(viewer, (KIND,), start_text="Begin")
    qtbot.addWidget(panel)
    return panel


def finished_run(panel, **settings):
    return jobs.run_inline(KIND, WatchedSettings(**settings), runs_folder=panel.project.runs, label="day a")


def wait_for(qtbot, panel, *states, timeout=30_000):
    qtbot.waitUntil(lambda: panel.state in states, timeout=timeout)


def test_without_a_run_it_says_what_to_do(panel):
    assert panel.details.isHidden()
    assert panel.run_row.isHidden()
    assert panel.reason.text() == "No run yet: press Start."
    assert panel.start_button.isEnabled()
    panel.set_start_problem("Choose a folder first.")
    assert not panel.start_button.isEnabled()
    assert panel.reason.text() == "Choose a folder first."


def test_a_finished_run_is_shown(qtbot, panel, viewer):
    run = finished_run(panel)
    ended = []
    panel.ended.connect(ended.append)
    panel.watch(run)
    assert panel.state is RunState.DONE
    assert ended == [run]
    assert panel.device_label.full_text == "on cuda:7 (Test card), 12.3 GB free"
    assert panel.state_label.full_text == "Done"
    assert panel.log_label.full_text == "Done."
    assert panel.curves.points["train_loss"] == ([1, 2, 3, 4], [1, 1 / 2, 1 / 3, 1 / 4])
    qtbot.waitUntil(lambda: not panel._turns, timeout=30_000)
    assert set(panel.curves.plots) == {"loss", "score"}
    assert "learning_rate" not in panel.curves.points
    assert "held-out" in panel.curves.legends["score"].text()
    assert panel.run_box.currentText().startswith("day a · ")
    image, prediction = our_layers(viewer, "preview")
    assert image.data[0, 0] == 4
    assert tuple(image.scale) == (0.2, 0.2)
    assert str(image.units[0]) == "angstrom"
    assert prediction.data.ndim == 2
    assert tuple(prediction.contrast_limits) == (0, 1)
    assert image.extent.world[1][0] <= 0
    assert not panel.stop_button.isEnabled()
    assert panel.start_button.isEnabled()


def test_a_finished_run_is_watched_before_it_has_ended(panel):
    heard = []
    panel.watched.connect(lambda _run: heard.append("watched"))
    panel.ended.connect(lambda _run: heard.append("ended"))
    panel.watch(finished_run(panel))
    assert heard == ["watched", "ended"]


def test_a_job_in_its_own_process_from_start_to_stop_and_on_to_the_end(qtbot, panel, viewer):
    assert panel.start(KIND, WatchedSettings(steps=200, pause=0.05))
    assert not panel.start_button.isEnabled()
    assert "One run at a time" in panel.reason.text()
    qtbot.waitUntil(lambda: len(our_layers(viewer, "preview")) == 2, timeout=30_000)
    assert panel.state is RunState.RUNNING
    layers = our_layers(viewer, "preview")
    first = layers[0].data[0, 0]
    qtbot.waitUntil(lambda: layers[0].data[0, 0] > first, timeout=10_000)
    assert our_layers(viewer, "preview") == layers
    assert panel.bar.maximum() == 200
    assert "left" in panel.eta_label.text()
    assert not panel.kill_button.isEnabled()
    panel.stop_button.click()
    wait_for(qtbot, panel, RunState.STOPPED)
    assert panel.start_button.isEnabled()
    assert panel.resume_button.isEnabled()
    stopped_at = panel.curves.points["train_loss"][0][-1]
    assert stopped_at < 200
    panel.resume_button.click()
    wait_for(qtbot, panel, RunState.DONE)
    assert panel.curves.points["train_loss"][0] == list(range(1, 201))
    assert f"resumed at step {stopped_at:g}" in panel.device_label.full_text


def test_closing_leaves_the_job_alone_and_a_new_panel_finds_it_again(qtbot, viewer):
    panel = JobPanel(viewer, (KIND,))
    panel.start(KIND, WatchedSettings(steps=2000, pause=0.02))
    wait_for(qtbot, panel, RunState.RUNNING)
    run = panel.run
    panel.close()
    panel.deleteLater()
    qtbot.waitUntil(lambda: not isalive(panel))
    qtbot.wait(300)
    assert run.state is RunState.RUNNING
    again = JobPanel(viewer, (KIND,))
    qtbot.addWidget(again)
    again.attach_to_active()
    assert again.run == run
    wait_for(qtbot, again, RunState.RUNNING)
    run.stop()
    qtbot.waitUntil(lambda: again.state is RunState.STOPPED, timeout=30_000)


def test_kill_comes_only_after_stop(qtbot, panel):
    panel.start(KIND, WatchedSettings(steps=3, pause=60))
    wait_for(qtbot, panel, RunState.RUNNING)
    assert panel.kill_button.isHidden()
    panel.stop_button.click()
    wait_for(qtbot, panel, RunState.STOPPING)
    assert panel.stop_button.isHidden()
    assert panel.kill_button.isEnabled()
    assert "Kill ends it at once" in panel.reason.text()
    panel.kill_button.click()
    wait_for(qtbot, panel, RunState.FAILED)
    assert "killed on request" in panel.error.text()
    assert panel.start_button.isEnabled()
    assert panel.resume_button.isEnabled()


def test_a_failure_is_one_red_sentence_and_frees_the_buttons(qtbot, panel):
    panel.watch(finished_run(panel, breaks_at=2))
    assert panel.state is RunState.FAILED
    assert panel.error.text() == "The micrograph is made of cheese."
    assert "Traceback" in panel.error.toolTip()
    assert panel.start_button.isEnabled()
    assert panel.resume_button.isEnabled()


def test_a_run_folder_that_vanishes_is_told(qtbot, panel):
    run = finished_run(panel)
    panel.watch(run)
    shutil.rmtree(run.folder)
    panel.poll()
    assert panel.state is RunState.FAILED
    assert "gone" in panel.error.text()
    assert panel.resume_button.isHidden()
    assert panel.run_box.currentText().endswith(" (deleted)")
    assert panel.state_label.full_text == "Deleted"
    assert not panel.take_action.isEnabled()
    panel.watch(None)
    assert panel.run_row.isHidden()


def test_a_failed_run_that_vanishes_cannot_be_resumed_any_more(panel):
    run = finished_run(panel, breaks_at=2)
    panel.watch(run)
    assert not panel.resume_button.isHidden()
    shutil.rmtree(run.folder)
    panel.poll()
    assert panel.resume_button.isHidden()
    assert "gone" in panel.error.text()


def test_runs_are_listed_by_their_name_and_time(panel):
    for name, label, created in (
        ("20250101-000000-watched-a", "day a: 1", time.mktime((2025, 1, 2, 3, 4, 5, 0, 0, -1))),
        ("20250101-000001-watched-a", "day a: 1", time.mktime((2025, 1, 2, 3, 4, 6, 0, 0, -1))),
        ("20250101-000002-watched", "", time.mktime((2025, 1, 2, 3, 5, 0, 0, 0, -1))),
    ):
        (panel.project.runs / name).mkdir(parents=True)
        JobFile(kind=KIND, label=label, created=created).save(panel.project.runs / name / "job.yaml")
    (panel.project.runs / "20240101-000000-watched-old").mkdir()
    (panel.project.runs / "20240101-000000-watched-old" / "job.yaml").write_text("nothing")
    panel.refresh_runs()
    words = {run.name: panel.run_box.itemText(index) for index, run in enumerate(panel._listed)}
    assert words == {
        "20250101-000000-watched-a": "day a: 1 · 2 Jan 2025 03:04:05",
        "20250101-000001-watched-a": "day a: 1 · 2 Jan 2025 03:04:06",
        "20250101-000002-watched": "2 Jan 2025 03:05",
        "20240101-000000-watched-old": "20240101-000000-watched-old",
    }
    tips = [panel.run_box.itemData(index, Qt.ItemDataRole.ToolTipRole) for index in range(4)]
    assert tips == [run.name for run in panel._listed]


def test_nothing_of_an_earlier_attempt_is_said_of_one_that_starts(panel):
    run = jobs.create(KIND, WatchedSettings(), runs_folder=panel.project.runs)
    for event in (
        Progress(done=1, total=10, stage="steps", time=1.0),
        Progress(done=2, total=10, stage="steps", time=2.0),
        Done(stopped=True),
    ):
        append_event(run.folder / "events.jsonl", event)
    size = size_of(run.folder / "events.jsonl")
    process_record(os.getpid(), events_from=size, attempt=2, inline=True).save(run.folder / "process.json")
    panel.watch(run)
    assert panel.state is RunState.WAITING
    assert panel.eta_label.text() == ""
    assert panel.log_label.full_text == ""
    assert panel.bar.maximum() == 0


def test_lines_and_plots_follow_the_theme(qtbot):
    """Text is dark on a light theme and light on a dark one, also in what was made before the theme was changed."""
    window = QWidget()
    window.setStyleSheet("QWidget { color: white; }")
    log, error, curves = ElidedLabel("a line", colour_of=soft_of), ErrorLabel(), CycleGANCurves()
    for widget in (log, error, curves):
        widget.setParent(window)
    error.say("broken")
    curves.append(1, {"labels_recall": 1.0})
    curves.draw("recall")
    qtbot.addWidget(window)
    window.show()
    axis, line = curves.plots["recall"].getAxis("left"), curves._drawn_lines["recall"]
    for text, dim, red, soft in (
        ("black", "#5f6368", "#b3261e", "#3c4043"),
        ("white", "#a0a4ab", "#ff7b72", "#c8ccd2"),
    ):
        window.setStyleSheet(f"QWidget {{ color: {text}; }}")
        assert soft in log.styleSheet()
        assert red in error.styleSheet()
        assert axis.textPen().color().name() == axis.labelStyle["color"] == dim
        assert line.pen.color().name() == red
        assert red in curves.legends["recall"].text()
        assert "atoms&nbsp;found" in curves.legends["recall"].text()


def test_a_start_that_is_refused_leaves_nothing_behind(qtbot, panel, tmp_path):
    (tmp_path / "project").write_text("a file where the folder should be")
    assert not panel.start(KIND, WatchedSettings())
    assert "No run folder can be made" in panel.error.text()
    assert panel.run is None


def test_long_event_files_are_read_in_a_thread(qtbot, panel, monkeypatch):
    monkeypatch.setattr(job_panel, "LONG_FILE", 10)
    panel.watch(finished_run(panel))
    assert panel.state is None
    wait_for(qtbot, panel, RunState.DONE)
    assert len(panel.curves.points["train_loss"][0]) == 4


def test_switching_runs_starts_afresh(qtbot, panel, viewer):
    first, second = finished_run(panel), finished_run(panel, steps=2)
    panel.watch(first)
    panel.run_box.setCurrentIndex(panel._listed.index(second))
    panel.run_box.activated.emit(panel.run_box.currentIndex())
    assert panel.run == second
    assert len(panel.curves.points["train_loss"][0]) == 2
    qtbot.waitUntil(lambda: len(our_layers(viewer, "preview")) == 2, timeout=30_000)
    panel.watch(first)
    qtbot.waitUntil(lambda: len(our_layers(viewer, "preview")) == 4, timeout=30_000)


def test_previews_that_were_removed_stay_away(viewer):
    previews = PreviewLayers(viewer, "run")
    previews.show("image", np.ones((4, 4)), 0.1, 1)
    previews.show("image", np.zeros((4, 4)), 0.1, 2)
    assert len(viewer.layers) == 1
    viewer.layers.clear()
    previews.show("image", np.ones((4, 4)), 0.1, 3)
    assert len(viewer.layers) == 0
    assert "cannot be shown" in previews.show("line", np.ones((1, 4)), 0.1, 3)


def test_previews_leave_the_selection_alone(viewer):
    points = viewer.add_points(np.zeros((1, 2)))
    viewer.layers.selection.active = points
    previews = PreviewLayers(viewer, "run")
    for name in ("image", "target"):
        previews.show(name, np.ones((4, 4)), 0.1, 1)
        previews.reveal()
        assert viewer.layers.selection.active is points
    # unless somebody selected something else in between, or it is gone
    image = previews.find("image")
    previews.show("prediction", np.ones((4, 4)), 0.1, 1)
    viewer.layers.selection.active = image
    previews.reveal()
    assert viewer.layers.selection.active is image
    viewer.layers.selection.active = points
    previews.show("other", np.ones((4, 4)), 0.1, 1)
    viewer.layers.remove(points)
    previews.reveal()
    assert points not in viewer.layers.selection


def test_previews_leave_other_layers_and_moved_sliders_alone(viewer):
    own = viewer.add_image(np.zeros((4, 4)), name="image", scale=(0.2, 0.2), units="angstrom")
    previews = PreviewLayers(viewer, "run")
    previews.show("image", np.arange(16.0).reshape(4, 4), 0.2, 1)
    layer = previews.find("image")
    assert layer is not own
    previews.show("image", 10 * np.arange(16.0).reshape(4, 4), 0.2, 2)
    assert tuple(layer.contrast_limits) == (0, 150)
    layer.contrast_limits = (0, 100)
    previews.show("image", np.arange(16.0).reshape(4, 4), 0.2, 3)
    assert tuple(layer.contrast_limits) == (0, 100)
    assert own.data.max() == 0


def test_montage():
    sheet = montage(np.arange(4.0)[:, None, None] * np.ones((4, 2, 3)))
    assert sheet.shape == (2 * 2 + 2, 2 * 3 + 2)
    assert sheet[0, -1] == 1
    assert sheet[-1, 0] == 2
    assert montage(np.zeros((5, 2, 2))).shape == (6, 10)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.015, 0.9, ["0.02", "0.05", "0.1", "0.2", "0.5"]),
        (1e-4, 1.0, ["0.0001", "0.001", "0.01", "0.1", "1"]),
        (0.3, 0.31, ["0.301", "0.305", "0.309"]),
    ],
)
def test_numbers_of_a_logarithmic_axis_do_not_touch(qapp, low, high, words):
    from napari_stemlearn.widgets.log_axis import ROOM, LogAxis

    axis = LogAxis("left")
    ticks = axis.tickValues(np.log10(low), np.log10(high) + 1e-12, 110)[0][1]
    assert axis.tickStrings(ticks, 1, 1) == words
    gaps = np.diff(ticks) / np.log10(high / low) * 110
    assert (gaps >= ROOM).all()


def test_curves_take_only_what_can_be_drawn(qtbot):
    curves = Curves()
    qtbot.addWidget(curves)
    curves.append(1, {"train_loss": float("nan"), "recall": 0.5, "note": "text"})
    curves.append(2, {"recall": 0.6})
    curves.append(1, {"recall": 0.7})
    assert curves.kinds() == ["score"]
    curves.draw("score")
    assert curves.points == {"recall": ([1.0], [0.7])}
    assert plot_of("crops_per_second") is None
    assert short_name("train_loss") == "train"
    curves.clear()
    assert curves.points == {}
    assert not curves.hint.isHidden()


@pytest.mark.parametrize(("seconds", "words"), [(0, "1 s"), (45, "45 s"), (200, "3 min"), (8000, "2 h 13 min")])
def test_durations(seconds, words):
    assert duration(seconds) == words


def test_project_row_changes_the_folder_and_refuses_what_cannot_be_written(qtbot, monkeypatch, tmp_path):
    monkeypatch.delenv("STEMLEARN_PROJECT")
    monkeypatch.setattr("napari_stemlearn.project_folder.memory", lambda: tmp_path / "config" / "project_folder.txt")
    project = Project()
    row = ProjectRow(project)
    qtbot.addWidget(row)
    row.choose(str(tmp_path / "mine"))
    assert project.folder == tmp_path / "mine"
    assert project.runs == tmp_path / "mine" / "runs"
    (tmp_path / "file").touch()
    row.choose(str(tmp_path / "file" / "below"))
    assert "cannot be made" in row.error.text()
    assert row.error.wordWrap()
    assert row.label.full_text == str(tmp_path / "mine")
    assert project.folder == tmp_path / "mine"
    monkeypatch.setattr("napari_stemlearn.project_folder.memory", lambda: tmp_path / "file" / "project_folder.txt")
    row.choose(str(tmp_path / "other"))
    assert "cannot be remembered" in row.error.text()
    project.changed.emit()
    assert row.error.isHidden()


def test_a_project_folder_that_the_environment_names_is_not_changed_and_that_is_said(qtbot, monkeypatch, tmp_path):
    memory = tmp_path / "config" / "project_folder.txt"
    monkeypatch.setenv("STEMLEARN_PROJECT", str(tmp_path / "named"))
    monkeypatch.setattr("napari_stemlearn.project_folder.memory", lambda: memory)
    row = ProjectRow(Project())
    qtbot.addWidget(row)
    # no dialog opens for a choice that would change nothing
    row.button.menu().actions()[0].trigger()
    assert not row.findChildren(QFileDialog)
    assert "STEMLEARN_PROJECT names the project folder" in row.error.text()
    row.choose(str(tmp_path / "other"))
    assert not (tmp_path / "other").exists()
    assert not memory.exists()
    assert row.label.full_text == str(tmp_path / "named")


def test_a_foreign_folder_in_the_list_is_left_out(panel):
    panel.project.runs.mkdir(parents=True)
    (panel.project.runs / "notes").mkdir()
    run = finished_run(panel)
    panel.refresh_runs()
    assert panel._listed == [run]
    assert panel._listed[0].name == Run(run.folder).name


def test_an_old_run_stays_in_the_list_however_many_runs_of_other_kinds_come_after_it(qtbot, viewer, monkeypatch):
    monkeypatch.setattr(job_panel, "RUNS_SHOWN", 2)
    panel = JobPanel(viewer, ("train",), start_text="Begin")
    qtbot.addWidget(panel)
    for name in ("20250101-000000-train-mine", *(f"20250201-0000{n:02d}-simulate-set" for n in range(12))):
        (panel.project.runs / name).mkdir(parents=True)
        (panel.project.runs / name / "job.yaml").touch()
    panel.refresh_runs()
    assert [run.name for run in panel._listed] == ["20250101-000000-train-mine"]


def test_the_curve_of_a_single_class_is_left_to_the_mean(qtbot):
    curves = Curves()
    qtbot.addWidget(curves)
    curves.append(1, {"held_out_f1": 0.5, "held_out_f1_vacancy1": 0.5})
    curves.draw("score")
    assert "vacancy1" not in curves.legends["score"].text()
    curves.append(2, {"held_out_f1": 0.5, "held_out_f1_vacancy1": 0.6, "held_out_f1_antisite": 0.4})
    curves.draw("score")
    assert "held-out&nbsp;vacancy1" in curves.legends["score"].text()
    assert "held-out&nbsp;antisite" in curves.legends["score"].text()
