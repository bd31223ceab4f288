import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from scipy.spatial.distance import cdist

from zoobench.data import hub
from zoobench.errors import ZoobenchError
from zoobench.weightspace.embeddings import draw_embeddings, separation, similarity_picture, weights_of


def labels(accuracy, checkpoints=2):
    runs = [f"run-{k // checkpoints}" for k in range(len(accuracy))]
    return pd.DataFrame({"test_accuracy": accuracy, "run_id": runs})


@pytest.fixture(scope="module")
def networks():
    """Embeddings that say the accuracy, and some that say nothing."""
    rng = np.random.default_rng(0)
    accuracy = rng.uniform(size=60)
    telling = np.column_stack([accuracy, 0.001 * rng.normal(size=(60, 4))])
    return labels(accuracy), telling, rng.normal(size=(60, 5))


def test_the_neighbour_gap_is_that_of_a_search_through_all_pairs(networks):
    frame, telling, mute = networks
    accuracy, run = frame["test_accuracy"].to_numpy(), frame["run_id"].to_numpy()
    other = run[:, None] != run[None, :]
    for vectors in (telling, mute):
        distance = np.where(other, cdist(vectors, vectors), np.inf)
        expected = np.abs(accuracy - accuracy[distance.argmin(axis=1)]).mean()
        measured = separation(vectors, frame)
        assert measured.neighbour_gap == pytest.approx(expected)
        assert measured.random_gap == pytest.approx(np.abs(accuracy[:, None] - accuracy)[other].mean())
    assert separation(telling, frame).neighbour_gap < 0.1 * separation(mute, frame).neighbour_gap


def test_a_picture_of_two_dimensions_keeps_all_and_one_of_many_does_not(networks):
    frame, _, mute = networks
    assert separation(mute[:, :2], frame).trustworthiness == pytest.approx(1)
    assert separation(mute[:, :2], frame).explained == pytest.approx(1)
    assert separation(mute, frame).trustworthiness < 0.95


def test_similarities_are_sorted_by_accuracy(networks):
    frame, _, mute = networks
    shown = similarity_picture(mute, frame, "").axes[0].get_images()[0].get_array()
    order = frame["test_accuracy"].argsort()
    expected = 1 - cdist(mute[order], mute[order], "cosine")
    np.testing.assert_allclose(shown, expected, atol=1e-9)


@pytest.fixture
def written(tiny, tmp_path):
    ids = hub.load_labels(tiny, "test").frame["example_id"].sample(frac=1, random_state=0)
    vectors = np.random.default_rng(0).normal(size=(len(ids), 3)).astype(np.float32)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 3)
    pq.write_table(pa.table({"example_id": pa.array(ids), "z": lists, "z_fc1": lists}), tmp_path / "z.parquet")
    return tmp_path / "z.parquet"


def test_the_command_draws_and_measures(written, tiny, tmp_path, zoobench):
    outcome = zoobench("plot", "embeddings", written, "--zoo", tiny.id, "--out", tmp_path / "p", "--weights")
    assert outcome.code == 0, outcome.err
    assert "neighbour gap" in outcome.out
    names = {"z", "z_fc1", "W"}
    pictures = {f"{name}-{kind}.png" for name in names for kind in ("pca", "similarity")}
    assert {path.name for path in (tmp_path / "p").iterdir()} == pictures | {"separation.json"}
    measured = json.loads((tmp_path / "p" / "separation.json").read_text())
    assert (measured["W"]["dimensions"], measured["z"]["rows"]) == (100, 18)
    for name in pictures:
        with Image.open(tmp_path / "p" / name) as picture:
            assert len(np.unique(np.asarray(picture.convert("L")))) > 10


def test_maps_are_coloured_by_further_labels_and_drawn_by_umap(written, tiny, tmp_path, zoobench):
    command = ("plot", "embeddings", written, "--zoo", tiny.id, "--out", tmp_path / "p")
    outcome = zoobench(*command, "--by", "activation", "--by", "epoch", "--umap")
    assert outcome.code == 0, outcome.err
    maps = {f"z-{kind}{label}.png" for kind in ("pca", "umap") for label in ("", "-activation", "-epoch")}
    drawn = {path.name: path.read_bytes() for path in (tmp_path / "p").glob("z-*.png")}
    assert set(drawn) == maps | {"z-similarity.png"}
    assert len(set(drawn.values())) == 7


def test_an_unknown_label_is_one_line(written, tiny, tmp_path, zoobench):
    outcome = zoobench("plot", "embeddings", written, "--zoo", tiny.id, "--out", tmp_path / "p", "--by", "initt")
    assert (outcome.code, outcome.err) == (2, "error: unknown label 'initt' to colour by; did you mean 'init'?\n")
    assert not (tmp_path / "p").exists()


def test_a_label_of_too_many_names_is_not_drawn(networks, tmp_path):
    frame, telling, _ = networks
    with pytest.raises(ZoobenchError, match="label 'run_id' has 30 names here; a legend shows at most 10"):
        draw_embeddings({"z": telling}, frame, "", tmp_path / "p", ["run_id"])
    assert not (tmp_path / "p").exists()


def test_weights_come_in_the_order_of_the_ids(tiny):
    test = hub.load_split(tiny, "test")
    order = np.random.default_rng(0).permutation(len(test.labels))
    assert np.array_equal(weights_of(tiny, test.labels["example_id"].iloc[order].tolist()), test.weights[order])


def test_what_is_no_file_of_embeddings_is_one_line(written, tiny, tmp_path, zoobench):
    table = pq.read_table(written)
    bad = {
        "no-vectors": (table.select(["example_id"]), "has no example_id or no vectors of fixed length"),
        "strangers": (table.set_column(0, "example_id", pa.array(["x"] * 18)), "has no network 'x' (18 unknown ids)"),
        "few": (table.slice(0, 3), "3 networks are too few to draw"),
    }
    for name, (content, message) in bad.items():
        pq.write_table(content, tmp_path / f"{name}.parquet")
        command = ("plot", "embeddings", tmp_path / f"{name}.parquet", "--zoo", tiny.id, "--out", tmp_path / "p")
        outcome = zoobench(*command)
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert message in outcome.err
        assert not (tmp_path / "p").exists()
    outcome = zoobench("plot", "embeddings", tmp_path / "none", "--zoo", tiny.id, "--out", tmp_path / "p")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
