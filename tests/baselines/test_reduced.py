import importlib.util

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.spatial.distance import cdist
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from zoobench.data import hub
from zoobench.errors import ZoobenchError
from zoobench.predictors.run import run
from zoobench.zoos import resolve
from zoobench.zoos.layout import layout_of
from zoobench_baselines.comvex import ComVeXConfig, ComVeXModel
from zoobench_baselines.reduced import EncodedPredictor, PCAPredictor, UMAPPredictor


def test_principal_components_are_those_of_the_covariance(splits):
    train, validation, test = splits
    for split in splits:  # directions of different spread, as without it none is the first
        split.weights[:] *= np.geomspace(0.01, 1, 100)
    fitted = PCAPredictor(components=5).fit(train, validation)
    centred = train.weights.astype(np.float64) - train.weights.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    z, expected = fitted._represent(test), (test.weights - train.weights.mean(0)) @ directions[:5].T
    np.testing.assert_allclose(np.abs(z), np.abs(expected), rtol=1e-3, atol=1e-3)


def test_components_of_kernels_keep_the_kernels_geometry(splits):
    """With as many components as train networks, products of representations are those of the centred kernel."""
    train, validation, _ = (split.take(np.arange(40)) for split in splits)
    x = train.weights.astype(np.float64)
    cosine = x @ x.T / np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(x, axis=1))
    kernels = {"cosine": cosine, "rbf": np.exp(-cdist(x, x, "sqeuclidean") / x.shape[1])}
    centring = np.eye(40) - 1 / 40
    for name, kernel in kernels.items():
        z = PCAPredictor(name, components=100).fit(train, validation)._represent(train)
        np.testing.assert_allclose(z @ z.T, centring @ kernel @ centring, atol=1e-6)


def test_the_probe_sees_the_components_alone(splits):
    train, validation, test = splits
    fitted = PCAPredictor(components=3).fit(train, validation)
    z, seen = fitted._represent(train), fitted._represent(test)
    scaled = [(part - z.mean(0)) / z.std(0) for part in (z, seen)]
    model = Ridge(fitted.probe_.alphas_["epoch"]).fit(scaled[0], train.targets["epoch"])
    expected = model.predict(scaled[1]).clip(train.targets["epoch"].min(), train.targets["epoch"].max())
    np.testing.assert_allclose(fitted.predict(test)["epoch"], expected, rtol=1e-4)


@pytest.mark.parametrize("kernel", ["linear", "cosine", "rbf"])
def test_diverged_networks_have_components_too(splits, kernel):
    train, validation, test = splits
    train.weights[0] *= 1e23
    predicted = PCAPredictor(kernel, components=5).fit(train, validation).predict(test)
    assert predicted["epoch"].between(train.targets["epoch"].min(), train.targets["epoch"].max()).all()


@pytest.mark.skipif(importlib.util.find_spec("umap") is None, reason="the extra [umap] is not installed")
def test_umap_projects_and_the_same_seed_projects_the_same(splits):
    train, validation, test = (split.take(np.arange(60)) for split in splits)
    found = [UMAPPredictor(3, seed=seed).fit(train, validation)._represent(test) for seed in (0, 0, 1)]
    assert found[0].shape == (60, 3)
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


@pytest.mark.parametrize("options", [("comvex", "--max-epochs", 1), ("hyperrep", "--epochs", 1, "--width", 16)])
def test_vectors_of_a_saved_encoder_are_probed(tiny, tmp_path, zoobench, options):
    baseline, *more = options
    command = ("run", baseline, "--zoo", tiny.id, "--out", tmp_path / "p.parquet", "--save", tmp_path / "model", *more)
    outcome = zoobench(*command, "--device", "cpu")
    assert outcome.code == 0, outcome.err
    again = ("run", "encoded", "--zoo", tiny.id, "--out", tmp_path / "q.parquet", "--model", tmp_path / "model")
    outcome = zoobench(*again, "--task", "accuracy")
    assert outcome.code == 0, outcome.err
    predicted = pq.read_table(tmp_path / "q.parquet")["accuracy"].to_numpy()
    z, labels = {}, {}
    for split in ("train", "test"):
        out = tmp_path / f"{split}.parquet"
        outcome = zoobench("encode", "--model", tmp_path / "model", "--zoo", tiny.id, "--split", split, "--out", out)
        assert outcome.code == 0, outcome.err
        z[split] = np.stack(pq.read_table(out)["z"].to_numpy()).astype(np.float64)
        labels[split] = hub.load_labels(tiny, split).frame
        assert pq.read_table(out)["example_id"].to_pylist() == labels[split]["example_id"].tolist()
    scaler, target = StandardScaler().fit(z["train"]), labels["train"]["test_accuracy"].to_numpy()
    models = [Ridge(alpha).fit(scaler.transform(z["train"]), target) for alpha in 10.0 ** np.arange(-5, 4)]
    cut = [model.predict(scaler.transform(z["test"])).clip(target.min(), target.max()) for model in models]
    # Ridge regression of the vectors, and of nothing else, at one of the strengths.
    assert min(np.abs(predicted - one).max() for one in cut) < 1e-5
    if baseline == "hyperrep":  # its own probes are of the same vectors
        np.testing.assert_allclose(predicted, pq.read_table(tmp_path / "p.parquet")["accuracy"].to_numpy(), atol=1e-5)


def test_bad_parameters_are_one_line(tiny, tmp_path):
    with pytest.raises(ZoobenchError, match="unknown kernel 'poly'"):
        PCAPredictor("poly")
    with pytest.raises(ZoobenchError, match="'encoded' needs a saved encoder: --model FOLDER"):
        EncodedPredictor()
    with pytest.raises(ZoobenchError, match="no model in"):
        EncodedPredictor(str(tmp_path / "nothing"))
    other = resolve("mnist-zoo/seed").spec.network
    heads = [{"task": "accuracy", "low": 0.0, "high": 1.0, "bounded": True, "classes": ()}]
    ComVeXModel(ComVeXConfig("conv", layout_of(other).to_json(), heads=heads)).save_pretrained(tmp_path / "other")
    with pytest.raises(ZoobenchError, match="encodes other networks"):
        run("encoded", tiny, {"model": str(tmp_path / "other")}, tmp_path / "p.parquet")
