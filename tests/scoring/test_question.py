"""Found sites and labels of one micrograph, made ready to be scored, and what is written of the answer."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from napari_stemlearn.errors import FormatError
from napari_stemlearn.scoring import make_question, match_table, write_products
from napari_stemlearn.sites import make_sites

GIVEN = {"pixel_size": 0.2, "shape": (64, 64), "n_frames": 1, "tolerance_angstrom": 0.6}


def test_scores_are_written_as_table_record_and_figure(tmp_path):
    found = make_sites([10, 30], [10, 30], "vacancy1", pixel_size=0.2, score=[0.9, 0.8], origin="predicted")
    truth = make_sites([10, 50], [10.5, 50], "V_Se", pixel_size=0.2, origin="hand")
    question = make_question(found, truth, border=2, **GIVEN)
    assert question.notes == ("V_Se in the labels counts as vacancy1.",)
    scores = question.answer()
    assert sorted(match_table(scores)["match"]) == ["fn", "fp", "tp"]
    paths = write_products(tmp_path, "one", scores, question, "title")
    assert [path.suffix for path in paths] == [".csv", ".json", ".png"]
    assert all(path.stat().st_size > 0 for path in paths)
    written = json.loads(paths[1].read_text())
    assert {(row["class"], row["metric"]) for row in written["bootstrap"]["intervals"]} >= {("vacancy1", "recall")}
    assert written["sweep"]["best"][0]["class"] == "vacancy1"
    assert {"f1_low", "f1_high"} <= set(pd.read_csv(paths[0]).columns)
    with pytest.raises(FormatError, match="cannot be written"):
        write_products(tmp_path / "nowhere", "one", scores, question, "title")


def test_what_a_search_left_out_and_did_not_look_for_is_not_missed():
    found = make_sites([10], [10], "vacancy1", pixel_size=0.2, origin="predicted")
    truth = make_sites([10, 2, 30], [10, 30, 30], ["V_Se", "V_Se", "W"], pixel_size=0.2, origin="hand")
    search = {"border": 2.75, "thresholds": {"vacancy1": 0.5, "antisite": 0.5}}
    question = make_question(found, truth, border=None, found_record=search, **GIVEN)
    scores = question.answer()
    assert (scores.of()["tp"], scores.of()["fp"], scores.of()["fn"]) == (1, 0, 0)
    assert scores.matches.rule["border"] == 5.75
    assert any(note.startswith("Within 5.75 px of the edge nothing is counted") for note in question.notes)
    assert scores.matches.notes == ("Not counted are true sites of classes that the search did not look for: 1 W.",)
    none = make_question(found, truth, border=0, found_record=search, **GIVEN).answer()
    assert none.of()["fn"] == 1
    # another class was found only, but this one was looked for
    other = make_sites([10], [10], "antisite", pixel_size=0.2, origin="predicted")
    assert make_question(other, truth, border=0, found_record=search, **GIVEN).answer().matches.classes == ("vacancy1",)
    assert make_question(found, truth, border=None, **GIVEN).answer().matches.rule["border"] == 0


def test_frames_and_labels_that_do_not_count_are_said():
    found = make_sites([10], [10], "vacancy1", pixel_size=0.2, frame=0, origin="predicted")
    truth = make_sites([10, 20], [10, 20], ["vacancy1", "Se2"], pixel_size=0.2, frame=1, origin="predicted")
    stack = {**GIVEN, "n_frames": 3, "border": 0}
    question = make_question(found, truth, **stack)
    assert question.notes == ("2 of 2 labels are promoted predictions that nobody looked at.",)
    assert question.answer().matches.notes == ("Frames 0, 2 are not labelled, so not counted.",)
    done = make_question(found, truth, truth_record={"frames_done": [0, 1]}, **stack).answer()
    assert (done.of("vacancy1")["fp"], done.of("vacancy1")["fn"]) == (1, 1)
    # exact truth has nothing in frames without a site
    exact = make_question(found, truth.assign(origin="truth"), **stack).answer()
    assert (exact.matches.frames, exact.of("vacancy1")["fp"]) == ((0, 1, 2), 1)
