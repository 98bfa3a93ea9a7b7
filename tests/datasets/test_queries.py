"""The query language: what it selects, which sentence a wrong word gets, and that no text reaches the table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_stemlearn.datasets import DataSet, create_data_set
from napari_stemlearn.datasets.queries import Vocabulary, compile_query
from napari_stemlearn.errors import QueryError
from napari_stemlearn.sites import make_sites

DOSES = [1e3, 5e3, 1e4, 2e4, 1e5]


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    made = create_data_set(
        tmp_path_factory.mktemp("sets") / "small.stemset",
        shape=(16, 16),
        pixel_size=0.2,
        number=len(DOSES),
        synthetic=True,
    )
    for index, dose in enumerate(DOSES):
        kinds = ["column"] * 3 + ["defect"] * index
        classes = ["W", "W", "Se2"] + ["vacancy1"] * index
        sites = make_sites(np.arange(3 + index), np.zeros(3 + index), classes, pixel_size=0.2, extra={"kind": kinds})
        parameters = {
            "imaging": {"detector": {"dose": dose, "stretch": index == 2}, "scan": {"drift_x": -index}},
            "structure": {"crystal": "WSe2" if index < 3 else "O'Neill; DROP TABLE images"},
            "specimen": {"drift_x": 0.5},
        }
        if index == 4:
            parameters["translation"] = {"noise": 0.1}
        made.add(np.random.default_rng(index).normal(size=(16, 16)), sites, parameters)
    return made


@pytest.mark.parametrize(
    ("query", "images"),
    [
        ("", [0, 1, 2, 3, 4]),
        ("dose between 5e3 and 2e4", [1, 2, 3]),
        ("dose between 5e3 and 2e4 and class has vacancy1", [1, 2, 3]),
        ("DETECTOR.DOSE >= 10000 AND NOT Class HAS Vacancy2", [2, 3, 4]),
        ("imaging.detector.dose = 1e3 or dose == 1e5", [0, 4]),
        ("dose < 6e3 or dose > 5e4 and count(vacancy1) > 3", [0, 1, 4]),
        ("(dose < 6e3 or dose > 5e4) and count(vacancy1) > 3", [4]),
        ("n_vacancy1 between 1 and 2", [1, 2]),
        ("n_defects = 0 or n_columns < 2", [0]),
        ("count(antisite) = 0", [0, 1, 2, 3, 4]),
        ("scan.drift_x < -2.5", [3, 4]),
        ("not not (dose != 1e3)", [1, 2, 3, 4]),
        ("crystal = WSe2 and stretch = no", [0, 1]),
        ("stretch = true", [2]),
        ('crystal = "O\'Neill; DROP TABLE images"', [3, 4]),
        ("crystal != 'WSe2'", [3, 4]),
        ("noise > 0", [4]),
        ("not noise > 0", [0, 1, 2, 3]),
        ("image <= 1", [0, 1]),
        ("class has W and class has 'vacancy1' and dose<=+.5e4", [1]),
    ],
)
def test_what_a_query_selects(data_set: DataSet, query: str, images: list[int]) -> None:
    assert data_set.indices(query) == images
    assert list(data_set.query(query).index) == images


def test_a_parameter_that_is_now_a_number_and_now_a_word(tmp_path: Path) -> None:
    made = create_data_set(tmp_path / "mixed.stemset", shape=(4, 4), pixel_size=0.2, synthetic=True)
    sites = make_sites([1.0], [1.0], "W", pixel_size=0.2)
    for value in (5, "5", "auto", 5.5, True, None):
        made.add(np.eye(4), sites, {"m": value})
    assert made.indices("m = 5") == [0, 1]
    assert made.indices("m = 5.5") == [3]
    assert made.indices("m = '5'") == [1]
    assert made.indices("m = auto") == [2]
    assert made.indices("m = yes") == [4]
    assert made.indices("m != 5") == [2, 3, 4]
    assert made.indices("not m = 5") == [2, 3, 4, 5]
    assert list(made.query("m = 5")["m"]) == [5, "5"]
    with pytest.raises(QueryError, match="a value is expected after '!=', not the end"):
        made.indices("m !=")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("dosis > 3", r"'dosis' is no parameter of this set; .*imaging\.detector\.dose"),
        ("drift_x > 0", r"'drift_x' can be imaging\.scan\.drift_x or specimen\.drift_x; write which"),
        ("class has vacancy9", "'vacancy9' is no class of this set; it has Se2, W, vacancy1"),
        ("class vacancy1", "'has' is expected after 'class', not 'vacancy1'"),
        ("count vacancy1 > 3", r"'\(' is expected after 'count'"),
        ("dose > high", r"imaging\.detector\.dose is a number, and 'high' is none"),
        ("dose between 1 or 2", "'and' is expected after .*between 1', not 'or'"),
        ("dose > 3 dose < 4", "'dose' stands where 'and', 'or' or the end is expected"),
        ("dose", "'between' is expected, not the end"),
        ("dose >", "a value is expected after '>', not the end"),
        ("dose > 1e3 and", "the end stands where a parameter"),
        ("(dose > 1e3", r"'\)' is expected, not the end"),
        ("crystal < WSe2", r"structure\.crystal holds words, which '<' cannot compare"),
        ("crystal between A and B", "holds words, which are not 'between' others"),
        ("stretch = 3", "is yes or no, and '3' is neither"),
        ("dose > 3; DROP TABLE images", "'; DROP TABLE images' cannot be understood"),
        ("crystal = 'WSe2", "has no closing quotation mark"),
        ("dose > 1e3e", "'1e3e' cannot be understood"),
        ("not " * 200 + "dose > 3", "more than 50"),
        ("(" * 5000 + "dose > 3", "more than 50"),
    ],
)
def test_wrong_words_are_named_in_one_sentence(data_set: DataSet, query: str, words: str) -> None:
    with pytest.raises(QueryError, match=words) as caught:
        data_set.query(query)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_no_word_of_a_query_becomes_sql() -> None:
    vocabulary = Vocabulary({'imaging."odd': "text", "dose": "number"}, ["vacancy1"])
    condition = compile_query("class has vacancy1 and dose = 7 or 'imaging.\"odd' = 'x\" OR 1=1 --'", vocabulary)
    assert condition.values == ("vacancy1", 7.0, 'x" OR 1=1 --')
    assert "vacancy1" not in condition.sql
    assert "1=1" not in condition.sql
    assert '"imaging.""odd"' in condition.sql
    assert condition.sql.count("?") == 3


def test_the_answer_tells_all_parameters_and_numbers(data_set: DataSet, tmp_path: Path) -> None:
    table = data_set.query("dose > 1e4")
    assert table["imaging.detector.dose"].tolist() == [2e4, 1e5]
    assert table["n_vacancy1"].tolist() == [3, 4]
    assert table["n_defects"].tolist() == [3, 4]
    assert table["n_columns"].tolist() == [3, 3]
    assert table["imaging.detector.stretch"].tolist() == [False, False]
    none = data_set.query("dose > 1e9")
    assert none.empty
    assert list(none.columns) == list(table.columns)
