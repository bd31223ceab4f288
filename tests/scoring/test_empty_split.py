"""A zoo one of whose splits holds nothing, as an import of few runs could leave it."""

import shutil

import pandas as pd
import pytest

from ..publishing.damage import rewrite, rows_of


@pytest.fixture
def predictions(tiny_home, tmp_path, monkeypatch):
    """Copies the zoo, empties a split of the copy, and writes predictions of the test rows that there were."""

    def emptied(split):
        folder = shutil.copytree(tiny_home / "tetris-zoo-tiny", tmp_path / "home" / "tetris-zoo-tiny")
        ids = rows_of(folder, "test")["example_id"].to_pylist()
        rewrite(folder, split, lambda table: table.slice(0, 0))
        monkeypatch.setenv("ZOOBENCH_DATA", str(folder.parent))
        path = tmp_path / "preds.csv"
        pd.DataFrame({"zoo": "tetris-zoo-tiny/seed", "example_id": ids, "accuracy": 0.5}).to_csv(path, index=False)
        return path

    return emptied


def test_nothing_to_predict_is_one_line(predictions, zoobench):
    outcome = zoobench("evaluate", "--predictions", predictions("test"))
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert "leaves no checkpoint of tetris-zoo-tiny/seed" in outcome.err


@pytest.mark.parametrize("split", ["train", "validation"])
def test_scoring_needs_the_test_split_alone(predictions, zoobench, split):
    assert zoobench("evaluate", "--predictions", predictions(split), "--protocol", "final").code == 0
