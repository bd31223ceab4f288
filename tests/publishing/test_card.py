import pytest
from huggingface_hub import DatasetCard

from zoobench.data.manifest import Manifest, read_manifest, to_json
from zoobench.errors import ZoobenchError
from zoobench.publishing.card import recipe_text, render
from zoobench.zoos import resolve
from zoobench.zoos.spec import Grid, Training

from .test_markdown import HOSTILE, MARKDOWN, kinds


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
    assert "N(0, 0.2²) in training images" in card.text
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


def hostile(manifest, foreign):
    """The same manifest, with foreign text wherever a card shows one, but for the names of what is declared."""
    kept = {"repo", "zoo", "type", "files", "gap_of"}

    def changed(value):
        if isinstance(value, dict):
            return {name: inner if name in kept else changed(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [changed(inner) for inner in value]
        return foreign if isinstance(value, str) else value

    content = changed(manifest.model_dump(mode="json"))
    content["scale"] = manifest.scale
    for config in content["configs"].values():
        for file in (config["release"] or {}).get("files", ()):
            file["path"] = foreign
        config["dropped"] = [{"run_id": foreign, "epoch": 1, "reason": foreign}]
        config["versions"] = {foreign: foreign}
    return Manifest.model_validate(content)


@pytest.mark.parametrize("foreign", HOSTILE)
@pytest.mark.parametrize("kind", ["built", "imported"])
def test_a_hostile_manifest_changes_words_only(folder, imported, kind, foreign):
    manifest = read_manifest({"built": folder, "imported": imported}[kind])
    hostile_card, plain_card = (DatasetCard(render(hostile(manifest, text))) for text in (foreign, "plain"))
    assert kinds(MARKDOWN.parse(hostile_card.text)) == kinds(MARKDOWN.parse(plain_card.text))
    assert hostile_card.content.replace("\n", "").isprintable()
    assert hostile_card.data.to_dict() == plain_card.data.to_dict()


def test_a_config_under_a_hostile_name_is_one_config(folder):
    manifest = read_manifest(folder)
    name = 'a"]\n---\n</table>| `b'
    card = DatasetCard(render(manifest.model_copy(update={"configs": {name: manifest.configs["seed"]}})))
    (config,) = card.data.configs
    assert config["config_name"] == 'a"]\\n---\\n</table>| `b'
    assert not [token for token in MARKDOWN.parse(card.text) if token.type == "html_block"]


def test_a_manifest_that_lacks_what_a_card_says_is_one_line(folder):
    manifest = read_manifest(folder)
    config = manifest.configs["seed"]
    for field, value in {
        "recipe": {"type": "Grid"},
        "preprocessing": {},
        "layout": [{"name": "fc1.weight"}],
        "splits": {},
        "checkpoints": [],
        "images": None,
    }.items():
        broken = config.model_copy(update={field: value})
        with pytest.raises(ZoobenchError, match="no card can be made of it"):
            render(manifest.model_copy(update={"configs": {"seed": broken}}))


def test_what_an_import_notes_of_a_column_stands_beside_it(imported):
    """The accuracies of a release may be others than those of our own zoos."""
    card = DatasetCard.load(imported / "README.md").text
    line = next(line for line in card.splitlines() if line.startswith("| `train_accuracy`"))
    assert line.endswith("Of `seed`: `train_accuracy` is the running accuracy inside the epoch |")
    assert "  - `train_accuracy` is the running accuracy inside the epoch." in card
    gap = next(line for line in card.splitlines() if line.startswith("| `generalization_gap`"))
    assert "with all that is said of `train_accuracy`" in gap
