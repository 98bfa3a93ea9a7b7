"""The offline day: one style, all truth, the same every time."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from napari_stemlearn.samples import simulated_day
from napari_stemlearn.sites import COLUMNS


@pytest.fixture(scope="module")
def day():
    return simulated_day(frames=2, size=160)


def test_day_has_unlabelled_frames_and_one_with_all_truth(day):
    assert day.stack.data.shape == (2, 160, 160)
    assert day.labelled.micrograph.data.shape == (160, 160)
    assert day.stack.data.dtype == day.labelled.micrograph.data.dtype == np.uint16
    assert day.stack.pixel_size == day.labelled.micrograph.pixel_size == 0.2
    assert day.stack.provenance["synthetic"] is True
    json.dumps(day.stack.provenance)
    for table in (day.labelled.columns, day.labelled.defects):
        assert set(COLUMNS) <= set(table.columns)
        assert table["y"].between(-0.5, 159.5).all()
        assert set(table["origin"]) == {"truth"}
    # WSe2 has 0.106 columns of each kind in a square angstrom
    area = (160 * 0.2) ** 2
    metal = (day.labelled.columns["sublattice"] == "metal").sum()
    assert metal == pytest.approx(area / (3.282**2 * np.sqrt(3) / 2), rel=0.1)


def test_same_seed_same_day_other_seed_other_day(day):
    again = simulated_day(frames=2, size=160)
    np.testing.assert_array_equal(again.stack.data, day.stack.data)
    np.testing.assert_array_equal(again.labelled.micrograph.data, day.labelled.micrograph.data)
    assert again.labelled.defects.equals(day.labelled.defects)
    other = simulated_day(seed=12, frames=1, size=160)
    assert not np.array_equal(other.stack.data[0], day.stack.data[0])


def test_frames_show_atoms_where_the_truth_says(day):
    image = day.labelled.micrograph.data.astype(float)
    columns = day.labelled.columns
    inner = columns[columns["y"].between(5, 154) & columns["x"].between(5, 154)]
    at_atoms = image[inner["y"].round().astype(int), inner["x"].round().astype(int)].mean()
    assert at_atoms > image.mean() + 0.5 * image.std()
    assert not np.array_equal(day.stack.data[0], day.stack.data[1])


def test_labelled_frame_of_the_shipped_day_has_every_class_of_defect():
    # the specimen alone tells, without its image
    from napari_stemlearn.samples import day as module
    from napari_stemlearn.structures.build import build

    size = 512
    seeds = np.random.default_rng(11).integers(0, 2**31, size=(7, 2))
    defects = build(module.structure_settings(size), int(seeds[-1, 0])).defects
    inside = defects[defects["y_angstrom"].between(4, 98) & defects["x_angstrom"].between(4, 98)]
    assert set(inside["class"]) == {"vacancy1", "vacancy2", "metal_vacancy", "antisite"}


def test_importing_samples_is_light():
    heavy = "{'torch', 'pooch', 'napari', 'requests', 'tifffile'}"
    code = f"import sys, napari_stemlearn.samples; print(sorted({heavy} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
