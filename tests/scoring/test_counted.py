"""Which frames and classes count: what a search looked for, and what the truth can judge."""

from __future__ import annotations

import pandas as pd
import pytest

from napari_stemlearn.formats import read_recorded, read_sites, write_sites
from napari_stemlearn.scoring import labels_of_record, score, scores_record, search_of_record, sweep
from napari_stemlearn.sites import concat_sites, empty_sites, make_sites

PIXEL = 0.2


def sites(places, name, frame=0, origin="predicted"):
    score_ = 0.9 if origin == "predicted" else float("nan")
    return make_sites(places, places, name, pixel_size=PIXEL, frame=frame, score=score_, origin=origin)


@pytest.fixture
def two_classes():
    """Found: two vacancies that are labelled, and three sites of a class that nobody labelled."""
    found = concat_sites([sites([10, 30], "vacancy1"), sites([50, 60, 70], "vacancy2")])
    return found, sites([10, 30], "vacancy1", origin="hand")


def test_found_classes_are_false_in_exact_truth_and_not_judged_by_labels_that_lack_them(two_classes):
    found, labels = two_classes
    for truth in (labels, labels.assign(origin=["hand", "truth"]), labels.drop(columns="origin")):
        scores = score(found, truth, 0.6, PIXEL)
        assert scores.of()["f1"] == 1.0
        assert scores.matches.classes == ("vacancy1",)
        assert scores.matches.left_out_found == {"vacancy2": 3}
        assert scores.matches.notes == ("Not counted are found sites of classes that nobody labelled: 3 vacancy2.",)
        assert scores.matches.notes[0] in str(scores)
        assert scores_record(scores)["left_out_found"] == {"vacancy2": 3}
        assert scores_record(scores)["notes"] == list(scores.matches.notes)
        assert sweep(found, truth, 0.6, PIXEL).rule == scores.matches.rule
    exact = score(found, labels.assign(origin="truth"), 0.6, PIXEL)
    assert (exact.of("vacancy2")["fp"], exact.matches.notes) == (3, ())
    assert exact.of()["f1"] == pytest.approx(4 / 7)
    # an empty table says that there is nothing
    assert score(found, empty_sites(), 0.6, PIXEL).of()["fp"] == 5


def test_classes_that_are_given_go_before_those_that_are_labelled(two_classes):
    found, labels = two_classes
    for given in ({"classes": ["vacancy1", "vacancy2"]}, {"labelled_classes": ["vacancy1", "vacancy2"]}):
        assert score(found, labels, 0.6, PIXEL, **given).of("vacancy2")["fp"] == 3
    named = labels.assign(**{"class": "V_Se"})
    renamed = {"labelled_classes": ["V_Se", "V_Se2"], "truth_class_map": {"V_Se": "vacancy1", "V_Se2": "vacancy2"}}
    assert score(found, named, 0.6, PIXEL, **renamed).of("vacancy2")["fp"] == 3
    few = score(found, labels.assign(origin="truth"), 0.6, PIXEL, labelled_classes=["vacancy1"])
    assert (few.of()["fp"], few.matches.left_out_found) == (0, {"vacancy2": 3})


def test_sites_outside_the_image_are_said():
    found = make_sites([10, -0.5, 31.5], [10, 63.5, 5], "vacancy1", pixel_size=PIXEL, score=0.9, origin="predicted")
    labels = make_sites([10, 50, 60], [10, 20, 30], "vacancy1", pixel_size=PIXEL)
    swapped = "are y and x swapped, or are the labels of another image?"
    true_ones = f"2 of 3 true sites lie outside the 32 by 64 pixels of the image; {swapped}"
    for border in (0, 3):
        # sites at the outer edge of the outermost pixels are inside
        assert score(found, labels, 0.6, PIXEL, shape=(32, 64), border=border).matches.notes == (true_ones,)
    assert score(found, labels, 0.6, PIXEL).matches.notes == ()
    beyond = found.assign(y=found["y"] - 0.1)
    assert score(beyond, labels, 0.6, PIXEL, shape=(70, 64)).matches.notes == (
        "1 of 3 found sites lies outside the 70 by 64 pixels of the image; are y and x swapped, or are the sites of "
        "another image?",
    )
    # frames that are not scored are not complained about
    other = concat_sites([labels[:1], labels[1:].assign(frame=1)])
    assert score(found, other, 0.6, PIXEL, shape=(32, 64), frames=[0]).matches.notes == ()


