"""Scores as files and as a figure."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from napari_stemlearn.errors import FormatError
from napari_stemlearn.scoring import bootstrap, score, scores_figure, sweep, write_scores
from napari_stemlearn.sites import empty_sites, make_sites


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    truth = make_sites(*rng.uniform(0, 60, (2, 80)), np.array(["a", "b"])[rng.integers(2, size=80)], pixel_size=0.2)
    found = truth.assign(y=truth["y"] + rng.normal(0, 1, 80), score=rng.uniform(size=80), origin="predicted")[:60]
    scores = score(found, truth, 0.5, 0.2)
    return scores, sweep(found, truth, 0.5, 0.2), bootstrap(scores.matches, n_draws=50)


def test_csv_and_json_hold_the_numbers(tmp_path, case):
    scores, curve, intervals = case
    csv = pd.read_csv(write_scores(tmp_path / "scores.csv", scores, curve, intervals))
    assert csv["class"].tolist() == ["a", "b", "all"]
    assert csv["tp"].tolist() == scores.table["tp"].tolist()
    assert {"f1_low", "f1_high"} <= set(csv.columns)
    record = json.loads(write_scores(tmp_path / "scores.json", scores, curve, intervals).read_text())
    assert record["rule"]["tolerance_angstrom"] == 0.5
    assert record["classes"][0]["tp"] == scores.of("a")["tp"]
    assert record["bootstrap"]["unit"] == "blocks"
    assert len(record["sweep"]["curve"]) == len(curve.curve)


def test_undefined_numbers_are_null(tmp_path, case):
    truth = case[0].matches.truth
    path = write_scores(tmp_path / "none.json", score(empty_sites(), truth, 0.5, 0.2))
    assert json.loads(path.read_text())["classes"][0]["precision"] is None
    assert "NaN" not in path.read_text()


def test_bad_places_are_one_sentence(tmp_path, case):
    with pytest.raises(FormatError, match=r"\.csv or \.json"):
        write_scores(tmp_path / "scores.xlsx", case[0])
    with pytest.raises(FormatError, match="cannot be written"):
        write_scores(tmp_path / "absent" / "scores.csv", case[0])


def test_figure_is_drawn(tmp_path, case):
    scores, curve, intervals = case
    figure = scores_figure(scores, curve, intervals, title="day a")
    figure.savefig(tmp_path / "figure.png", dpi=50)
    assert (tmp_path / "figure.png").stat().st_size > 5000
    curve_axes = figure.axes[0]
    assert len(curve_axes.lines) == 4
    scores_figure(score(empty_sites(), scores.matches.truth, 0.5, 0.2)).savefig(tmp_path / "empty.png", dpi=50)


def test_importing_the_folder_brings_no_heavy_module():
    code = (
        "import sys, napari_stemlearn.scoring as s, napari_stemlearn.scoring.figures, napari_stemlearn.scoring.tables;"
        "s.score; print([m for m in ('torch', 'matplotlib', 'napari', 'abtem') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
