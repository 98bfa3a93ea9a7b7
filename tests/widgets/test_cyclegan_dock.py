"""The CycleGAN dock takes layers and files, refuses what cannot be learnt from, and leads to a generator."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from napari.layers._source import layer_source

from napari_stemlearn import jobs
from napari_stemlearn.datasets.settings import SimulateSettings
from napari_stemlearn.datasets.simulated import simulate_one
from napari_stemlearn.events import Metric
from napari_stemlearn.formats import read_micrograph, read_sites, write_tiff
from napari_stemlearn.jobs import RunState, create
from napari_stemlearn.jobs.event_log import append_event
from napari_stemlearn.jobs.processes import process_record
from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.learning.generator_cards import read_generator_card
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.structures.settings import StructureSettings
from napari_stemlearn.widgets.cyclegan_curves import CycleGANCurves
from napari_stemlearn.widgets.cyclegan_dock import CycleGANDock, mixture_of
from napari_stemlearn.widgets.experiment_look import LOOKED_AT, write_once
from napari_stemlearn.widgets.generator_chooser import card_words
from napari_stemlearn.widgets.layers import add_image, our_layers
from napari_stemlearn.widgets.simulate_dock import SimulateDock, show_truth
from napari_stemlearn.widgets.simulated_look import write_stack_once
from napari_stemlearn.widgets.structure_dock import StructureDock
from napari_stemlearn.widgets.translation_previews import TranslationPreviews
from simulated_stacks import write_simulated_stack

ANGSTROM = {"units": ("angstrom", "angstrom"), "scale": (0.2, 0.2)}


@pytest.fixture
def dock(qtbot, viewer):
    dock = CycleGANDock(viewer)
    qtbot.addWidget(dock)
    return dock


def noise(shape=(2, 96, 96), seed=0):
    return np.random.default_rng(seed).poisson(50, shape).astype(np.uint16)


def stack_file(path, pixel_size=0.2, **changes):
    return write_tiff(path, Micrograph(noise(**changes), pixel_size, Path(path).stem))


def settled(qtbot, dock):
    """Wait until all images and specimens were looked at."""
    busy = (dock.experiment._background, dock.specimen._background, dock.stack._background, dock._writer)
    timers = (dock.specimen._timer, dock.stack._later)
    qtbot.waitUntil(
        lambda: not any(one.running for one in busy) and not any(timer.isActive() for timer in timers), timeout=60_000
    )


def reason(dock):
    return dock.panel.reason.text()


def nothing_started(dock):
    assert not dock.panel.start_button.isEnabled()
    dock.train()
    assert dock.panel.run is None
    assert not dock.panel.project.runs.exists()
    assert not dock.panel.project.experiments.exists()
    return True


# --- what is chosen ---------------------------------------------------------------------------------------------------


def test_it_opens_empty_and_says_what_to_do(dock):
    assert "open an experimental image or stack first" in reason(dock)
    assert dock.form.preset_box.currentText() == "quick"
    assert dock.specimen.crystal.raw() == "WSe2"
    assert "vacancy1 3 %" in dock.specimen.facts.text()
    assert dock.keep_button.isHidden()
    assert dock.zoom_button.isHidden()
    assert not dock.copy_button.isEnabled()
    assert nothing_started(dock)


def test_a_layer_of_a_file_stands_for_its_file_until_it_is_changed(qtbot, dock, viewer, tmp_path):
    path = stack_file(tmp_path / "day a.tif")
    with layer_source(path=str(path)):
        add_image(viewer, read_micrograph(path))
    settled(qtbot, dock)
    assert dock.panel.start_button.isEnabled()
    assert "2 frames of 96 × 96 pixels of 0.2 Å" in dock.experiment.facts.text()
    assert "one-image" not in dock.experiment.facts.text()
    assert "one-image" in replace(dock.experiment.look, n_frames=1).words()
    assert dock.settings().experiment == (str(path),)
    assert dock.settings().pixel_size == 0.2
    assert dock.settings().name == "day_a"
    viewer.layers[0].data = viewer.layers[0].data + 1
    settled(qtbot, dock)
    assert dock.settings().experiment == ()


def test_the_name_that_somebody_gave_stays(qtbot, dock, viewer):
    dock.form.set_value({**dock.form.body.raw(), "name": "mine"})
    add_image(viewer, Micrograph(noise(), 0.2, "day a"))
    settled(qtbot, dock)
    assert dock.settings().name == "mine"


def test_pictures_and_simulations_are_no_experiment(dock, viewer):
    add_image(viewer, Micrograph(noise(), 0.2, "picture"), kind="preview")
    add_image(viewer, Micrograph(noise(), 0.2, "simulation"), kind="simulated")
    assert dock.experiment.layer() is None


def test_a_colour_picture_is_named_where_there_is_no_experiment(dock, viewer):
    viewer.add_image(np.zeros((8, 8, 3), np.uint8), rgb=True, name="my png")
    assert "'my png' is a colour picture" in reason(dock)
    viewer.layers.clear()
    assert "open an experimental image or stack first" in reason(dock)


def test_a_pixel_size_is_asked_once_for_a_layer(qtbot, dock, viewer):
    viewer.add_image(noise(), name="bare")
    assert "give the pixel size" in reason(dock)
    assert nothing_started(dock)
    row = dock.experiment.size_row
    assert row.asks
    row.line.setText("-1")
    row.button.click()
    assert "0.001" in row.error.text()
    row.line.setText("0.15")
    row.button.click()
    settled(qtbot, dock)
    assert not row.asks
    assert dock.settings().pixel_size == pytest.approx(0.15)
    assert dock.panel.start_button.isEnabled()


def test_files_and_folders(qtbot, dock, tmp_path):
    (tmp_path / "day").mkdir()
    files = [stack_file(tmp_path / "day" / f"{name}.tif", None) for name in "ab"]
    dock.experiment.choose_files([str(tmp_path / "day")])
    settled(qtbot, dock)
    assert "give the pixel size" in reason(dock)
    assert "4 frames of 96 × 96" in dock.experiment.facts.text()
    dock.experiment.size_row.line.setText("0.3")
    dock.experiment.size_row.line.returnPressed.emit()
    settled(qtbot, dock)
    assert dock.experiment.size_row.isHidden()
    assert dock.settings().experiment == tuple(map(str, files))
    assert dock.settings().pixel_size == 0.3
    dock.experiment.choose_files(())
    assert "open an experimental image" in reason(dock)


def test_a_settings_file_brings_its_images(qtbot, dock, tmp_path):
    path = stack_file(tmp_path / "stack.tif", None)
    settings = CycleGANSettings.preset("tiny", experiment=(str(path),), pixel_size=0.25, name="yesterday")
    settings.save(tmp_path / "gan.yaml")
    dock.form.load(tmp_path / "gan.yaml")
    settled(qtbot, dock)
    assert dock.settings() == settings
    assert dock.form.preset_box.currentText() == "tiny"


def test_another_preset_keeps_what_is_learnt(qtbot, dock, viewer):
    dock.specimen.crystal.set_raw("graphene")
    dock.specimen.crystal.changed.emit()
    settled(qtbot, dock)
    dock.form.set_preset("paper")
    assert dock.form.value().structures[0].structure == StructureSettings.preset("graphene")
    assert dock.form.preset_box.currentText() == "paper"
    assert dock.specimen.crystal.raw() == "graphene"
    assert dock.specimen.error.isHidden()


def test_a_crystal_brings_defects_that_suit_it(qtbot, dock):
    for crystal, defects in (("MoS2", "vacancy1 3 %"), ("SrTiO3", "Defects: none"), ("GaAs", "Defects: none")):
        dock.specimen.crystal.set_raw(crystal)
        dock.specimen.crystal.changed.emit()
        settled(qtbot, dock)
        assert defects in dock.specimen.facts.text()
        assert dock.specimen.problem() is None
        assert dock.form.value().structures[0].structure.crystal == crystal


def test_specimen_and_microscope_of_the_other_docks(qtbot, dock, viewer):
    dock.take_structure()
    assert "open the Structure dock" in dock.form.error.text()
    dock.take_simulation()
    assert "open the Simulate dock" in dock.form.error.text()
    structure, simulate = StructureDock(viewer), SimulateDock(viewer)
    for other in (structure, simulate):
        qtbot.addWidget(other)
    structure.form.set_preset("gold")
    dock.take_structure()
    assert dock.form.value().structures[0].structure == StructureSettings.preset("gold")
    assert dock.specimen.crystal.raw() == "Au"
    simulation = SimulateSettings().changed(structure={"crystal": "MoTe2"}, imaging={"detector": {"dose": 1234.0}})
    simulate.form.set_value(simulation)
    dock.take_simulation()
    assert dock.form.value().structures[0].structure == simulation.structure
    assert dock.form.value().imaging == simulation.imaging
    settled(qtbot, dock)


def test_a_mixture_is_only_described(dock):
    parts = [mixture_of(StructureSettings.preset(name)) for name in ("wse2", "graphene")]
    dock.form.set_value({**dock.form.body.raw(), "structures": parts})
    assert not dock.specimen.crystal.isEnabled()
    assert "A mixture: WSe2, graphene" in dock.specimen.facts.text()


# --- what is refused --------------------------------------------------------------------------------------------------


def holes():
    data = noise().astype(np.float32)
    data[1, 5, 5] = np.nan
    return data


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        (noise((40, 40)), ANGSTROM, "40 by 40 pixels; crops of 96 pixels"),
        (np.full((128, 128), 7, np.uint8), ANGSTROM, "one grey level"),
        (holes(), {"units": ("pixel", "angstrom", "angstrom"), "scale": (1, 0.2, 0.2)}, "NaN"),
        (noise(), {}, "give the pixel size"),
        (noise((128, 128)), {**ANGSTROM, "scale": (0.2, 0.3)}, "square"),
        (noise((128, 128)), {**ANGSTROM, "scale": (5.0, 5.0)}, "allowed: 0.01 to 2 angstrom"),
        (noise((2, 2, 96, 96)), {}, "4 axes"),
    ],
    ids=["too small", "one grey level", "NaN", "no pixel size", "oblong", "too coarse", "4D"],
)
def test_an_image_that_cannot_be_learnt_from_is_one_sentence(qtbot, dock, viewer, data, options, words):
    viewer.add_image(data, name="image", **options)
    settled(qtbot, dock)
    assert words in reason(dock)
    assert nothing_started(dock)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["gone.tif"], "gone.tif does not exist"),
        (["empty"], "There are no micrographs in"),
        (["a.tif", "coarse.tif"], "one pixel size is needed"),
        (["words.tif"], "words.tif"),
        (["flat.tif"], "one grey level"),
    ],
)
def test_files_that_cannot_be_learnt_from_are_one_sentence(qtbot, dock, tmp_path, files, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "words.tif").write_text("no image")
    stack_file(tmp_path / "a.tif")
    stack_file(tmp_path / "coarse.tif", 0.4)
    write_tiff(tmp_path / "flat.tif", Micrograph(np.ones((128, 128)), 0.2, "flat"))
    dock.experiment.choose_files([str(tmp_path / name) for name in files])
    settled(qtbot, dock)
    assert words in dock.experiment.error.text()
    assert words.lower() in reason(dock).lower()
    assert nothing_started(dock)


def test_a_specimen_that_cannot_be_built_is_one_sentence(qtbot, dock, viewer):
    add_image(viewer, Micrograph(noise(), 0.2, "day a"))
    dock.specimen.crystal.set_raw("cheese")
    dock.specimen.crystal.changed.emit()
    settled(qtbot, dock)
    assert "cheese" in dock.specimen.error.text()
    assert nothing_started(dock)
    odd = StructureSettings(crystal="graphene", defects=[{"kind": "vacancy2", "probability": 0.1}])
    dock.form.set_value({**dock.form.body.raw(), "structures": [mixture_of(odd)]})
    settled(qtbot, dock)
    assert "columns of two atoms" in dock.specimen.error.text()
    assert nothing_started(dock)
    dock.form.reset()
    settled(qtbot, dock)
    assert dock.panel.start_button.isEnabled()


def test_a_setting_that_is_not_allowed_keeps_the_button_off(qtbot, dock, viewer):
    add_image(viewer, Micrograph(noise(), 0.2, "day a"))
    settled(qtbot, dock)
    dock.form.section.open()
    line = dock.form.body.editors["steps"].line
    line.setText("0")
    line.textEdited.emit("0")
    assert "steps is 0; allowed: at least 1" in reason(dock)
    assert nothing_started(dock)


def test_a_project_folder_that_cannot_be_written_is_said(qtbot, dock, viewer, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    add_image(viewer, Micrograph(noise(), 0.2, "day a"))
    settled(qtbot, dock)
    monkeypatch.setenv("STEMLEARN_PROJECT", str(tmp_path / "file"))
    dock.train()
    settled(qtbot, dock)
    assert "cannot be made" in dock.panel.error.text()
    assert dock.panel.run is None
    assert dock.panel.start_button.isEnabled()


def test_of_large_stacks_some_frames_are_looked_at(qtbot, dock, viewer, tmp_path, monkeypatch):
    from napari_stemlearn.widgets import experiment_look

    monkeypatch.setattr(experiment_look, "LAZY_ABOVE", 1000)
    looked = []
    monkeypatch.setattr(experiment_look, "check_values", lambda frame, name: looked.append(name))
    data = np.memmap(tmp_path / "stack.raw", np.uint16, "w+", shape=(40, 96, 96))
    add_image(viewer, Micrograph(data, 0.2, "large"))
    settled(qtbot, dock)
    assert len(looked) == LOOKED_AT
    assert dock.panel.start_button.isEnabled()


# --- curves and pictures ----------------------------------------------------------------------------------------------


def test_curves_of_all_parts_with_the_limits(qtbot):
    curves = CycleGANCurves()
    qtbot.addWidget(curves)
    curves.require(CycleGANSettings(survival={"recall": 0.9, "displacement": 0.2}).survival)
    curves.append(0, {"simulation_spectrum": 0.5, "simulation_noise": 0.0})
    for step in (10, 20):
        curves.append(step, dict.fromkeys(("generators", "critics", "adversarial", "fourier", "cycle"), 1.0 / step))
        curves.append(step, {"labels_recall": 0.95, "labels_displacement": 0.1, "labels_drift_y": 0.0})
        curves.append(step, {"realism_spectrum": 5 / step, "realism_noise": 0.1, "realism_kid": 0.3})
    assert curves.points["realism_spectrum"] == ([10, 20], [1.0, 0.5])
    assert set(curves.kinds()) == {"loss", "recall", "displacement", "realism"}
    assert "labels_drift_y" not in curves.points
    for kind in curves.kinds():
        curves.draw(kind)
    assert [line.value() for line in curves._drawn_lines.values()] == [0.9, 0.2, 1.0]
    assert "adversarial" in curves.legends["loss"].text()
    assert "at&nbsp;least" in curves.legends["recall"].text()
    low, high = curves.plots["recall"].getViewBox().viewRange()[1]
    assert low < 0.9
    assert high > 0.95
    curves.clear()
    curves.require(CycleGANSettings().survival)
    curves.append(5, {"labels_recall": 1.0})
    curves.draw("recall")
    assert curves._drawn_lines["recall"].value() == 0.99
    assert "at&nbsp;least" in curves.legends["recall"].text()


def test_pictures_lie_above_their_amplitudes_and_are_refreshed_in_place(viewer):
    previews = TranslationPreviews(viewer, "a run")
    for step in (1, 2):
        for side in ("simulation", "experiment"):
            images = np.random.default_rng(step).normal(size=(3, 32, 32)).astype(np.float32)
            previews.show(f"{side}: input, translated, cycled", images, 0.2, step)
            previews.show(f"{side}: Fourier amplitudes", images, None, step)
    layers = {layer.metadata["napari_stemlearn"]["preview"]: layer for layer in our_layers(viewer, "preview")}
    assert len(layers) == 4
    tops = [layers[name].extent.world[0][0] for name in layers]
    assert tops == sorted(tops)
    lefts = [(layer.extent.world[0][1], *np.ptp(layer.extent.world, axis=0)) for layer in layers.values()]
    np.testing.assert_allclose(lefts, [lefts[0]] * 4)
    bottom = max(layer.extent.world[1][0] for layer in layers.values())
    assert bottom <= 0


# --- from the images to a generator -----------------------------------------------------------------------------------


def lenient(dock, **changes):
    """Nothing is asked of a generator that learns for an instant; its specimen must be without defects."""
    values = {**dock.form.body.raw(), **CycleGANSettings.preset("tiny").record(), **changes}
    values["survival"] = {**values["survival"], "recall": 0.0, "displacement": 10.0, **changes.get("survival", {})}
    keep = {key: dock.form.body.raw()[key] for key in ("name", "structures", "imaging")}
    dock.form.set_value({**values, **keep, "experiment": (), "pixel_size": None})


# --- a simulated stack in place of settings ---------------------------------------------------------------------------


def simulated(viewer, side=96, pixel_size=0.25, part="set"):
    """Layers as the Simulate dock makes them: gold, without defects."""
    imaging = {"shape": (side, side), "pixel_size": pixel_size, "detector": {"counting_noise": False}}
    made = simulate_one(SimulateSettings().changed(structure={"crystal": "Au", "defects": []}, imaging=imaging), 0)[0]
    show_truth(viewer, made.micrograph, made.columns, made.defects, part)
    return made


def test_a_stack_of_the_simulate_dock_is_taken_with_its_sites(qtbot, dock, viewer):
    dock.take_stack()
    assert not dock.stack.isHidden()
    assert dock.specimen.isHidden()
    assert dock.form.body.sections["structures"].isHidden()
    add_image(viewer, Micrograph(noise(), 0.2, "day a"))
    settled(qtbot, dock)
    assert "simulate a stack in the Simulate dock first" in reason(dock)
    made = simulated(viewer, side=160)
    settled(qtbot, dock)
    assert dock.stack.layer().name == made.micrograph.name
    facts = dock.stack.facts.text()
    assert f"1 frame of 160 × 160 pixels of 0.25 Å with {len(made.columns)} columns and 0 defects." in facts
    assert "pixels of 0.25 angstrom: image and sites are resampled to the 0.2 of the experiment" in facts
    assert dock.panel.start_button.isEnabled()
    assert "sites_of(viewer, stack)" in dock.lines()
    assert "structures=[]," in dock.lines()
    # another simulation of the Simulate dock in the same layers
    again = simulated(viewer, side=200)
    settled(qtbot, dock)
    assert f"200 × 200 pixels of 0.25 Å with {len(again.columns)} columns" in dock.stack.facts.text()
    # the crystal is there again
    dock.take_stack(False)
    assert dock.settings().structures[0].structure.crystal == "WSe2"
    assert dock.settings().simulated == ()
    assert not dock.form.body.sections["structures"].isHidden()


def test_a_stack_that_cannot_be_used_is_one_sentence(qtbot, dock, viewer):
    add_image(viewer, Micrograph(noise(), 0.2, "day a"))
    dock.take_stack()
    simulated(viewer)
    settled(qtbot, dock)
    assert dock.panel.start_button.isEnabled()
    dock.form.set_value({**dock.form.body.raw(), "crop": 128})
    settled(qtbot, dock)
    assert "crops of 128 need larger images" in reason(dock)
    for layer in our_layers(viewer, "truth"):
        viewer.layers.remove(layer)
    settled(qtbot, dock)
    assert "has no sites" in dock.stack.error.text()
    assert "whether labels survive is measured on them" in reason(dock)
    assert nothing_started(dock)


def test_files_of_a_stack_and_settings_that_bring_them(qtbot, dock, tmp_path):
    stack = write_simulated_stack(tmp_path / "sim.tif", side=128, crystal="Au")
    day = stack_file(tmp_path / "day.tif")
    settings = CycleGANSettings.preset("tiny", experiment=(str(day),), pixel_size=0.2, simulated=(str(stack),))
    settings.save(tmp_path / "gan.yaml")
    dock.form.load(tmp_path / "gan.yaml")
    settled(qtbot, dock)
    assert dock.takes_stack
    assert "2 frames of 128 × 128 pixels of 0.2 Å" in dock.stack.facts.text()
    assert dock.settings() == settings.changed(name=dock.settings().name)
    (tmp_path / "sim_sites.csv").unlink()
    dock.stack.refresh()
    settled(qtbot, dock)
    assert "sim_sites.csv is missing" in reason(dock)
    assert nothing_started(dock)


def test_from_layers_of_a_simulation_to_a_generator(qtbot, dock, viewer):
    add_image(viewer, Micrograph(noise(), 0.2, "day a"))
    made = simulated(viewer, side=128)
    dock.take_stack()
    lenient(dock)
    settled(qtbot, dock)
    dock.panel.start_button.click()
    qtbot.waitUntil(lambda: dock.panel.run is not None, timeout=100_000)
    (written,) = dock.panel.project.simulations.glob("*.tif")
    assert dock.panel.run.settings.simulated == (str(written),)
    assert dock.panel.run.settings.structures == ()
    assert np.array_equal(read_micrograph(written).data, made.micrograph.data)
    sites = read_sites(written.with_name(f"{written.stem}_sites.csv"))
    np.testing.assert_array_equal(sites[["y", "x"]], made.columns[["y", "x"]])
    assert write_stack_once(dock.stack.micrograph(), dock.stack.sites(), written.parent) == (str(written),)
    qtbot.waitUntil(lambda: not dock.panel.state.active, timeout=250_000)
    assert dock.panel.error.text() == ""
    card = read_generator_card(dock.generator())
    assert f"the simulated stack {written.name}, at 0.2" in card_words(card)[0]


def test_from_a_layer_through_stop_and_resume_to_a_kept_generator(qtbot, viewer, dock):
    layer = add_image(viewer, Micrograph(noise(), 0.2, "day a"))
    dock.specimen.crystal.set_raw("Au")
    dock.specimen.crystal.changed.emit()
    lenient(dock, steps=150, every=150)
    settled(qtbot, dock)
    assert dock.settings().experiment == ()
    assert "viewer.layers['day a']" in dock.lines()
    dock.panel.start_button.click()
    assert "being written" in reason(dock)
    qtbot.waitUntil(lambda: dock.panel.state is RunState.RUNNING, timeout=100_000)
    (written,) = dock.panel.project.experiments.iterdir()
    stored = read_micrograph(written)
    assert np.array_equal(stored.data, layer.data)
    assert stored.pixel_size == pytest.approx(0.2)
    assert dock.panel.run.settings.experiment == (str(written),)
    assert not dock.setup.is_open

    # another dock finds what runs
    again = CycleGANDock(viewer)
    qtbot.addWidget(again)
    assert again.panel.run == dock.panel.run
    dock.panel.watch(None)
    qtbot.waitUntil(lambda: "generators" in again.panel.last_metrics, timeout=100_000)
    again.panel.stop_button.click()
    qtbot.waitUntil(lambda: again.panel.state is RunState.STOPPED, timeout=100_000)
    assert again.generator() is None
    assert again.keep_button.isHidden()
    reached = again.curves.points["generators"][0][-1]
    assert reached < 150
    again.panel.resume_button.click()
    qtbot.waitUntil(lambda: again.panel.state in (RunState.DONE, RunState.FAILED), timeout=250_000)
    assert again.panel.error.text() == ""
    events = again.panel.run.events()[0]
    steps = [event.step for event in events if isinstance(event, Metric) and "critics" in event.values]
    assert steps == sorted(set(steps))

    qtbot.waitUntil(lambda: not again.panel._turns, timeout=30_000)
    assert {"loss", "realism"} <= set(again.curves.plots)
    assert len(our_layers(viewer, "preview")) == 4
    assert not again.zoom_button.isHidden()
    assert "before → after: spectrum" in again.summary.text()
    again.keep_button.click()
    kept = again.panel.project.generators / "day_a"
    assert (kept / "generator.json").exists()
    assert str(kept) in again.kept.text()
    again.data_button.click()
    assert "Choose it in the Training data dock" in again.kept.text()
    assert [entry.name for entry in again.panel.project.generators.iterdir()] == ["day_a"]

    # the same image is not written twice
    look = dock.experiment.look
    before = written.stat().st_mtime_ns
    assert write_once(look, dock.experiment.micrograph(), written.parent).files == (str(written),)
    assert written.stat().st_mtime_ns == before


def test_a_generator_that_moves_atoms_is_refused_with_a_sentence(qtbot, dock, tmp_path):
    path = stack_file(tmp_path / "day.tif")
    settings = CycleGANSettings.preset("tiny", experiment=(str(path),))
    strict = settings.changed(
        learning_rate=0.05, survival={"recall": 1.0, "tolerance": 0.01, "images": 1, "repeats": 2}
    )
    run = jobs.run_inline("cyclegan", strict, runs_folder=dock.panel.project.runs)
    heard = [event.message for event in run.events()[0] if getattr(event, "level", "") == "warning"]
    dock._heard(run.events()[0])
    assert dock.refused.text() == f"Refused as it is now: {heard[-1]}"
    dock.panel.watch(run)
    assert dock.panel.state is RunState.FAILED
    assert "atoms" in dock.panel.error.text()
    assert dock.refused.isHidden()
    assert dock.keep_button.isHidden()
    assert dock.curves.lines["recall"] == 1.0


def test_the_copied_lines_are_the_settings(qtbot, dock, tmp_path):
    path = stack_file(tmp_path / "day.tif")
    dock.experiment.choose_files([str(path)])
    settled(qtbot, dock)
    dock.form.set_value({**dock.form.body.raw(), "steps": 7, "weights": {"cycle": 3.0}})
    names = {}
    exec(dock.lines().split("run = ")[0], names)
    assert names["settings"] == dock.settings()


def test_looking_at_a_run_folds_the_settings_away(dock):
    run = create("cyclegan", CycleGANSettings.preset("tiny"), runs_folder=dock.panel.project.runs)
    dock.panel.watch(run)
    assert not dock.setup.is_open
    dock.panel.watch(None)
    assert dock.setup.is_open


def test_a_reopened_dock_shows_the_settings_of_the_run_that_goes_on(qtbot, viewer, tmp_path):
    path = stack_file(tmp_path / "day a.tif")
    settings = CycleGANSettings.preset("tiny", name="generator", experiment=(str(path),), pixel_size=0.2, steps=77)
    run = create("cyclegan", settings, runs_folder=tmp_path / "project" / "runs")
    process_record(os.getpid(), events_from=0, attempt=1, inline=True).save(run.folder / "process.json")
    dock = CycleGANDock(viewer)
    qtbot.addWidget(dock)
    settled(qtbot, dock)
    assert dock.panel.run == run
    assert dock.settings() == settings
    dock.form.set_value({**dock.form.body.raw(), "steps": 5})
    dock.take_stack()
    dock.panel.take_action.trigger()
    settled(qtbot, dock)
    assert not dock.takes_stack
    assert dock.settings() == settings


def test_zooming_is_offered_only_while_there_are_pictures(qtbot, dock, viewer, tmp_path):
    run = create("cyclegan", CycleGANSettings.preset("tiny"), runs_folder=tmp_path / "project" / "runs")
    append_event(run.folder / "events.jsonl", Metric(step=1, values={"generators": 1.0}))
    dock.panel.watch(run)
    assert dock.panel.last_metrics == {"generators": 1.0}
    assert dock.zoom_button.isHidden()
    assert dock.legend.isHidden()
    dock.panel._previews.show("simulation: Fourier amplitudes", np.ones((4, 4)), 0.2, 1)
    assert not dock.zoom_button.isHidden()
    assert not dock.legend.isHidden()
    viewer.layers.clear()
    assert dock.zoom_button.isHidden()
    assert dock.legend.isHidden()


def test_in_a_window_the_view_goes_to_the_pictures_and_the_generator_to_the_next_dock(
    make_napari_viewer_proxy, tmp_path
):
    viewer = make_napari_viewer_proxy()
    _widget, dock = viewer.window.add_plugin_dock_widget("napari-stemlearn", "CycleGAN")
    viewer.add_image(noise((2, 500, 500)))
    before = viewer.camera.zoom
    dock.zoom_to_pictures()
    assert viewer.camera.zoom == before
    settings = CycleGANSettings.preset("tiny", name="mine", experiment=(str(stack_file(tmp_path / "day.tif")),))
    settings = settings.changed(**{"survival.recall": 0.0, "survival.displacement": 10.0})
    settings = settings.changed(structures=[mixture_of(StructureSettings.preset("gold"))])
    run = jobs.run_inline("cyclegan", settings, runs_folder=dock.panel.project.runs)
    dock.panel.watch(run)
    while dock.panel._turns:
        dock.panel._take_turn()
    dock.zoom_to_pictures()
    corners = np.concatenate([layer.extent.world[:, -2:] for layer in our_layers(viewer, "preview")])
    centre = (corners.min(axis=0) + corners.max(axis=0)) / 2
    assert viewer.camera.zoom > 3 * before
    assert viewer.camera.center[-2:] == pytest.approx(tuple(centre), abs=1e-6)
    dock.data_button.click()
    assert "Training data uses it now" in dock.kept.text()
    widget, data = viewer.window.add_plugin_dock_widget("napari-stemlearn", "Training data")
    assert viewer.window._qt_window.tabifiedDockWidgets(widget)
    assert data.settings().generator == str(dock.panel.project.generators / "mine")
    for widget in (data, dock):
        viewer.window.remove_dock_widget(widget)