def test_names_that_differ_are_seen_on_both_sides(two_classes):
    found, labels = two_classes
    strangers = score(found, labels.assign(**{"class": "V_Se"}), 0.6, PIXEL)
    assert (strangers.of()["fp"], strangers.of("V_Se")["fn"], strangers.matches.notes) == (5, 2, ())
    # the search looked for what is labelled and found none of it: the names are the same
    other = sites([50, 60], "vacancy2")
    nothing = score(other, labels, 0.6, PIXEL, searched_classes=["vacancy1", "vacancy2"])
    assert (nothing.of()["fp"], nothing.of("vacancy1")["fn"]) == (0, 2)


def test_where_nothing_was_found_labels_of_other_classes_are_not_missed():
    labels = sites([10, 30], "W", origin="hand")
    nothing = score(empty_sites(), labels, 0.6, PIXEL, searched_classes=["vacancy1"])
    assert nothing.of()["fn"] == 0
    assert nothing.matches.notes == ("Not counted are true sites of classes that the search did not look for: 2 W.",)


@pytest.fixture
def frames():
    """Found in frames 0 to 2; labelled in frames 0 and 1, of which the first is done."""
    found = concat_sites([sites([10], "vacancy1"), sites([5, 20, 40], "vacancy1", 1), sites([7], "vacancy1", 2)])
    labels = concat_sites(
        [sites([10], "vacancy1", origin="hand"), sites([40], "vacancy1", 1, origin="hand")],
    )
    return found, labels


def test_only_frames_that_are_done_count_and_else_those_with_labels(frames):
    found, labels = frames
    done = score(found, labels, 0.6, PIXEL, labelled_frames=[0])
    assert (done.of()["precision"], done.matches.frames) == (1.0, (0,))
    assert done.matches.notes == ("Frames 1, 2 are not labelled, so not counted.",)
    begun = score(found, labels, 0.6, PIXEL)
    assert (begun.of()["fp"], begun.matches.frames) == (2, (0, 1))
    assert begun.matches.notes == ("Frame 2 is not labelled, so not counted.",)
    assert score(found, labels.assign(origin="truth"), 0.6, PIXEL).of()["fp"] == 3
    assert score(found, labels, 0.6, PIXEL, labelled_frames=[0], frames=[0, 1, 2]).of()["fp"] == 3
    # a frame that is done and has neither is one of the frames
    assert score(found, labels, 0.6, PIXEL, labelled_frames=[0, 5]).matches.frames == (0, 5)


def test_frames_must_be_searched_and_labelled(frames):
    found, labels = frames
    some = score(found[found["frame"] > 0], labels, 0.6, PIXEL, searched_frames=[1, 2], labelled_frames=[0, 1])
    assert some.matches.frames == (1,)
    assert some.matches.notes == (
        "Frame 0 was not searched, so not counted.",
        "Frame 2 is not labelled, so not counted.",
    )


def test_tables_read_back_from_files_know_their_search_and_their_labels(frames, tmp_path):
    found, labels = frames
    found = concat_sites([found, sites([2, 60], "antisite")])
    search = {"thresholds": {"vacancy1": 0.5, "antisite": 0.5}, "border": 3.0, "shape": [64, 64], "frames": [0, 1]}
    write_sites(tmp_path / "found.csv", found, provenance=search)
    write_sites(tmp_path / "labels.csv", labels, provenance={"kind": "hand labels", "frames_done": [0]})
    scores = score(read_recorded(tmp_path / "found.csv"), read_recorded(tmp_path / "labels.csv"), 0.6)
    assert scores.of()["f1"] == 1.0
    assert (scores.matches.frames, scores.matches.rule["border"]) == ((0,), pytest.approx(6.0))
    options = {**search_of_record(search), **labels_of_record({"frames_done": [0]})}
    again = score(read_sites(tmp_path / "found.csv"), read_sites(tmp_path / "labels.csv"), 0.6, **options)
    pd.testing.assert_frame_equal(again.table, scores.table)
    curve = sweep(read_recorded(tmp_path / "found.csv"), read_recorded(tmp_path / "labels.csv"), 0.6)
    assert curve.rule == scores.matches.rule
    assert read_recorded(tmp_path / "labels.csv").record["frames_done"] == [0]


def test_a_record_says_of_a_search_what_it_says():
    assert search_of_record({}) == {}
    assert search_of_record({"thresholds": None, "border": 0.0, "images": None}) == {}
    one = {"shape": [2, 64, 60], "frames": [0]}
    assert search_of_record({"images": [one]}) == {"searched_frames": [0], "shape": (64, 60)}
    assert search_of_record({"images": [one, {"shape": [10, 10]}]}) == {}
    assert labels_of_record({"frames_done": []}) == {}
    assert labels_of_record({"frames_done": [3, 1]}) == {"labelled_frames": [1, 3]}
