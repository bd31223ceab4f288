import pytest

from zoobench.errors import ZoobenchError
from zoobench.publishing.verify import verify

from ..damage import edit_manifest


def edit(folder, **fields):
    edit_manifest(folder, lambda content: content["configs"]["seed"].update(fields))


def nested(folder, *path, value):
    def change(content):
        inner = content["configs"]["seed"]
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value

    edit_manifest(folder, change)


WRONG = {
    ("recipe", "fixed", "learning_rate"): (
        0.002,
        "recipe.fixed.learning_rate is 0.002, tetris-zoo-tiny/seed has 0.001",
    ),
    ("recipe", "training", "decoupled_decay"): (0, "recipe.training.decoupled_decay is 0, "),
    ("preprocessing", "mean"): (0.5, "preprocessing.mean is 0.5, tetris-zoo-tiny/seed has 0.25"),
    ("layout", 1, "name"): ("fc3.weight", "layout[1].name is 'fc3.weight', tetris-zoo-tiny/seed has 'fc2.weight'"),
    ("layout", 1, "offset"): (81, "layout[1].offset is 81, tetris-zoo-tiny/seed has 80"),
    ("network", 1, "bias"): (True, "network[1].bias is True, "),
    ("images", "sha256"): ("0" * 64, "the images found here are not those that the manifest names"),
    ("images", "side"): (5, "images.side is 5, the images found here have 4"),
    ("images", "test_class_counts"): ([249, 251, 250, 250], "images.test_class_counts is [249, 251, 250, 250]"),
    ("images", "source"): ("mnist", "images.source is 'mnist'"),
    ("gap_of",): ("train_accuracy", "gap_of is train_accuracy, tetris-zoo-tiny/seed has running_train_accuracy"),
    ("seed",): (3, "seed of run seed-0001 is 1, in the recipe 30000000001"),
    ("checkpoints",): ([1, 2, 3], "checkpoints are [1, 2, 3], tetris-zoo-tiny/seed has [1, 2, 3, 4, 5, 6]"),
    ("splits", "train", "runs"): (99, "runs, the manifest says 99"),
    ("built",): ("yesterday", "built is 'yesterday', which is no date"),
    ("versions", "torch"): ("<script>", "the version of 'torch' is '<script>'"),
}


@pytest.mark.parametrize("path", WRONG, ids=lambda path: ".".join(map(str, path)))
def test_what_differs_from_the_declaration_is_named_with_both_values(folder, path):
    value, message = WRONG[path]
    nested(folder, *path, value=value)
    problems = verify(folder, sample=0)
    assert any(message in problem for problem in problems), problems


def test_runs_that_were_dropped_are_the_recipes(folder):
    entry = {"run_id": "seed-0041", "epoch": 9, "reason": "weights or loss not finite"}
    edit(folder, dropped=[entry, entry])
    problems = verify(folder, sample=0)
    assert "seed: 40 runs and 2 dropped are 42, the recipe of tetris-zoo-tiny/seed has 40" in problems
    assert "seed: dropped run 'seed-0041' is none of the recipe's" in problems
    assert "seed: run 'seed-0041' was dropped at epoch 9, which is no checkpoint" in problems
    assert "seed: dropped runs that are listed twice: seed-0041" in problems


@pytest.mark.parametrize("name", ["recipe", "seed", "images"])
def test_a_config_says_how_it_was_made(folder, name):
    edit(folder, **{name: None})
    assert any(f"neither a release nor {name}: nothing says" in problem for problem in verify(folder, sample=0))


def test_a_config_is_built_or_imported(imported):
    edit(imported, seed=0)
    assert "seed: it has a release and seed; it was either imported or built" in verify(imported, sample=0)


def test_a_config_under_another_name_is_named(folder):
    def rename(content):
        content["configs"]["hyp"] = content["configs"].pop("seed")

    edit_manifest(folder, rename)
    with pytest.raises(ZoobenchError, match="for hyp, which is not of hyp"):
        verify(folder, sample=0)
    # Also where its files have moved with it.
    for place in ("", "labels/", "references/"):
        (folder / f"{place}seed").rename(folder / f"{place}hyp")
    for picture in (folder / "pictures").iterdir():
        picture.rename(picture.with_name(picture.name.replace("seed-", "hyp-", 1)))
    text = (folder / "manifest.json").read_text()
    for place in ("", "labels/", "references/"):
        text = text.replace(f'"{place}seed/', f'"{place}hyp/')
    (folder / "manifest.json").write_text(text.replace('"pictures/seed-', '"pictures/hyp-'))
    assert "hyp: zoo tetris-zoo-tiny/seed is the config 'seed'" in verify(folder, sample=0)


def test_a_folder_of_another_repo_is_named(folder):
    edit_manifest(folder, lambda content: content.update(repo="mnist-zoo-tiny"))
    assert "seed: zoo tetris-zoo-tiny/seed belongs into tetris-zoo-tiny, this is 'mnist-zoo-tiny'" in verify(
        folder, sample=0
    )


def test_a_release_cannot_have_fewer_checkpoints_than_its_import(imported):
    nested(imported, "release", "rows", value=100)
    assert any("the release has 100 checkpoints and 1 dropped runs" in line for line in verify(imported, sample=0))
