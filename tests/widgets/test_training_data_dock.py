"""The Training data dock makes sets, shows what a query leaves of them, and hands them to Train."""

from __future__ import annotations

import json
import os
import shutil
import threading

import numpy as np
import pytest
from hands import type_into
from napari.components import ViewerModel

from napari_stemlearn import jobs
from napari_stemlearn.generation.settings import GenerateSettings
from napari_stemlearn.imaging.settings import ImagingSettings
from napari_stemlearn.jobs import RunState, create
from napari_stemlearn.jobs.processes import process_record
from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.structures.settings import StructureSettings
from napari_stemlearn.widgets.data_set_layers import SHOWN_IMAGES, read_images, show_images
from napari_stemlearn.widgets.generator_chooser import OTHER, PLAIN, GeneratorChooser, known_generators
from napari_stemlearn.widgets.layers import about, kind_of
from napari_stemlearn.widgets.structure_dock import StructureDock
from napari_stemlearn.widgets.train_dock import SIMULATED, TRANSLATED, TrainDock
from napari_stemlearn.widgets.training_data_dock import FROM_GENERATOR, OWN, TrainingDataDock
from untrained_generator import untrained_generator

TINY = {"number": 3, "shape": (64, 64), "workers": 0, "device": "cpu"}


@pytest.fixture
def dock(qtbot, viewer):
    dock = TrainingDataDock(viewer)
    qtbot.addWidget(dock)
    return dock


