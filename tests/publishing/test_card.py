import pytest
from huggingface_hub import DatasetCard

from zoobench.data.manifest import read_manifest
from zoobench.publishing.card import render


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
