import pytest
from huggingface_hub import DatasetCard

from zoobench.data.manifest import read_manifest, to_json
from zoobench.publishing.card import recipe_text, render
from zoobench.zoos import resolve
from zoobench.zoos.spec import Grid, Training


@pytest.fixture
def card(tiny_home):
    return DatasetCard.load(tiny_home / "tetris-zoo-tiny" / "README.md")


def test_the_front_matter_is_what_the_hub_reads(card):
    assert card.data.license == "cc-by-4.0"
    assert card.data.size_categories == ["n<1K"]
    (config,) = card.data.configs
    assert (config["config_name"], config["default"]) == ("seed", True)
    assert [file["path"] for file in config["data_files"]] == [
        "seed/train-*.parquet",
        "seed/validation-*.parquet",
        "seed/test-*.parquet",
    ]


def test_the_card_says_how_the_images_are_drawn_and_shows_them(card, tiny_home):
    assert "grey noise N(0, 0.3²)" in card.text
    assert "0 = O, 1 = T, 2 = L, 3 = I" in card.text


def test_a_small_scale_cannot_be_mistaken_for_the_full_zoo(card):
    assert "# tetris-zoo-tiny" in card.text
    assert "**Scale: tiny.**" in card.text


def test_dropped_runs_are_named(tiny_home):
    manifest = read_manifest(tiny_home / "tetris-zoo-tiny")
    config = manifest.configs["seed"]
    dropped = [{"run_id": "seed-0041", "epoch": 3, "reason": "weights or loss not finite"}]
    changed = type(config).model_validate(config.model_dump() | {"dropped": dropped})
    text = render(manifest.model_copy(update={"configs": {"seed": changed}}))
    assert "seed-0041 (epoch 3, weights or loss not finite)" in text


def test_what_a_recipe_varies_of_the_training_is_not_said_of_all_runs():
    axes = (("decoupled_decay", (False, True)), ("initial_bias", (0.0, 0.01)))
    recipe = Grid(resolve("tetris-zoo/seed").size.recipe.fixed, axes, seeds=1, training=Training(decoupled_decay=True))
    shared, varied = recipe_text(to_json(recipe)).split(". ", 1)
    assert "bias" not in shared
    assert "decoupled" not in shared
    assert "decoupled_decay in {False, True}; initial_bias in {0.0, 0.01}" in varied
