import json

import pytest

from tests.conftest import write_digits
from zoobench.data.manifest import read_manifest
from zoobench.zoos.sources import MNIST


def built_line(zoo, folder):
    return f"built {zoo} in {folder}"


def test_a_repo_builds_all_its_zoos_and_says_at_the_end_what_was_built(zoobench, tmp_path):
    outcome = zoobench("build", "tetris-zoo", "--scale", "tiny", "--out", tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    folder = tmp_path / "tetris-zoo-tiny"
    assert list(read_manifest(folder).configs) == ["hyp", "seed"]
    first, second, *table = outcome.out.splitlines()
    assert [first, second] == [built_line(f"tetris-zoo-tiny/{config}", folder) for config in ("seed", "hyp")]
    cells = {line.split()[0]: line.split()[1:6] for line in table if line.startswith(" tetris")}
    # Weights, runs, dropped, checkpoints, rows.
    assert cells == {
        "tetris-zoo-tiny/seed": ["100", "40", "0", "6", "240"],
        "tetris-zoo-tiny/hyp": ["100", "72", "0", "4", "288"],
    }


@pytest.fixture(scope="module")
def only_mnist(tmp_path_factory):
    return write_digits(tmp_path_factory.mktemp("only-mnist"), MNIST)


def test_a_zoo_that_fails_does_not_lose_the_others(zoobench, tmp_path, only_mnist):
    """The second of four can be built."""
    outcome = zoobench("build", "cnn-zoo-2", "--scale", "tiny", "--out", tmp_path, "--images", only_mnist)
    assert outcome.code == 2
    failed = ("cifar10", "fashion_mnist", "usps")
    why = f"in {only_mnist}; --images takes a folder that has one"
    assert outcome.err.splitlines() == [
        *(f"error: cnn-zoo-2-tiny/{config}: no folder {config!r} {why}" for config in failed),
        f"error: 3 of 4 zoos could not be built: {', '.join(f'cnn-zoo-2-tiny/{config}' for config in failed)}",
    ]
    lines = outcome.out.splitlines()
    assert lines[0] == built_line("cnn-zoo-2-tiny/mnist", tmp_path / "cnn-zoo-2-tiny")
    assert [line.split()[0] for line in lines if "not built" in line] == [f"cnn-zoo-2-tiny/{name}" for name in failed]
    assert list(read_manifest(tmp_path / "cnn-zoo-2-tiny").configs) == ["mnist"]


def test_json_says_of_every_zoo_what_it_has_or_why_it_is_not_there(zoobench, tmp_path, only_mnist):
    """Small CNN Zoo has no default config; it has four all the same."""
    outcome = zoobench("build", "small-cnn-zoo-tiny", "--out", tmp_path, "--images", only_mnist, "--json")
    assert outcome.code == 2
    mnist, *others = json.loads(outcome.out)
    folder = tmp_path / "small-cnn-zoo-tiny"
    described = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in described if path.name not in ("README.md", "manifest.json"))
    assert mnist.pop("seconds") > 0
    assert mnist == {
        "zoo": "small-cnn-zoo-tiny/mnist",
        "folder": str(folder),
        "runs": 40,
        "dropped": 0,
        "checkpoints": 4,
        "rows": 160,
        "bytes": size,
    }
    assert {entry["zoo"].partition("/")[2]: entry["error"].split(";")[0] for entry in others} == {
        name: f"no folder {name!r} in {only_mnist}" for name in ("fashion_mnist", "cifar10", "svhn")
    }


def test_a_zoo_by_its_id_is_built_alone(zoobench, tmp_path):
    outcome = zoobench("build", "tetris-zoo-tiny/hyp", "--out", tmp_path, "--json")
    assert [entry["zoo"] for entry in json.loads(outcome.out)] == ["tetris-zoo-tiny/hyp"]
    assert list(read_manifest(tmp_path / "tetris-zoo-tiny").configs) == ["hyp"]


def test_an_unknown_repo_is_one_line(zoobench, tmp_path):
    outcome = zoobench("build", "tetris-zo", "--out", tmp_path)
    assert (outcome.code, outcome.err) == (2, "error: unknown zoo 'tetris-zo'; did you mean 'tetris-zoo'?\n")