@pytest.fixture
def generator(tmp_path):
    return untrained_generator(tmp_path / "project" / "generators" / "day_x")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that made a small plain set, in another project."""
    runs = tmp_path_factory.mktemp("made") / "runs"
    settings = GenerateSettings.preset("tiny", name="made before", number=3)
    defects = [{"kind": "vacancy1", "probability": 0.3}]
    settings = settings.changed(structures=[{"structure": {"crystal": "WSe2", "defects": defects}}])
    return jobs.run_inline("generate", settings, runs_folder=runs)


def taken(dock, run):
    """The run of another project, copied to that of the dock; its previews are not shown."""
    dock.panel.preview_box.setChecked(False)
    runs = dock.panel.project.runs
    shutil.copytree(run.folder, runs / run.name)
    return next(found for found in jobs.list_runs(runs) if found.name == run.name)


def settled(qtbot, dock):
    """Wait until everything was counted, read and handed over."""
    busy = (dock.query._background, dock._reader, dock._teller, dock._hand, dock.specimen._background)
    timers = (dock.query._timer, dock.specimen._timer)
    qtbot.waitUntil(
        lambda: not any(one.running for one in busy) and not any(timer.isActive() for timer in timers), timeout=60_000
    )


def listed(qtbot, chooser):
    """Wait until a chooser has its list of generators."""
    qtbot.waitUntil(lambda: not chooser._lister.running, timeout=60_000)


def nothing_started(dock):
    assert not dock.panel.start_button.isEnabled()
    dock.make()
    assert dock.panel.run is None
    assert not dock.panel.project.runs.exists()
    return True


def texts(box):
    return [box.itemText(index) for index in range(box.count())]


# --- what is chosen ---------------------------------------------------------------------------------------------------


def test_it_opens_on_plain_simulations(dock):
    assert dock.settings() == GenerateSettings()
    assert texts(dock.generator.box) == [PLAIN, OTHER]
    assert dock.specimens.currentText() == "usual: WSe2"
    assert dock.panel.start_button.isEnabled()
    assert "process of its own" in dock.panel.reason.text()
    assert dock.result.isHidden()
    assert dock.direct_button.isHidden()


def test_a_generator_tells_what_it_learnt_and_names_the_set(dock, generator):
    dock.choose_generator(generator)
    assert dock.settings().generator == str(generator)
    assert dock.settings().name == "day_x"
    words = dock.generator.words.text()
    assert "Learnt from day_x.tif and simulations of WSe2, at 0.25 Å" in words
    assert "99.5 % of the atoms are found" in words
    assert "spectrum 2 → 0.1" in words
    assert dock.specimens.currentText() == "as learnt: WSe2"
    assert not dock.direct_button.isHidden()
    dock.choose_generator("")
    assert dock.settings() == GenerateSettings()


def test_a_name_that_somebody_gave_stays(dock, generator):
    dock.form.set_value({**dock.form.body.raw(), "name": "mine"})
    dock.choose_generator(generator)
    assert dock.settings().name == "mine"


def test_generators_of_finished_trainings_are_offered_once(qtbot, dock, generator):
    run = create("cyclegan", CycleGANSettings.preset("tiny"), runs_folder=dock.panel.project.runs)
    of_run = untrained_generator(run.result_folder / "generator", pixel_size=0.31)
    again = create("cyclegan", CycleGANSettings.preset("tiny"), runs_folder=dock.panel.project.runs, label="kept")
    shutil.copytree(generator, again.result_folder / "generator")
    create("cyclegan", CycleGANSettings.preset("tiny"), runs_folder=dock.panel.project.runs, label="unfinished")
    dock.generator.refresh()
    listed(qtbot, dock.generator)
    assert texts(dock.generator.box) == [PLAIN, "day_x", f"generator ({run.name[:15]})", OTHER]
    dock.generator.box.activated.emit(2)
    assert dock.settings().generator == str(of_run)
    assert "0.31 Å" in dock.generator.words.text()


def test_the_folder_of_a_run_stands_for_its_generator(dock, tmp_path):
    folder = untrained_generator(tmp_path / "elsewhere" / "result" / "generator")
    dock.choose_generator(tmp_path / "elsewhere")
    assert dock.settings().generator == str(folder)
    assert dock.generator.problem() is None


def test_what_is_no_generator_is_refused(dock, tmp_path, generator):
    dock.choose_generator(tmp_path / "nothing")
    assert "There is no generator in" in dock.generator.error.text()
    assert "there is no generator in" in dock.panel.reason.text()
    assert not dock.direct_button.isEnabled()
    assert nothing_started(dock)
    (generator / "generator.safetensors").unlink()
    dock.choose_generator(generator)
    assert "has no weights" in dock.generator.error.text()
    (generator / "generator.json").write_text("{")
    dock.choose_generator(generator)
    assert "cannot be read" in dock.generator.error.text()
    assert nothing_started(dock)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"number": 0}, "number is 0; allowed: 1 to"),
        ({"shape": (8, 512)}, "8 by 512 pixels; allowed: 16 to 16384"),
        ({"shape": (40, 40), "visible_mark": True}, "too small for the visible mark"),
        ({"structures": []}, "structures"),
        ({"name": ""}, "name: a name is needed."),
        ({"name": " "}, "name: a name is needed."),
    ],
)
def test_a_bad_setting_stops_the_button_and_nothing_starts(dock, change, words):
    dock.form.set_value({**dock.form.body.raw(), **change})
    assert words in dock.panel.reason.text()
    assert nothing_started(dock)


def test_specimens_of_ones_own(qtbot, dock, generator):
    dock.choose_generator(generator)
    dock.specimens.activated.emit(OWN)
    assert dock.specimen.crystal.raw() == "WSe2"
    assert dock.unlike.isHidden()
    dock.specimen.crystal.set_raw("graphene")
    dock.specimen.crystal.changed.emit()
    settled(qtbot, dock)
    assert dock.settings().structures[0].structure == StructureSettings.preset("graphene")
    assert "learnt from WSe2, not from graphene" in dock.unlike.text()
    dock.specimen.crystal.set_raw("cheese")
    dock.specimen.crystal.changed.emit()
    assert "no crystal 'cheese'" in dock.panel.reason.text()
    dock.specimens.activated.emit(FROM_GENERATOR)
    assert dock.settings().structures is None
    assert dock.panel.start_button.isEnabled()
    assert dock.specimen.isHidden()


def test_several_crystals_are_set_in_the_form(dock):
    parts = [{"structure": {"crystal": name}} for name in ("WSe2", "MoS2")]
    dock.form.set_value(GenerateSettings(structures=parts))
    assert "A mixture: WSe2, MoS2. It is set under “Structures”." in dock.specimen.facts.text()
    section = dock.form.body.sections["structures"]
    section.open()
    dock.form.body.editors["structures"].box.click()
    assert dock.settings().structures is None
    assert dock.specimens.currentIndex() == FROM_GENERATOR


def test_the_specimen_of_the_structure_dock(qtbot, dock, viewer):
    assert "open the Structure dock" in dock.take_button.reason.text()
    dock.take_button.click()
    structure = StructureDock(viewer)
    qtbot.addWidget(structure)
    structure.form.set_preset("gold")
    dock.take_button.click()
    assert dock.settings().structures[0].structure == StructureSettings.preset("gold")
    assert dock.specimens.currentIndex() == OWN


def test_a_settings_file_brings_its_generator(dock, generator, tmp_path):
    settings = GenerateSettings.preset("tiny", generator=str(generator), name="yesterday")
    settings.save(tmp_path / "generate.yaml")
    dock.form.load(tmp_path / "generate.yaml")
    assert dock.settings() == settings
    assert dock.generator.box.currentText() == "day_x"


def test_the_copied_lines_are_the_settings(dock, generator):
    dock.choose_generator(generator)
    dock.form.set_value({**dock.form.body.raw(), **TINY, "visible_mark": True})
    names = {}
    exec(dock.lines().split("run = ")[0], names)
    assert names["settings"] == dock.settings()


# --- the set ----------------------------------------------------------------------------------------------------------


def test_from_a_generator_to_a_set_in_the_viewer(qtbot, dock, viewer, generator):
    dock.choose_generator(generator)
    dock.form.set_value({**dock.form.body.raw(), **TINY})
    dock.panel.start_button.click()
    assert not dock.setup.is_open
    qtbot.waitUntil(lambda: dock.panel.state in (RunState.DONE, RunState.FAILED), timeout=200_000)
    assert dock.panel.error.text() == ""
    assert dock.panel.device_label.full_text.startswith("on cpu")
    qtbot.waitUntil(lambda: any(kind_of(layer) == "generated" for layer in viewer.layers), timeout=60_000)
    settled(qtbot, dock)
    assert dock.data_set() == dock.panel.run.result_folder / "day_x.stemset"
    assert "3 images of 64 × 64 pixels of 0.25 Å" in dock.facts.text()
    assert dock.query.note.text() == "all 3 images"
    image, columns, defects = viewer.layers
    assert [kind_of(layer) for layer in (image, columns, defects)] == ["generated", "truth", "truth"]
    assert image.data.shape == (3, 64, 64)
    assert np.isfinite(np.asarray(image.data[1])).all()
    for layer in (image, columns, defects):
        assert tuple(layer.scale) == (1.0, 0.25, 0.25)
        assert [str(unit) for unit in layer.units] == ["pixel", "angstrom", "angstrom"]
        assert layer.axis_labels == ("frame", "y", "x")
        assert about(layer)["synthetic"] is True
        assert "generator 'day_x'" in about(layer)["statement"]
    assert about(image)["provenance"]["marks"]["watermark"]
    assert set(columns.data[:, 0]) == {0, 1, 2}
    assert viewer.dims.point[0] == 0
    # a dock that is opened later finds the run, and does not open its set unasked
    again = TrainingDataDock(ViewerModel())
    qtbot.addWidget(again)
    again.panel.watch(dock.panel.run)
    settled(qtbot, again)
    assert not again.result.isHidden()
    assert not [layer for layer in again.viewer.layers if kind_of(layer) == "generated"]


def test_a_stopped_set_can_be_used_and_resumed(qtbot, dock):
    dock.form.set_value({**dock.form.body.raw(), **TINY, "number": 2000})
    dock.panel.start_button.click()
    qtbot.waitUntil(lambda: not dock.result.isHidden() and dock.panel.bar.value() > 0, timeout=200_000)
    dock.panel.stop_button.click()
    qtbot.waitUntil(lambda: dock.panel.state is RunState.STOPPED, timeout=60_000)
    settled(qtbot, dock)
    made = dock.query.found.total
    assert 0 < made < 2000
    assert dock.train_button.button.isEnabled() == (made > 1)
    assert dock.panel.resume_button.isEnabled()


def test_a_query_chooses_what_is_shown(qtbot, dock, viewer, finished):
    dock.panel.watch(taken(dock, finished))
    settled(qtbot, dock)
    assert len(viewer.layers) == 0
    dock.show_button.click()
    settled(qtbot, dock)
    print([(layer.name, kind_of(layer)) for layer in viewer.layers])
    image, columns, defects = viewer.layers
    before = len(columns.data)
    type_into(dock.query.line, "image > 0 and class has vacancy1")
    assert not dock.show_button.isEnabled()
    settled(qtbot, dock)
    assert dock.query.note.text() == "2 of 3 images"
    dock.query.line.returnPressed.emit()
    settled(qtbot, dock)
    assert list(viewer.layers) == [image, columns, defects]
    assert about(image)["images"] == [1, 2]
    assert image.data.shape[0] == 2
    assert len(columns.data) < before
    assert set(defects.features["class"]) == {"vacancy1"}
    assert "vacancy1" in dock.query.line.toolTip()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("dust > 1", "'dust' is no parameter of this set"),
        ("class has", "a class is expected after 'has', not the end"),
        ("image > 99", "Nothing of the 3 images fulfils this."),
    ],
)
def test_a_query_that_chooses_nothing_is_refused_beside_it(qtbot, dock, viewer, finished, query, words):
    dock.panel.watch(taken(dock, finished))
    settled(qtbot, dock)
    type_into(dock.query.line, query)
    settled(qtbot, dock)
    assert words in dock.query.error.text()
    assert not dock.show_button.isEnabled()
    assert not dock.train_button.button.isEnabled()
    assert len(viewer.layers) == 0


def test_one_image_is_too_few_to_train_on(qtbot, dock, finished):
    dock.panel.watch(taken(dock, finished))
    type_into(dock.query.line, "image = 1")
    settled(qtbot, dock)
    assert dock.show_button.isEnabled()
    assert not dock.train_button.button.isEnabled()
    assert "at least 2 images" in dock.train_button.reason.text()


def test_a_damaged_set_says_so(qtbot, dock, finished):
    run = taken(dock, finished)
    (run.result_folder / "made before.stemset" / "table.sqlite").unlink()
    dock.panel.watch(run)
    settled(qtbot, dock)
    assert "table.sqlite is missing" in dock.query.error.text()
    assert not dock.show_button.isEnabled()


def test_a_few_images_of_a_large_set_are_shown(viewer, tmp_path):
    from napari_stemlearn.datasets.creation import create_data_set
    from napari_stemlearn.sites import make_sites

    data_set = create_data_set(tmp_path / "large.stemset", shape=(20, 24), pixel_size=0.2, synthetic=True)
    sites = make_sites([3.0, 4.0], [5.0, 6.0], "W", pixel_size=0.2).assign(kind=["column", "defect"])
    for number in range(SHOWN_IMAGES + 4):
        data_set.add(np.full((20, 24), float(number)), sites, {"number": number})
    shown = read_images(data_set.path, "number > 1")
    assert shown.matching == SHOWN_IMAGES + 2
    assert shown.numbers == list(range(2, SHOWN_IMAGES + 2))
    assert float(shown.micrograph.frame(3)[0, 0]) == 5.0
    show_images(viewer, shown)
    assert [len(layer.data) for layer in viewer.layers] == [SHOWN_IMAGES] * 3
    data_set.close()


# --- handing over -----------------------------------------------------------------------------------------------------


def test_train_takes_the_set_with_its_query(make_napari_viewer_proxy, qtbot, finished):
    viewer = make_napari_viewer_proxy()
    _widget, dock = viewer.window.add_plugin_dock_widget("napari-stemlearn", "Training data")
    run = taken(dock, finished)
    dock.panel.watch(run)
    type_into(dock.query.line, "image < 2")
    settled(qtbot, dock)
    dock.train_button.click()
    settled(qtbot, dock)
    assert dock.said.text() == "Train uses this set now."
    _widget, train = viewer.window.add_plugin_dock_widget("napari-stemlearn", "Train")
    settings = train.settings()
    assert settings.data.folder == str(run.result_folder / "made before.stemset")
    assert settings.data.where == "image < 2"
    assert settings.pixel_size == 0.2
    assert list(settings.targets.classes) == ["vacancy1"]
    qtbot.waitUntil(lambda: train.source.query.found is not None, timeout=60_000)
    assert train.source.query.note.text() == "2 of 3 images"
    assert train.source.box.currentText() == "made before"
    assert train.panel.start_button.isEnabled()
    for widget in (train, dock):
        viewer.window.remove_dock_widget(widget)


def test_train_takes_the_generator_itself(qtbot, dock, viewer, generator):
    train = TrainDock(viewer)
    qtbot.addWidget(train)
    dock.choose_generator(generator)
    dock.direct_button.click()
    settled(qtbot, dock)
    assert dock.said.text() == "Train uses this generator now."
    assert train.settings().data.generator == str(generator)
    assert train.settings().pixel_size == 0.25
    assert train.source.box.currentText() == TRANSLATED + "day_x"
    assert train.panel.start_button.isEnabled()
    # neither a part of plain images nor a preset puts it away
    train.form.set_value(train.settings().changed(**{"data.translated": 0.5}))
    assert train.settings().data.generator == str(generator)
    train.form.set_preset("quick")
    assert train.settings().data.generator == str(generator)
    train.source.choose("")
    assert train.source.box.currentText() == SIMULATED


def test_without_a_train_dock_it_is_said_where_to_go(qtbot, dock, generator):
    dock.choose_generator(generator)
    dock.direct_button.click()
    settled(qtbot, dock)
    assert dock.said.text() == "Choose this generator in the Train dock."


def test_a_generator_that_tells_too_little_is_not_handed_over(qtbot, dock, generator):
    card = json.loads((generator / "generator.json").read_text())
    del card["settings"]["structures"]
    (generator / "generator.json").write_text(json.dumps(card))
    dock.choose_generator(generator)
    dock.direct_button.click()
    settled(qtbot, dock)
    assert "does not tell what it learnt from" in dock.refused.text()


def test_a_generator_of_a_simulated_stack_needs_specimens_and_a_microscope(qtbot, viewer, dock, tmp_path):
    folder = untrained_generator(tmp_path / "of a stack", simulated=["sim.tif"])
    dock.choose_generator(folder)
    assert "Learnt from day_x.tif and the simulated stack sim.tif" in dock.generator.words.text()
    assert dock.specimens.itemText(FROM_GENERATOR) == "as learnt: not known"
    assert "does not know what to simulate; choose specimens here" in dock.panel.reason.text()
    assert nothing_started(dock)
    dock.specimens.activated.emit(OWN)
    assert "does not know what to simulate" in dock.panel.reason.text()
    dock.form.set_value({**dock.form.body.raw(), "imaging": ImagingSettings().record()})
    settled(qtbot, dock)
    assert dock.panel.start_button.isEnabled()
    dock.direct_button.click()
    settled(qtbot, dock)
    assert "make a set of training data" in dock.refused.text()
    train = TrainDock(viewer)
    qtbot.addWidget(train)
    train.source.choose_generator(str(folder))
    assert "does not know what to simulate; make a set" in train.panel.reason.text()


def test_a_reopened_dock_shows_the_settings_of_the_run_that_goes_on(qtbot, viewer, generator, tmp_path):
    settings = GenerateSettings(name="day_x", generator=str(generator), number=7)
    run = jobs.create("generate", settings, runs_folder=tmp_path / "project" / "runs")
    process_record(os.getpid(), events_from=0, attempt=1, inline=True).save(run.folder / "process.json")
    dock = TrainingDataDock(viewer)
    qtbot.addWidget(dock)
    assert dock.panel.run == run
    assert dock.settings() == settings
    assert dock.generator.folder == str(generator)
    # a name after the generator goes on following it
    other = untrained_generator(tmp_path / "project" / "generators" / "day_y")
    dock.choose_generator(other)
    assert dock.settings().name == dock.generator.card["name"]
    dock.panel.take_action.trigger()
    assert dock.settings() == settings


def test_other_jobs_are_not_in_the_list(dock, finished):
    taken(dock, finished)
    create("cyclegan", CycleGANSettings.preset("tiny"), runs_folder=dock.panel.project.runs)
    dock.panel.refresh_runs()
    (run,) = dock.panel._listed
    assert run.name == finished.name


def test_a_chooser_of_its_own_follows_the_project(qtbot, dock, tmp_path, monkeypatch):
    chooser = GeneratorChooser()
    qtbot.addWidget(chooser)
    assert texts(chooser.box) == [PLAIN, OTHER]
    monkeypatch.setenv("STEMLEARN_PROJECT", str(tmp_path / "other"))
    untrained_generator(tmp_path / "other" / "generators" / "theirs")
    chooser.project.changed.emit()
    listed(qtbot, chooser)
    assert texts(chooser.box) == [PLAIN, "theirs", OTHER]


def test_a_list_of_generators_is_made_beside_the_window(qtbot, dock, generator, monkeypatch):
    go_on = threading.Event()
    threads = []

    def slow(project):
        threads.append(threading.current_thread())
        go_on.wait(20)
        return known_generators(project)

    monkeypatch.setattr("napari_stemlearn.widgets.generator_chooser.known_generators", slow)
    chooser = GeneratorChooser()
    qtbot.addWidget(chooser)
    chooser.show()
    assert texts(chooser.box) == [PLAIN, OTHER]
    go_on.set()
    listed(qtbot, chooser)
    assert texts(chooser.box) == [PLAIN, "day_x", OTHER]
    assert threads == [thread for thread in threads if thread is not threading.main_thread()]
