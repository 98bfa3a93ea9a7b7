"""Matching of tables, counting, borders, undecided sites, confusion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from napari_stemlearn.errors import SitesError
from napari_stemlearn.scoring import bootstrap, default_tolerance, match, score, scores_record, summarise, sweep
from napari_stemlearn.scoring.legacy import first_hit_counts, nearest_neighbour_counts
from napari_stemlearn.sites import concat_sites, empty_sites, make_sites


def table(rows, pixel_size=1.0, frame=0, origin="predicted"):
    y, x, name, *rest = zip(*rows, strict=True)
    return make_sites(
        y, x, list(name), pixel_size=pixel_size, frame=frame, score=rest[0] if rest else 1.0, origin=origin
    )


@pytest.mark.parametrize("wrong", [[[1, 2]], None, np.zeros((3, 2))])
def test_what_is_no_table_is_said(wrong):
    good = table([(10, 10, "a"), (20, 10, "a")])
    for found, truth, name in ((wrong, good, "found"), (good, wrong, "truth")):
        for count in (score, match, sweep):
            with pytest.raises(SitesError, match=f"The {name} table is a value of type {type(wrong).__name__}; a site"):
                count(found, truth)


def test_counts_and_errors_of_a_small_case():
    truth = table([(10, 10, "a"), (20, 10, "a"), (30, 10, "b"), (40, 10, "b")])
    found = table([(10.3, 10.0, "a"), (20, 10.4, "a"), (50, 10, "a"), (30, 10, "a"), (40.2, 9.9, "b")])
    scores = score(found, truth, 0.5, 1.0)
    a, b, both = scores.of("a"), scores.of("b"), scores.of()
    assert (a["tp"], a["fp"], a["fn"]) == (2, 2, 0)
    assert (b["tp"], b["fp"], b["fn"]) == (1, 0, 1)
    assert (both["tp"], both["fp"], both["fn"]) == (3, 2, 1)
    assert a["precision"] == 0.5
    assert a["recall"] == 1.0
    assert a["f1"] == pytest.approx(2 / 3)
    assert a["rms_error_angstrom"] == pytest.approx(np.sqrt((0.3**2 + 0.4**2) / 2))
    assert b["mean_dy_angstrom"] == pytest.approx(0.2)
    assert b["mean_dx_angstrom"] == pytest.approx(-0.1)
    expected = [[2, 0, 0], [1, 1, 0], [1, 0, 0]]
    assert scores.confusion.to_numpy().tolist() == expected
    assert list(scores.confusion.columns) == ["a", "b", "nothing"]
    with pytest.raises(SitesError, match="not scored"):
        scores.of("c")


def test_tolerance_is_in_angstrom_and_pixel_size_comes_from_the_table():
    truth, found = table([(10, 10, "a")], 0.2), table([(10, 14, "a")], 0.2)
    assert score(found, truth, 0.81).of("a")["tp"] == 1
    assert score(found, truth, 0.79).of("a")["tp"] == 0
    bare = truth.assign(y_angstrom=np.nan, x_angstrom=np.nan)
    with pytest.raises(SitesError, match="pixel size"):
        match(bare, bare, 0.5)


def test_default_tolerance():
    lattice = make_sites(*np.mgrid[:6, :6].reshape(2, -1) * 5.0, "a", pixel_size=0.1)
    assert default_tolerance(lattice, 0.1) == pytest.approx(0.25)
    assert default_tolerance(lattice, 1.0) == 0.6
    assert default_tolerance(empty_sites(), 1.0) == 0.6


def test_empty_inputs_give_nan_not_a_crash():
    truth = table([(10, 10, "a")])
    nothing = score(empty_sites(), truth, 0.5, 1.0).of("a")
    assert np.isnan(nothing["precision"])
    assert nothing["recall"] == 0
    assert nothing["f1"] == 0
    assert np.isnan(nothing["rms_error_angstrom"])
    spurious = score(truth, empty_sites(), 0.5, 1.0).of("a")
    assert spurious["precision"] == 0
    assert np.isnan(spurious["recall"])
    both = score(empty_sites(), empty_sites(), 0.5, 1.0).of()
    assert np.isnan([both["precision"], both["recall"], both["f1"]]).all()
    assert len(sweep(empty_sites(), truth, 0.5, 1.0).curve) == 0
    with pytest.raises(SitesError, match="no frames"):
        bootstrap(match(empty_sites(), empty_sites(), 0.5, 1.0))


def test_frames_never_mix():
    truth = concat_sites([table([(10, 10, "a")], frame=0), table([(10, 10, "a")], frame=1)])
    found = table([(10, 10, "a"), (10.1, 10, "a")], frame=1)
    scores = score(found, truth, 0.5, 1.0)
    assert (scores.of("a")["tp"], scores.of("a")["fp"], scores.of("a")["fn"]) == (1, 1, 1)
    assert len(scores.per_frame) == 4
    only = score(found, truth, 0.5, 1.0, frames=[1]).of("a")
    assert (only["tp"], only["fp"], only["fn"]) == (1, 1, 0)


def test_a_pair_across_the_border_is_no_error():
    shape = (100, 100)
    truth = table([(10.2, 50, "a"), (9.8, 20, "a"), (5, 80, "a"), (50, 50, "a")])
    found = table([(9.8, 50, "a"), (10.2, 20, "a"), (5, 90, "a"), (50, 50, "a")])
    matches = match(found, truth, 0.6, 1.0, border=10, shape=shape)
    row = summarise(matches).of("a")
    assert (row["tp"], row["fp"], row["fn"]) == (2, 0, 0)
    assert matches.truth["outcome"].tolist() == ["true positive", "border", "border", "true positive"]
    assert matches.found["outcome"].tolist() == ["true positive", "border", "border", "true positive"]
    with pytest.raises(SitesError, match="shape"):
        match(found, truth, 0.6, 1.0, border=10)


@dataclass(frozen=True)
class Searched:
    """What a search gives back, as far as scoring looks at it."""

    sites: pd.DataFrame
    shape: tuple[int, int] | None = (100, 100)
    border: float = 3.0
    frames: tuple[int, ...] = (0,)
    classes: tuple[str, ...] = ("a",)


def test_what_a_search_left_out_at_the_edge_is_not_missed():
    # found at 2.8 px the second site was left out, although it truly lies at 3.2 px
    truth = table([(1.0, 50, "a"), (3.2, 20, "a"), (50, 50, "a"), (60, 60, "a")])
    found = table([(50, 50, "a"), (98.0, 50, "a")])
    scores = score(Searched(found), truth, 0.6, 1.0)
    row = scores.of("a")
    assert (row["tp"], row["fp"], row["fn"]) == (1, 0, 1)
    assert scores.matches.rule["border"] == pytest.approx(3.6)
    assert score(Searched(found), truth, 0.6, 1.0, border=0).of("a")["fn"] == 3
    assert score(Searched(found, border=0.0), truth, 0.6, 1.0).matches.rule["border"] == 0
    assert score(found, truth, 0.6, 1.0).of("a")["fn"] == 3
    assert sweep(Searched(found.assign(score=0.5)), truth, 0.6, 1.0).rule == scores.matches.rule
    with pytest.raises(SitesError, match="shape"):
        score(found, truth, 0.6, 1.0, searched_border=3.0)
    with pytest.raises(SitesError, match="must be 0 or more"):
        score(found, truth, 0.6, 1.0, searched_border=-1.0)


def test_true_classes_that_were_not_looked_for_are_left_out_and_told():
    truth = table([(10, 10, "a"), (20, 20, "W"), (30, 30, "W"), (40, 40, "b")])
    found = Searched(table([(10, 10, "a")]), classes=("a", "b", "c"))
    scores = score(found, truth, 0.6, 1.0)
    assert list(scores.table["class"]) == ["a", "b", "all"]
    assert scores.matches.left_out == {"W": 2}
    assert "2 W" in str(scores)
    assert scores_record(scores)["left_out"] == {"W": 2}
    assert score(found, truth, 0.6, 1.0, class_map={"c": "W"}).of("W")["fn"] == 2
    assert score(found, truth, 0.6, 1.0, classes=["W"]).of("W")["fn"] == 2
    # no name in common: names differ, and that shows
    strangers = score(Searched(table([(10, 10, "x")]), classes=("x",)), truth, 0.6, 1.0)
    assert strangers.of()["fn"] == 4
    # nothing was found, and nothing was there to be found
    nothing = score(Searched(empty_sites(), classes=("x",)), truth, 0.6, 1.0)
    assert (nothing.of()["fn"], nothing.matches.left_out) == (0, {"W": 2, "a": 1, "b": 1})


def test_frames_that_were_not_searched_are_not_missed():
    truth = pd.concat([table([(10, 10, "a")]), table([(10, 10, "a")]).assign(frame=1)], ignore_index=True)
    assert score(Searched(table([(10, 10, "a")])), truth, 0.6, 1.0).of("a")["fn"] == 0


def test_printed_scores_fit_a_narrow_terminal():
    truth = table([(10, 10, "vacancy2_of_a_long_name"), (20, 20, "b")])
    text = str(score(table([(10, 10, "vacancy2_of_a_long_name")]), truth, 0.6, 1.0))
    assert max(map(len, text.splitlines())) <= 80
    head, row = text.splitlines()[0].split(), text.splitlines()[2].split()
    assert head[:4] == ["class", "precision", "recall", "F1"]
    assert row == ["vacancy2_of_a_long_name", "1.000", "1.000", "1.000", "0.00", "1", "0", "0"]
    assert text.splitlines()[1].split()[1] == "-"
    assert "border 0 px" in text


def test_undecided_truth_counts_neither_way_but_real_truth_comes_first():
    truth = table([(10, 10, "a"), (10, 10.3, "undecided"), (30, 30, "undecided"), (50, 50, "undecided")])
    found = table([(10, 10.2, "a"), (30, 30.1, "a"), (30.2, 30, "a"), (70, 70, "a")])
    matches = match(found, truth, 0.5, 1.0, ignore=["undecided"])
    assert matches.found["outcome"].tolist() == ["true positive", "ignored", "false positive", "false positive"]
    row = summarise(matches).of()
    assert (row["tp"], row["fp"], row["fn"]) == (1, 2, 0)
    assert matches.classes == ("a",)


def test_class_maps_rename_and_join():
    truth = table([(10, 10, "W"), (20, 20, "Se2")])
    found = table([(10, 10, "heavy"), (20, 20, "light")])
    assert score(found, truth, 0.5, 1.0).of()["tp"] == 0
    named = score(found, truth, 0.5, 1.0, class_map={"heavy": "W", "light": "Se2"})
    assert named.of()["tp"] == 2
    joined = score(found, truth, 0.5, 1.0, class_map={"heavy": "column", "light": "column"},
                   truth_class_map={"W": "column", "Se2": "column"})  # fmt: skip
    assert joined.of("column")["tp"] == 2
    assert score(found, truth, 0.5, 1.0, classes=["W"]).of()["n_truth"] == 1


def test_confusion_sums_are_the_counts_on_random_tables():
    rng = np.random.default_rng(4)
    for _ in range(10):
        names = np.array(["a", "b", "c"])
        truth = make_sites(*rng.uniform(0, 60, (2, 150)), names[rng.integers(3, size=150)], pixel_size=1.0)
        found = make_sites(*rng.uniform(0, 60, (2, 170)), names[rng.integers(3, size=170)], pixel_size=1.0, score=1.0)
        scores = score(found, truth, 2.0, 1.0, border=5, shape=(60, 60))
        matrix = scores.confusion
        for name in "abc":
            row = scores.of(name)
            assert matrix.loc[name].sum() == row["n_truth"]
            assert matrix[name].sum() == row["n_found"]
            assert matrix.loc[name, name] == row["tp"]
        assert (matrix.to_numpy() >= 0).all()


def test_sweep_equals_scoring_again_at_each_threshold():
    rng = np.random.default_rng(5)
    truth = make_sites(*rng.uniform(0, 60, (2, 120)), np.array(["a", "b"])[rng.integers(2, size=120)], pixel_size=1.0)
    found = make_sites(*rng.uniform(0, 60, (2, 200)), np.array(["a", "b"])[rng.integers(2, size=200)],
                       pixel_size=1.0, score=rng.uniform(size=200))  # fmt: skip
    rule = {"border": 4, "shape": (60, 60)}
    result = sweep(found, truth, 2.0, 1.0, n_thresholds=25, **rule)
    for row in result.curve.sample(20, random_state=0).to_dict("records"):
        again = score(found[found["score"] >= row["threshold"]], truth, 2.0, 1.0, classes=["a", "b"], **rule)
        expected = again.of(row["class"])
        for key in ("tp", "fp", "fn", "f1"):
            assert row[key] == expected[key]
    assert (np.diff(result.of("a")["threshold"]) < 0).all()
    best = result.best.set_index("class").loc["a"]
    assert best["best_f1"] == result.of("a")["f1"].max()


def test_average_precision_of_a_known_ranking():
    # right, wrong, right, with three true sites: 1/3 * 1 + 1/3 * 2/3
    truth = table([(10, 10, "a"), (20, 10, "a"), (30, 10, "a")])
    found = table([(10, 10, "a", 0.9), (50, 10, "a", 0.8), (20, 10, "a", 0.7)])
    result = sweep(found, truth, 0.5, 1.0).best.set_index("class").loc["a"]
    assert result["average_precision"] == pytest.approx(1 / 3 + 2 / 9)
    with pytest.raises(SitesError, match="no score"):
        sweep(found.assign(score=np.nan), truth, 0.5, 1.0)


def test_bootstrap_says_what_it_draws_and_covers_the_value():
    rng = np.random.default_rng(6)
    frames = []
    for frame in range(8):
        rows = make_sites(*rng.uniform(0, 100, (2, 60)), "a", pixel_size=1.0, frame=frame, score=1.0)
        frames.append(rows)
    truth = concat_sites(frames)
    found = truth[rng.uniform(size=len(truth)) < 0.8]
    many = bootstrap(match(found, truth, 0.5, 1.0))
    assert (many.unit, many.n_units) == ("frames", 8)
    recall = many.table.set_index(["class", "metric"]).loc[("a", "recall")]
    assert recall["low"] < recall["value"] < recall["high"]
    assert recall["value"] == pytest.approx(len(found) / len(truth))
    pd.testing.assert_frame_equal(many.table, bootstrap(match(found, truth, 0.5, 1.0)).table)
    one = bootstrap(match(found[found["frame"] == 0], truth[truth["frame"] == 0], 0.5, 1.0), blocks=4)
    assert (one.unit, one.n_units) == ("blocks", 16)
    assert one.table["high"].max() <= 1
    # of binomial counts the interval is known: 0.8 +- 1.96 sqrt(0.16 / 480)
    assert recall["high"] - recall["low"] == pytest.approx(2 * 1.96 * np.sqrt(0.16 / 480), rel=0.6)


def test_bootstrap_intervals_of_few_frames_are_as_wide_as_students_are():
    rng = np.random.default_rng(7)
    frames = [
        make_sites(np.arange(200) * 10.0, np.full(200, 5.0), "a", pixel_size=1.0, frame=frame) for frame in range(10)
    ]
    truth = concat_sites(frames)
    ratios = []
    for _ in range(5):
        hits = rng.uniform(size=(10, 200)) < rng.beta(8, 2, 10)[:, None]
        table = bootstrap(match(truth[hits.ravel()], truth, 0.5, 1.0)).table
        recall = table.set_index(["class", "metric"]).loc[("a", "recall")]
        student = 2.262 * hits.mean(axis=1).std(ddof=1) / np.sqrt(10)
        ratios.append((recall["high"] - recall["low"]) / 2 / student)
    assert np.mean(ratios) == pytest.approx(1, abs=0.06)


def test_legacy_rules_flatter():
    truth = table([(10, 10, "a"), (40, 40, "a")])
    found = table([(16, 10, "a"), (10, 10, "a"), (10.5, 10, "a")])
    hit = first_hit_counts(found, truth)
    assert (hit["tp"], hit["fp"], hit["fn"]) == (1, 2, 1)
    nearest = nearest_neighbour_counts(found, truth, 7.5)
    assert nearest["precision"] == 1.0
    assert nearest["recall"] == 0.5
    assert score(found, truth, 0.6, 1.0).of()["precision"] == pytest.approx(1 / 3)
    assert np.isnan(nearest_neighbour_counts(empty_sites(), truth, 3)["precision"])


def test_bad_input_is_one_sentence():
    truth = table([(10, 10, "a")])
    with pytest.raises(SitesError, match="lacks the column class"):
        match(truth.drop(columns="class"), truth, 0.5, 1.0)
    with pytest.raises(SitesError, match="tolerance"):
        match(truth, truth, 0.0, 1.0)
    with pytest.raises(SitesError, match="pixel size is 0"):
        match(truth, truth, 0.5, 0.0)
    holed = table([(10, 10, "a"), (10, 12, "a"), (10, 14, "a")])
    holed.loc[1, "y"] = np.nan
    with pytest.raises(SitesError, match="The truth table has y = nan in row 2, which is no position"):
        score(truth, holed, 0.5, 1.0)
    holed.loc[1, ["y", "x"]] = 10, np.inf
    with pytest.raises(SitesError, match="The found table has x = inf in row 2"):
        score(holed, truth, 0.5, 1.0)
    for name in ("all", "nothing"):
        named = table([(10, 10, name)])
        with pytest.raises(SitesError, match=f"A class cannot be called '{name}'"):
            score(named, truth, 0.5, 1.0)
        renamed = score(named, named, 0.5, 1.0, class_map={name: "a"}, truth_class_map={name: "a"})
        assert renamed.of("a")["tp"] == 1
