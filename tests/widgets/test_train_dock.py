"""The Train dock starts trainings from any source and hands the model on."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hands import type_into
from napari.components import ViewerModel

from napari_stemlearn.datasets.creation import create_data_set
from napari_stemlearn.generation.settings import GenerateSettings
from napari_stemlearn.jobs import RunState, create
from napari_stemlearn.jobs.processes import process_record
from napari_stemlearn.learning.recipes import load_recipe
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.models.store import list_models
from napari_stemlearn.sites import make_sites
from napari_stemlearn.widgets.project import shared_project
from napari_stemlearn.widgets.train_dock import OTHER, SIMULATED, TRANSLATED, TrainDock, keep_model, open_in_find
from untrained_generator import untrained_generator


@pytest.fixture
def dock(qtbot):
    dock = TrainDock(ViewerModel())
    qtbot.addWidget(dock)
    return dock


def going_on(kind, settings):
    """A run of the project that seems to be worked on."""
    run = create(kind, settings, runs_folder=shared_project().runs, label=settings.name)
    process_record(os.getpid(), events_from=0, attempt=1, inline=True).save(run.folder / "process.json")
    return run


def make_set(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("00000.tif", "00000_sites.csv", "images.csv"):
        (folder / name).touch()
    return folder


def test_it_opens_on_the_quick_preset_and_says_where_training_runs(dock):
    assert dock.settings() == SegmentationSettings.preset("quick")
    assert dock.form.preset_box.currentText() == "quick"
    assert dock.panel.start_button.isEnabled()
    assert "process of its own" in dock.panel.reason.text()
    assert dock.use_button.isHidden()


def listed(qtbot, source):
    """List what there is to learn from again, and wait for it."""
    source.refresh()
    qtbot.waitUntil(lambda: not source._lister.running, timeout=60_000)


def test_the_source_goes_into_the_settings_and_comes_back_from_them(dock, tmp_path):
    folder = make_set(tmp_path / "set")
    dock.source.choose(str(folder))
    assert dock.settings().data.source == "folder"
    assert dock.settings().data.folder == str(folder)
    assert dock.source.box.currentText() == "set"
    dock.source.choose("")
    assert dock.settings().data.source == "simulation"
    assert dock.source.box.currentText() == SIMULATED
    dock.form.set_value(dock.settings().changed(data={"source": "folder", "folder": str(folder)}))
    assert dock.source.folder == str(folder)


def test_a_preset_leaves_the_chosen_set_and_what_is_learnt_from_it(dock, tmp_path):
    folder = make_set(tmp_path / "set")
    targets = {"classes": {"hole": ["vacancy1"]}}
    handed = SegmentationSettings.preset("quick", name="mine", pixel_size=0.31, targets=targets)
    handed = handed.changed(
        data={"source": "folder", "folder": str(folder)}, validation={"held_out_style": "unchanged"}
    )
    dock.take(handed, "Set up for the set.")
    dock.form.preset_box.textActivated.emit("tiny")
    settings = dock.settings()
    assert settings.data.folder == str(folder)
    assert (settings.name, settings.pixel_size, list(settings.targets.classes)) == ("mine", 0.31, ["hole"])
    assert settings.validation.held_out_style == "unchanged"
    assert settings.optimisation.steps == 2
    assert dock.form.preset_box.currentText() == "tiny"
    assert dock.taken.text() == "Set up for the set."
    dock.form.preset_box.textActivated.emit("tmd-defects")
    assert dock.settings() == load_recipe("tmd-defects")
    assert dock.taken.text() == ""
    dock.form.preset_box.textActivated.emit("quick")
    assert dock.settings() == SegmentationSettings.preset("quick")


def test_sets_of_the_project_are_offered(qtbot, dock):
    runs = dock.panel.project.runs
    make_set(runs / "20260102-030405-simulate-WSe2" / "result")
    (runs / "20260102-030405-simulate-WSe2" / "job.yaml").touch()
    listed(qtbot, dock.source)
    texts = [dock.source.box.itemText(i) for i in range(dock.source.box.count())]
    assert texts == [SIMULATED, "20260102-030405-simulate-WSe2", OTHER]
    dock.source.box.activated.emit(1)
    assert dock.settings().data.folder.endswith("20260102-030405-simulate-WSe2/result")


def test_data_sets_of_the_project_are_offered_and_queried(qtbot, dock, tmp_path):
    run = create("generate", GenerateSettings.preset("tiny"), runs_folder=dock.panel.project.runs)
    paths = [run.result_folder / "of a run.stemset", dock.panel.project.data_sets / "kept.stemset"]
    for path in paths:
        data_set = create_data_set(path, shape=(40, 40), pixel_size=0.2, synthetic=True)
        for dose in (1.0, 2.0):
            data_set.add(np.ones((40, 40)), make_sites([5.0], [5.0], "W", pixel_size=0.2), {"dose": dose})
        data_set.close()
    listed(qtbot, dock.source)
    texts = [dock.source.box.itemText(i) for i in range(dock.source.box.count())]
    assert texts == [SIMULATED, "of a run", "kept", OTHER]
    again = create("generate", GenerateSettings.preset("tiny"), runs_folder=dock.panel.project.runs, label="again")
    create_data_set(again.result_folder / "of a run.stemset", shape=(40, 40), pixel_size=0.2, synthetic=True)
    listed(qtbot, dock.source)
    texts = {dock.source.box.itemText(i) for i in range(dock.source.box.count())}
    assert {f"of a run ({found.name})" for found in (run, again)} < texts
    # the folder of a result stands for the set in it
    dock.source.choose_any(str(run.result_folder))
    assert dock.settings().data.folder == str(paths[0])
    query = dock.source.query
    for words, reason in (("dust > 1", "'dust' is no parameter"), ("dose > 5", "Nothing of the 2 images")):
        type_into(query.line, words)
        assert not dock.panel.start_button.isEnabled()
        qtbot.waitUntil(lambda: not query._timer.isActive() and not query._background.running, timeout=30_000)
        assert dock.settings().data.where == words
        assert reason in dock.panel.reason.text()
    type_into(query.line, "dose > 1")
    qtbot.waitUntil(lambda: dock.panel.start_button.isEnabled(), timeout=30_000)
    assert query.note.text() == "1 of 2 images"
    dock.source.choose("")
    assert dock.settings().data.where == ""
    assert query.isHidden()


def test_a_generator_is_a_source(qtbot, dock, tmp_path):
    folder = untrained_generator(dock.panel.project.generators / "day_x")
    listed(qtbot, dock.source)
    assert dock.source.box.itemText(1) == TRANSLATED + "day_x"
    dock.source.box.activated.emit(1)
    assert dock.settings().data.generator == str(folder)
    (folder / "generator.json").unlink()
    dock.source.choose_generator(str(folder))
    assert "There is no generator in" in dock.panel.reason.text()
    assert not dock.panel.start_button.isEnabled()


def test_a_folder_without_labelled_images_is_refused(dock, tmp_path):
    (tmp_path / "empty").mkdir()
    dock.source.choose(str(tmp_path / "empty"))
    assert not dock.panel.start_button.isEnabled()
    assert "There are no labelled images" in dock.panel.reason.text()
    dock.source.choose("")
    assert dock.panel.start_button.isEnabled()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pixel_size": 0}, "Pixel size is 0.0; allowed: 0.01 to 2 angstrom"),
        ({"targets": {"classes": {"antisite": ["antisite"]}}}, "no structure has defects of the class 'antisite'"),
        ({"optimisation": {"steps": 0}}, "Steps is 0; allowed: at least 1"),
        ({"name": ""}, "Train waits: Name: a name is needed."),
        ({"name": " "}, "Train waits: Name: a name is needed."),
        ({"name": "a/b: *?"}, "Train waits: Name: 'a/b: *?' cannot be the name of a folder; it must not"),
    ],
)
def test_a_bad_setting_stops_the_button_and_nothing_starts(dock, change, words):
    dock.form.set_value({**dock.settings().record(), **change})
    assert not dock.panel.start_button.isEnabled()
    assert words in dock.panel.reason.text()
    dock.train()
    assert dock.panel.run is None
    assert not dock.panel.project.runs.exists()


def test_the_copied_lines_are_the_settings(dock):
    dock.form.set_value(
        dock.settings().changed(**{"name": "mine", "optimisation.steps": 7, "imaging.probe.C10": "normal(0, 5)"})
    )
    names = {}
    exec(dock.lines().split("run = ")[0], names)
    assert names["settings"] == dock.settings()


def test_looking_at_a_run_folds_the_settings_away(dock):
    run = create("train", SegmentationSettings.preset("tiny"), runs_folder=dock.panel.project.runs)
    dock.panel.watch(run)
    assert not dock.setup.is_open
    assert dock.panel.state is RunState.WAITING
    dock.panel.watch(None)
    assert dock.setup.is_open


def test_the_model_goes_to_the_find_dock(make_napari_viewer_proxy, qtbot):
    from napari_stemlearn.models.card import ModelCard
    from napari_stemlearn.models.store import save_model
    from napari_stemlearn.networks.residual_unet import ResidualUNet

    viewer = make_napari_viewer_proxy()
    _widget, dock = viewer.window.add_plugin_dock_widget("napari-stemlearn", "Train")
    network = ResidualUNet(1, 1, width=4, levels=2)
    card = ModelCard(name="mine", classes=("vacancy1",), pixel_size=0.2, network=network.record())
    run = create("train", SegmentationSettings.preset("tiny"), runs_folder=dock.panel.project.runs)
    save_model(run.result_folder, network, card)
    dock.panel.watch(run)
    dock.use_model()
    _widget, find = viewer.window.add_plugin_dock_widget("napari-stemlearn", "Find")
    assert find.model.name == "mine"
    assert "Find uses it now" in dock.used.text()
    for widget in (find, dock):
        viewer.window.remove_dock_widget(widget)


def test_the_find_dock_comes_as_a_tab(make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy()
    train, _dock = viewer.window.add_plugin_dock_widget("napari-stemlearn", "Train")
    open_in_find(viewer, Path("tmd-defects"))
    (tab,) = viewer.window._qt_window.tabifiedDockWidgets(train)
    find, _dock = viewer.window.add_plugin_dock_widget("napari-stemlearn", "Find")
    assert tab.windowTitle() == find.windowTitle()
    for widget in (find, train):
        viewer.window.remove_dock_widget(widget)


def test_a_reopened_dock_shows_the_settings_of_the_run_that_goes_on(qtbot):
    settings = SegmentationSettings.preset("tiny", name="tiny one")
    run = going_on("train", settings)
    dock = TrainDock(ViewerModel())
    qtbot.addWidget(dock)
    assert dock.panel.run == run
    assert dock.settings() == settings
    assert not dock.setup.is_open


def test_looking_at_a_run_leaves_the_form_until_its_settings_are_wanted(dock, tmp_path):
    generator = untrained_generator(tmp_path / "generators" / "day_x")
    settings = SegmentationSettings.preset("tiny", name="tiny one", data={"generator": str(generator)})
    run = create("train", settings, runs_folder=dock.panel.project.runs, label="tiny one")
    mine = dock.settings().changed(name="mine")
    dock.form.set_value(mine)
    dock.panel.watch(run)
    assert dock.settings() == mine
    dock.panel.take_action.trigger()
    assert dock.setup.is_open
    assert dock.settings() == settings
    assert dock.source.generator == str(generator)
    (run.folder / "job.yaml").write_text("nothing")
    dock.form.set_value(mine)
    dock.panel.take_action.trigger()
    assert "cannot be taken" in dock.form.error.text()
    assert dock.settings() == mine


def test_paths_of_a_run_from_elsewhere_hold_here(dock, tmp_path, monkeypatch):
    make_set(tmp_path / "elsewhere" / "set")
    monkeypatch.chdir(tmp_path / "elsewhere")
    settings = SegmentationSettings.preset("tiny", data={"source": "folder", "folder": "set"})
    run = create("train", settings, runs_folder=dock.panel.project.runs)
    monkeypatch.chdir(tmp_path)
    dock.take_settings_of(run)
    assert dock.settings().data.folder == str(tmp_path / "elsewhere" / "set")


def test_a_model_to_start_from(dock):
    editor = dock.form.body.editors["start_from"]
    editor.refresh()
    assert {"", "tmd-defects", "columns"} <= set(editor.values)
    assert dock.adopt_button.isHidden()
    editor.set_raw("tmd-defects")
    editor.changed.emit()
    assert dock.form.value().start_from == "tmd-defects"
    assert "'tmd-defects' marks vacancy1" in dock.panel.reason.text()
    assert not dock.panel.start_button.isEnabled()
    dock.form.set_value({**dock.form.body.raw(), "structures": load_recipe("tmd-defects").record()["structures"]})
    dock.adopt_button.click()
    assert dock.panel.start_button.isEnabled()
    assert dock.adopt_button.isHidden()
    assert dock.settings().network.width == 24
    editor.set_raw("nothing")
    editor.changed.emit()
    assert "There is no model 'nothing'" in dock.panel.reason.text()
    assert dock.adopt_button.isHidden()


def test_from_train_to_a_model_in_the_project(qtbot, dock):
    settings = SegmentationSettings.preset("tiny", name="little one")
    dock.form.set_value(settings)
    dock.panel.start_button.click()
    qtbot.waitUntil(lambda: dock.panel.state in (RunState.DONE, RunState.FAILED), timeout=200_000)
    assert dock.panel.error.text() == ""
    assert dock.panel.run.settings == settings
    assert {"train_loss", "held_out_f1"} <= set(dock.panel.last_metrics)
    assert dock.panel.device_label.full_text.startswith("on cpu")
    dock.use_button.click()
    models = dock.panel.project.models
    assert "Choose it in the Find dock" in dock.used.text()
    assert [entry.name for entry in list_models([models]) if entry.origin == "given"] == ["little one"]
    result = dock.panel.run.result_folder
    assert keep_model(result, models) == models / "little one"
    card = json.loads((result / "card.json").read_text())
    for name, kept in ((" ", "model"), ("a/b: *?", "a_b_ __")):
        (result / "card.json").write_text(json.dumps(card | {"name": name}))
        assert keep_model(result, models) == models / kept
    (result / "card.json").write_text(json.dumps(card))
    (models / "little one" / "card.json").write_text("{}")
    assert keep_model(result, models) == models / "little one-2"
