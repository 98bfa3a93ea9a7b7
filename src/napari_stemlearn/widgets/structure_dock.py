"""The Structure dock: choose a crystal and its defects, and see every column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from napari_stemlearn.structures.settings import StructureSettings
from napari_stemlearn.widgets.background import Background
from napari_stemlearn.widgets.copy_python import CopyButton, structure_lines
from napari_stemlearn.widgets.dock import Dock, dock_news
from napari_stemlearn.widgets.editors import NumberEditor
from napari_stemlearn.widgets.form import SettingsForm
from napari_stemlearn.widgets.labels import ErrorLabel
from napari_stemlearn.widgets.typed_values import keep_typed

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel
    from napari.layers import Points

    from napari_stemlearn.structures.specimen import Specimen

FINE = 0.1
"""Data units of the layers in angstrom: there is no image whose pixels they could take."""

BEHIND_IMAGE = "behind_image"
"""Entry of the metadata: the layer was hidden for a simulated image."""


class StructureDock(Dock):
    """Build specimens and look at them."""

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None):
        super().__init__(
            napari_viewer, "What is in the specimen. Choose a crystal and its defects, then press Build.", parent
        )
        self.form = SettingsForm(StructureSettings)
        self.form.body.sections["defects"].open()
        self.column.addWidget(self.form)
        row = QHBoxLayout()
        row.addWidget(QLabel("Seed"))
        self.seed = NumberEditor(whole=True, bounds=(0, None))
        self.seed.set_raw(0)
        self.seed.setToolTip("The same seed and settings give the same specimen")
        self.seed.setMaximumWidth(90)
        row.addWidget(self.seed)
        self.build_button = QPushButton("Build")
        self.build_button.setToolTip("Make the specimen and show its columns and its defects in two layers")
        row.addWidget(self.build_button, 1)
        self.copy_button = CopyButton(self.lines)
        row.addWidget(self.copy_button)
        self.column.addLayout(row)
        self.reason = ErrorLabel()
        self.column.addWidget(self.reason)
        self.report = QLabel()
        self.report.setWordWrap(True)
        self.report.hide()
        self.column.addWidget(self.report)
        self.column.addStretch(1)

        self.specimen: Specimen | None = None
        self._background = Background(self)
        self._background.done.connect(self._built)
        self._background.failed.connect(self._failed)
        self.form.changed.connect(self._check)
        self.form.changed.connect(dock_news().changed)
        self.seed.changed.connect(self._check)
        self.build_button.clicked.connect(self.build)
        keep_typed(napari_viewer, "Structure", form=self.form, seed=self.seed)
        self._check()

    # -- settings

    def settings(self) -> StructureSettings:
        """The settings of the form.

        Raises
        ------
        SettingsError
            If a value is not allowed.
        """
        return self.form.value()

    def lines(self) -> str:
        """The same in Python."""
        return structure_lines(self.settings(), self._seed() or 0)

    def _seed(self) -> int | None:
        text = str(self.seed.raw())
        return int(text) if text.isdigit() else None

    def _check(self) -> None:
        problem = self.form.problem
        if problem is None and self._seed() is None:
            problem = "The seed is a whole number from 0."
        self.build_button.setEnabled(problem is None and not self._background.running)
        self.copy_button.setEnabled(problem is None)
        self.reason.say(f"Build waits: {problem}" if problem else None)

    # -- building

    def build(self) -> None:
        """Build the specimen in a thread and show it."""
        self.build_button.setText("Building…")
        self._background.start(_build, self.settings(), self._seed())
        self._check()

    def _built(self, specimen: Specimen) -> None:
        self._ready()
        self.specimen = specimen
        show_specimen(self.viewer, specimen)
        self.report.setText(report_of(specimen))
        self.report.show()

    def _failed(self, sentence: str, detail: str) -> None:
        self._ready()
        self.reason.say(sentence, detail)

    def _ready(self) -> None:
        self.build_button.setText("Build")
        self._check()


def _build(settings: StructureSettings, seed: int) -> Specimen:
    from napari_stemlearn.structures import build

    specimen = build(settings, seed)
    # the tables are made here too, so that the window does not wait for them
    _ = specimen.columns, specimen.defects
    return specimen


def sites_of(specimen: Specimen, table: pd.DataFrame) -> pd.DataFrame:
    """A specimen's columns or defects inside its field of view as a site table on a fine grid."""
    from napari_stemlearn.sites import make_sites

    height, width = specimen.field_of_view
    kept = table[table["y_angstrom"].between(0, height) & table["x_angstrom"].between(0, width)]
    extra = {name: kept[name].to_numpy() for name in ("sublattice", "n_atoms")}
    return make_sites(
        kept["y_angstrom"] / FINE, kept["x_angstrom"] / FINE, kept["class"].to_numpy(), pixel_size=FINE, extra=extra
    )


def show_specimen(viewer: ViewerModel, specimen: Specimen) -> None:
    """Show columns as dots coloured by content and defects as rings, in two layers that are made once."""
    from napari_stemlearn.widgets.layers import site_colours

    record = {"step": "structure", "specimen": specimen.record()}
    first = not len(viewer.layers)
    for part, table, size in (("columns", specimen.columns, 1.1), ("defects", specimen.defects, 3.0)):
        sites = sites_of(specimen, table)
        layer = _layer(viewer, part, sites, f"{specimen.crystal.name} {part}", record)
        layer.size = size / FINE
        layer.symbol = "disc"
        if len(sites):
            colours = site_colours(sites)
            if part == "columns":
                layer.face_color = colours
                layer.border_color = "transparent"
            else:
                layer.face_color = "transparent"
                layer.border_color = colours
                layer.border_width = 0.12
    if first:
        viewer.reset_view()


def _layer(viewer: ViewerModel, part: str, sites: pd.DataFrame, name: str, record: dict[str, Any]) -> Points:
    from napari_stemlearn.widgets.layers import KEY, about, add_sites, our_layers, update_sites

    for layer in our_layers(viewer, "truth"):
        if about(layer).get("step") == "structure" and about(layer).get("part") == part:
            update_sites(layer, sites)
            layer.name = name
            layer.metadata[KEY].update(record)
            if layer.metadata[KEY].pop(BEHIND_IMAGE, False):
                layer.visible = True
            return layer
    return add_sites(viewer, sites, kind="truth", pixel_size=FINE, name=name, record={**record, "part": part})


def hide_specimen(viewer: ViewerModel) -> None:
    """Hide the layers of the built specimen behind a simulated image, which has other atoms; Build shows them again."""
    from napari_stemlearn.widgets.layers import KEY, about, our_layers

    for layer in our_layers(viewer, "truth"):
        if about(layer).get("step") == "structure" and layer.visible:
            layer.visible = False
            layer.metadata[KEY][BEHIND_IMAGE] = True


def report_of(specimen: Specimen) -> str:
    """Counts and density, in words."""
    height, width = specimen.field_of_view
    columns, defects = sites_of(specimen, specimen.columns), sites_of(specimen, specimen.defects)
    area = height * width / 100
    lines = [f"{specimen.crystal.name}: {len(columns)} columns in {height:g} × {width:g} Å."]
    if len(defects):
        lines.append(f"{len(defects)} defects, {len(defects) / area:.2f} per nm²:")
        lines += [
            f"   {count} {name.replace('_', ' ')} ({count / area:.3f} per nm²)"
            for name, count in defects["class"].value_counts().items()
        ]
    else:
        lines.append("No defects.")
    return "\n".join(lines)
