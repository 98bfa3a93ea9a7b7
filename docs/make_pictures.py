"""Make the pictures of the documentation by driving the real docks.

Needs a screen: ``xvfb-run -s "-screen 0 1700x1400x24" python docs/make_pictures.py``. Names of pictures may be given;
without any, all are made.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SIZE = (1400, 900)
TALL = 1230
DOCK_WIDTH = 400

PICTURES: dict[str, Callable[[], None]] = {}


def picture(function: Callable[[], None]) -> Callable[[], None]:
    """Register a function that makes pictures under its name."""
    PICTURES[function.__name__] = function
    return function


def open_viewer(dock: str, height: int = SIZE[1]) -> tuple[Any, Any]:
    """A napari window with one of our docks; returns viewer and dock."""
    import napari
    from qtpy.QtCore import Qt

    from napari_stemlearn.widgets.project import ProjectRow

    viewer = napari.Viewer(show=True)
    # whatever theme this user has chosen
    viewer.theme = "dark"
    viewer.window.resize(SIZE[0], height)
    widget, inner = viewer.window.add_plugin_dock_widget("napari-stemlearn", dock)
    wait(300)
    viewer.window._qt_window.resizeDocks([widget], [DOCK_WIDTH], Qt.Orientation.Horizontal)
    for row in inner.findChildren(ProjectRow):
        row.label.set_full_text("~/Documents/stemlearn")
    wait(300)
    return viewer, inner


def wait(milliseconds: int) -> None:
    """Let the window work for a while."""
    from qtpy.QtTest import QTest

    QTest.qWait(milliseconds)


def wait_until(condition: Callable[[], bool], seconds: float = 600) -> None:
    """Let the window work until something is true."""
    for _ in range(int(seconds * 20)):
        if condition():
            wait(700)
            return
        wait(50)
    raise SystemExit("A picture could not be made: waiting took too long.")


def snap(viewer: Any, name: str) -> None:
    """Write a picture of the window."""
    wait(400)
    path = HERE / "images" / f"{name}.png"
    path.parent.mkdir(exist_ok=True)
    viewer.window._qt_window.grab().save(str(path), "PNG", 20)
    print(f"made {path.name}, {path.stat().st_size / 1000:.0f} kB")


@picture
def structure() -> None:
    """The Structure dock with a specimen of WSe2."""
    from napari_stemlearn.structures.settings import StructureSettings

    viewer, dock = open_viewer("Structure")
    dock.form.set_value(StructureSettings.preset("wse2"))
    dock.build()
    wait_until(lambda: not dock._background.running)
    viewer.reset_view()
    snap(viewer, "structure")
    viewer.close()


@picture
def simulate() -> None:
    """The Simulate dock with one image and its truth."""
    from napari_stemlearn.datasets.settings import SimulateSettings
    from napari_stemlearn.imaging.settings import ImagingSettings
    from napari_stemlearn.structures.settings import StructureSettings

    viewer, dock = open_viewer("Simulate")
    presets = {"structure": StructureSettings.preset("wse2"), "imaging": ImagingSettings.preset("varied")}
    dock.form.set_value(SimulateSettings(**presets))
    dock.form.body.sections["imaging"].open()
    dock.preview()
    wait_until(lambda: not dock._background.running)
    snap(viewer, "simulate")
    viewer.close()


@picture
def cyclegan() -> None:
    """The CycleGAN dock after a short training on a simulated day; a long one looks better."""
    from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
    from napari_stemlearn.samples import simulated_day
    from napari_stemlearn.widgets.layers import add_image

    viewer, dock = open_viewer("CycleGAN", TALL)
    add_image(viewer, simulated_day(frames=2).stack, name="simulated WSe2 day")
    wait_until(lambda: dock.experiment.look is not None)
    short = {"steps": 240, "every": 20, "simulations": 8, "crop": 64, "batch_size": 4, "check_likeness": False}
    kept = {name: dock.form.body.raw()[name] for name in ("name", "structures", "imaging")}
    dock.form.set_value(CycleGANSettings.preset("quick", **short).record() | kept)
    dock.train()
    wait_until(lambda: dock.panel.state is not None and not dock.panel.state.active, 3000)
    wait_until(lambda: not dock.panel._turns)
    dock.zoom_to_pictures()
    snap(viewer, "cyclegan")
    viewer.close()


def short_generator() -> Path:
    """A generator after a short training on a simulated day, in the project folder; a long one looks better."""
    from napari_stemlearn import jobs
    from napari_stemlearn.formats import write_tiff
    from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
    from napari_stemlearn.samples import simulated_day

    project = Path(os.environ["STEMLEARN_PROJECT"])
    stack = write_tiff(project / "simulated day.tif", simulated_day(frames=2).stack)
    short = {"steps": 120, "every": 30, "simulations": 8, "crop": 64, "batch_size": 4, "check_likeness": False}
    settings = CycleGANSettings.preset("quick", name="my-day", experiment=[str(stack)], **short)
    run = jobs.start("cyclegan", settings, runs_folder=project / "runs")
    run.wait(3000)
    return Path(run.result["generator"])


@picture
def training_data() -> None:
    """The Training data dock with a set that is done."""
    generator = short_generator()
    viewer, dock = open_viewer("Training data", TALL)
    dock.choose_generator(generator)
    small = {"number": 24, "shape": (256, 256), "workers": 0}
    dock.form.set_value({**dock.form.body.raw(), **small})
    dock.make()
    wait_until(lambda: not dock.panel.state.active and len(viewer.layers) == 3, 1800)
    dock.facts.setText(dock.facts.text().replace(os.environ["STEMLEARN_PROJECT"], "~/Documents/stemlearn"))
    dock.setup.open()
    dock.scroll.verticalScrollBar().setValue(0)
    snap(viewer, "training_data")
    viewer.close()


@picture
def train() -> None:
    """The Train dock while a small network learns."""
    from napari_stemlearn.learning.settings import SegmentationSettings

    viewer, dock = open_viewer("Train")
    quick = {
        "name": "wse2-vacancies",
        "network": {"width": 8, "levels": 3},
        "optimisation": {"steps": 300, "batch_size": 4, "crop": 96, "report_every": 5},
        "validation": {"every": 20, "images": 4, "held_out_style": "soft_detector"},
    }
    dock.form.set_value(SegmentationSettings.preset("tiny", **quick))
    dock.train()
    points = dock.panel.curves.points
    wait_until(lambda: len(points.get("held_out_f1", ([], []))[0]) >= 12 or not dock.panel.state.active, 1800)
    viewer.reset_view()
    snap(viewer, "train")
    run = dock.panel.run
    viewer.close()
    if run.state.active:
        run.stop()
        run.wait(300)


def found_day(dock_name: str) -> tuple[Any, Any, Any, Any]:
    """A simulated frame, searched, and another dock beside the Find dock; returns viewer, docks and the day."""
    from napari_stemlearn.samples import simulated_day
    from napari_stemlearn.widgets.layers import add_image
    from napari_stemlearn.widgets.project import ProjectRow

    viewer, find = open_viewer("Find")
    day = simulated_day(frames=1)
    add_image(viewer, day.labelled.micrograph, name="simulated WSe2, frame 1")
    viewer.reset_view()
    other = None
    if dock_name:
        _widget, other = viewer.window.add_plugin_dock_widget("napari-stemlearn", dock_name, tabify=True)
        for row in other.findChildren(ProjectRow):
            row.label.set_full_text("~/Documents/stemlearn")
    find.model.choose("tmd-defects")
    find.find_button.click()
    wait_until(lambda: find.worker is None)
    return viewer, find, other, day


@picture
def overview() -> None:
    """A micrograph with the defects that were found."""
    viewer, _find, _other, _day = found_day("")
    snap(viewer, "overview")
    viewer.close()


@picture
def find() -> None:
    """The Find dock with found defects, nearer, with open options."""
    viewer, dock, _other, _day = found_day("")
    dock.options.open()
    viewer.camera.zoom *= 2.5
    snap(viewer, "find")
    viewer.close()


@picture
def label() -> None:
    """The Label and score dock while predictions are reviewed."""
    viewer, _find, dock, _day = found_day("Label and score")
    dock.start()
    dock.review.restart()
    for _ in range(6):
        dock.review.step(1)
        dock.review.accept()
    wait_until(lambda: not dock.session.unsaved)
    dock.score_section.open(False)
    snap(viewer, "label")
    viewer.close()


@picture
def score() -> None:
    """The score table, and true positives, false positives and false negatives."""
    from napari_stemlearn.widgets.layers import add_sites, our_layers

    viewer, _find, dock, day = found_day("Label and score")
    image = viewer.layers[0]
    truth = day.labelled.defects
    height, width = image.data.shape
    inside = truth["y"].between(0, height - 1) & truth["x"].between(0, width - 1)
    layer = add_sites(viewer, truth[inside].reset_index(drop=True), kind="truth", source_layer=image, name="truth")
    dock.score.truth.choose(layer)
    dock.score_section.open()
    wait_until(lambda: dock.score.scores is not None)
    dock.score.show_matches()
    for other in our_layers(viewer, ("predicted", "truth")):
        other.visible = False
    viewer.camera.zoom *= 2
    snap(viewer, "score")
    viewer.close()


def main() -> None:
    """Make the chosen pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"among {', '.join(PICTURES)}")
    chosen = parser.parse_args().names
    unknown = set(chosen) - set(PICTURES)
    if unknown:
        parser.error(f"there is no picture {', '.join(sorted(unknown))}; choose among {', '.join(PICTURES)}")
    with tempfile.TemporaryDirectory(prefix="stemlearn-", ignore_cleanup_errors=True) as folder:
        os.environ["STEMLEARN_PROJECT"] = folder
        for name in chosen or PICTURES:
            PICTURES[name]()


if __name__ == "__main__":
    main()
