import shutil

import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import r2_score

from zoobench.data import hub
from zoobench.data.folder import DatasetFolder
from zoobench.data.manifest import read_manifest
from zoobench.publishing.references import write_references
from zoobench.publishing.verify import verify
from zoobench.zoos import ALL, resolve
from zoobench.zoos.spec import HubImages


def references(home, config):
    folder = home / "tetris-zoo-tiny" / "references" / config
    return {path.stem: pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}


@pytest.mark.parametrize("config", ["seed", "hyp"])
def test_a_built_zoo_carries_them_in_its_manifest(config, tiny_home, tiny_hyp_home):
    home = tiny_home if config == "seed" else tiny_hyp_home
    names = ["constant-final", "constant", "hyperparameters-final", "hyperparameters"]
    assert list(references(home, config)) == names
    manifest = read_manifest(home / "tetris-zoo-tiny").configs[config]
    assert manifest.has_file(f"references/{config}/constant.parquet")
    assert verify(home / "tetris-zoo-tiny", sample=0) == []


def test_they_are_predictions_files_of_the_test_split(tiny_hyp, tiny_hyp_home):
    test = hub.load_labels(tiny_hyp, "test").frame
    for frame in references(tiny_hyp_home, "hyp").values():
        assert set(frame["example_id"]) == set(test["example_id"])
        assert set(frame["zoo"]) == {tiny_hyp.id}


def test_hyperparameters_predict_outcomes_and_nothing_else(tiny_hyp, tiny_hyp_home):
    frame = references(tiny_hyp_home, "hyp")["hyperparameters"]
    outcomes = ["accuracy", "generalization_gap", "f1_class_0", "f1_class_1", "f1_class_2", "f1_class_3"]
    assert list(frame.columns) == ["zoo", "example_id", *outcomes]
    assert frame["accuracy"].between(0, 1).all()


def test_the_hyperparameters_are_found_where_they_decide(tiny_hyp, tmp_path):
    """Accuracies that are a function of activation, learning rate and epoch are predicted; of the rest nothing is."""
    labels = {split: hub.load_labels(tiny_hyp, split).frame for split in ("train", "validation", "test")}
    target = tmp_path / "labels" / "hyp"
    target.mkdir(parents=True)
    for split, frame in labels.items():
        decided = 0.2 + 0.1 * (frame["activation"] == "relu") + 100 * frame["learning_rate"] + 0.05 * frame["epoch"]
        frame.assign(test_accuracy=decided).to_parquet(target / f"{split}.parquet")
    write_references(tiny_hyp, DatasetFolder(tmp_path))
    known = pd.read_parquet(tmp_path / "references" / "hyp" / "hyperparameters.parquet")
    decided = pq.read_table(target / "test.parquet")["test_accuracy"].to_numpy()
    assert r2_score(decided, known["accuracy"]) > 0.95


def test_those_of_final_checkpoints_have_learned_from_these_alone(tiny_hyp, tiny_hyp_home):
    train = hub.load_labels(tiny_hyp, "train").frame
    last = train[train["epoch"] == train["epoch"].max()]
    frame = references(tiny_hyp_home, "hyp")["constant-final"]
    assert frame["accuracy"].to_numpy() == pytest.approx(last["test_accuracy"].mean(), rel=1e-6)
    assert last["test_accuracy"].mean() != pytest.approx(train["test_accuracy"].mean(), rel=1e-3)


def test_they_are_the_same_bytes_each_time(tiny_hyp, tiny_hyp_home, tmp_path):
    shutil.copytree(tiny_hyp_home / "tetris-zoo-tiny" / "labels" / "hyp", tmp_path / "labels" / "hyp")
    write_references(tiny_hyp, DatasetFolder(tmp_path))
    for path in (tmp_path / "references" / "hyp").iterdir():
        assert path.read_bytes() == (tiny_hyp_home / "tetris-zoo-tiny" / "references" / "hyp" / path.name).read_bytes()


def test_declared_majority_rates_are_those_of_the_real_test_images(all_images):
    """The whole public test sets; the subset of CIFAR-10 here has every class equally often, too."""
    checked = set()
    for source in {spec.images for spec in ALL if isinstance(spec.images, HubImages)}:
        folder = all_images / source.folder
        if not folder.is_symlink():
            continue
        files = sorted(folder.glob("test-*.parquet"))
        labels = pd.concat([pq.read_table(file, columns=[source.label_column]).to_pandas() for file in files])
        assert source.test_majority == pytest.approx(labels.value_counts(normalize=True).iloc[0])
        checked.add(source.folder)
    declared = {source.folder: source.test_majority for source in (s.images for s in ALL) if source.folder != "tetris"}
    # Where the real images are not at hand: MNIST has 1,135 ones, SVHN 5,099, USPS 359 zeros, the others 1,000 of each.
    assert declared == pytest.approx(
        {"mnist": 0.1135, "fashion_mnist": 0.1, "cifar10": 0.1, "svhn": 0.19587, "usps": 0.178874}, abs=1e-5
    )
    assert resolve("tetris-zoo/seed").spec.images.test_majority == 0.25


def test_without_any_hyperparameter_that_varies_they_are_the_mean(tiny, tmp_path):
    """As in an import that tells none, of one checkpoint per run."""
    target = tmp_path / "labels" / "seed"
    target.mkdir(parents=True)
    for split in ("train", "validation", "test"):
        frame = hub.load_labels(tiny, split).frame
        frame[frame["epoch"] == 6].to_parquet(target / f"{split}.parquet")
    write_references(tiny, DatasetFolder(tmp_path))
    constant, known = (
        pd.read_parquet(tmp_path / "references" / "seed" / f"{name}.parquet")["accuracy"]
        for name in ("constant", "hyperparameters")
    )
    assert known.tolist() == pytest.approx(constant.tolist())
