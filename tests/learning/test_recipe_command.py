"""Training from a recipe by one command."""

from napari_stemlearn.learning.__main__ import main
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.models.store import load_model


def test_a_recipe_becomes_a_model(tmp_path, capsys):
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "out"
    SegmentationSettings.preset("tiny", name="mine").save(recipe)
    assert main([str(recipe), "--out", str(out), "--steps", "1", "--set", "network.width=3"]) == 0
    said = capsys.readouterr().out
    assert "crops_per_second" in said
    assert "held_out_f1" in said
    card = load_model(out / "result", "cpu").card
    assert (card.name, card.network["width"], card.settings["optimisation"]["steps"]) == ("mine", 3, 1)
    assert SegmentationSettings.load(out / "recipe.yaml").network.width == 3


def test_bad_input_is_one_sentence_and_status_2(tmp_path, capsys):
    for arguments in (
        ["cake", "--out", str(tmp_path)],
        ["columns", "--out", str(tmp_path), "--set", "network.depth=3"],
    ):
        assert main(arguments) == 2
        said = capsys.readouterr().err.strip()
        assert "cake" in said or "network.depth" in said
        assert len(said.splitlines()) == 1
    assert not list(tmp_path.iterdir())
