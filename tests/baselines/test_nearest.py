import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics import r2_score

from zoobench import load_zoo
from zoobench.errors import ZoobenchError
from zoobench.predictors.run import run
from zoobench_baselines.nearest import NearestPredictor
from zoobench_baselines.nearest.nearest import most_frequent


def test_the_target_is_that_of_the_nearest_train_networks(splits):
    train, validation, test = splits
    apart = cdist(test.weights.astype(np.float64), train.weights.astype(np.float64))
    for k in (1, 5):
        fitted = NearestPredictor(k=k).fit(train, validation)
        near = np.argsort(apart, axis=1, kind="stable")[:, :k]
        found = fitted.predict(test)
        for task in train.targets:
            values = train.targets[task].to_numpy()[near]
            if task not in train.classes:
                np.testing.assert_allclose(found[task], values.astype(float).mean(axis=1))
            elif k == 1:
                assert found[task].tolist() == values[:, 0].tolist()


def test_the_most_frequent_class_wins_and_of_equals_the_nearest():
    names = [["a", "b", "b"], ["c", "a", "b"], ["b", "a", "b"], ["b", "a", "a"]]
    assert most_frequent(np.array(names, object)).tolist() == ["b", "c", "b", "a"]
    assert most_frequent(np.array([["b", "a", "a", "b"]], object)).tolist() == ["b"]


def test_no_neighbours_are_refused():
    with pytest.raises(ZoobenchError, match="'k' is 0"):
        NearestPredictor(k=0)


def test_it_remembers_nothing_of_test_networks_where_seeds_are_kept_apart(tiny_hyp, tmp_path):
    """And where they are not, it does: by run, most networks have a neighbour that began as they did."""
    run("nearest", tiny_hyp, {}, tmp_path / "p.parquet", only=["accuracy"])
    parts = [load_zoo(tiny_hyp.id, split) for split in ("train", "validation", "test")]
    predicted = pd.read_parquet(tmp_path / "p.parquet").set_index("example_id")["accuracy"]
    labels = parts[2].labels.set_index("example_id")
    assert r2_score(labels["test_accuracy"], predicted[labels.index]) < 0.1
    weights = np.concatenate([part.weights for part in parts]).astype(np.float64)
    rows = pd.concat([part.labels for part in parts], ignore_index=True)
    begins = (rows["seed"].astype(str) + rows["init"]).to_numpy()

    def begin_alike(tested):
        near = cdist(weights[tested], weights[~tested]).argmin(axis=1)
        return (begins[tested] == begins[~tested][near]).mean()

    runs = pd.Series(rows["run_id"].unique())
    by_run = [rows["run_id"].isin(runs.sample(frac=0.2, random_state=state)).to_numpy() for state in range(5)]
    assert np.mean([begin_alike(tested) for tested in by_run]) > 0.5
    assert begin_alike(rows["run_id"].isin(parts[2].labels["run_id"]).to_numpy()) == 0
