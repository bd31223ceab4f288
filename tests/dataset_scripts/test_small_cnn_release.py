import gzip
import random
import shutil
import tarfile

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from huggingface_hub import DatasetCard
from scipy.stats import kendalltau

from zoobench import load_zoo
from zoobench.data.manifest import file_entry, read_manifest, write_manifest
from zoobench.scoring.harness import evaluate
from zoobench.training.nets import module
from zoobench.zoos import resolve
from zoobench.zoos.layout import layout_of
from zoobench.zoos.splits import SPLITS, fold_of, split_of

from . import keras_like
from .conftest import RUNS

ZOO = resolve("small-cnn-zoo/mnist")
ROWS = 4 * RUNS


def rows_of(folder, config="mnist"):
    """All rows of an imported config, by example id."""
    tables = [pq.read_table(path) for path in sorted((folder / config).glob("*.parquet"))]
    return {row["example_id"]: row for table in tables for row in table.to_pylist()}


@pytest.fixture(scope="module")
def imported(archive, tmp_path_factory):
    from zoobench_dataset_scripts.small_cnn_release import import_small_cnn_zoo

    out = tmp_path_factory.mktemp("imported")
    seen = []
    folder, config = import_small_cnn_zoo(archive.folder, out, on_rows=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (ROWS, ROWS)
    assert (config.rows, config.runs, config.dropped) == (ROWS, RUNS, [])
    return folder


def test_imported_networks_say_what_the_originals_say(archive, imported):
    """Kernels, biases and their order: PyTorch modules of the rows against the TensorFlow-style network."""
    rows, some = rows_of(imported), slice(0, 1000)
    for number, entry in archive.metrics.iterrows():
        row = rows[f"{entry['modeldir'].rstrip('/')}/{entry['step']:03d}"]
        network = module(ZOO.spec.network, row["activation"], np.array(row["weights"])).eval()
        with torch.no_grad():
            said = network(archive.images[some].permute(0, 3, 1, 2))
        torch.testing.assert_close(said, archive.logits(number, some), rtol=1e-4, atol=1e-4)


def test_a_transposed_kernel_would_be_noticed(archive, imported):
    """The test above can fail: without the turn to PyTorch order, the same weights say something else."""
    row = next(iter(rows_of(imported).values()))
    weights = np.array(row["weights"], dtype=np.float32)
    place = layout_of(ZOO.spec.network).layers[1].weight.slice
    weights[place] = weights[place].reshape(16, 16, 3, 3).transpose(1, 0, 2, 3).ravel()
    number = next(
        n
        for n, entry in archive.metrics.iterrows()
        if f"{entry['modeldir'].rstrip('/')}/{entry['step']:03d}" == row["example_id"]
    )
    network = module(ZOO.spec.network, row["activation"], weights).eval()
    with torch.no_grad():
        said = network(archive.images.permute(0, 3, 1, 2))
    assert (said - archive.logits(number)).abs().max() > 1e-2


def test_rows_carry_the_released_labels(archive, imported):
    rows = rows_of(imported)
    inits = {
        "RandomNormal": "normal",
        "glorot_normal": "xavier_normal",
        "he_normal": "kaiming_normal",
        "orthogonal": "orthogonal",
        "TruncatedNormal": "truncated_normal",
    }
    for _, entry in archive.metrics.iterrows():
        row = rows[f"{entry['modeldir'].rstrip('/')}/{entry['step']:03d}"]
        assert row["run_id"] == entry["modeldir"].rstrip("/")
        assert (row["epoch"], row["activation"]) == (entry["step"], entry["config.activation"])
        assert row["init"] == inits[entry["config.w_init"]]
        assert (row["optimizer"], row["batch_size"], row["seed"]) == ("adam", 512, 42)
        assert row["dropout"] == pytest.approx(entry["config.dropout"])
        assert (row["learning_rate"], row["weight_decay"], row["init_std"]) == (0.02, 1e-5, 0.2)
        assert row["test_accuracy"] == pytest.approx(entry["test_accuracy"])
        assert (row["train_loss"], row["test_loss"], row["generalization_gap"]) == (1.25, 1.5, 0)
        assert row["fold"] == fold_of(ZOO.spec, row["run_id"])
    by_config = {}
    for row in rows.values():
        by_config.setdefault(row["config_id"], set()).add(row["run_id"])
    assert sorted(map(len, by_config.values())) == [1] * RUNS


def test_splits_are_by_run_and_the_folder_is_sound(imported, zoobench, all_images):
    for split in SPLITS:
        for path in (imported / "mnist").glob(f"{split}-*.parquet"):
            assert all(split_of(ZOO.spec, run) == split for run in pq.read_table(path)["run_id"].to_pylist())
    outcome = zoobench("verify", imported, "--sample", "24", "--images", all_images)
    assert (outcome.code, outcome.out) == (0, f"{imported} is sound\n")


def test_verify_measures_imported_networks_again(archive, tmp_path, zoobench, all_images):
    """Labels that belong to other rows are found."""
    from zoobench_dataset_scripts.small_cnn_release import import_small_cnn_zoo

    folder = keras_like.write(tmp_path / "a", np.roll(archive.weights, 7, axis=0), archive.metrics)
    dataset, _ = import_small_cnn_zoo(folder, tmp_path / "out")
    outcome = zoobench("verify", dataset, "--sample", "24", "--images", all_images)
    assert outcome.code == 1
    assert all("test_accuracy" in line and "measured" in line for line in outcome.out.splitlines())


def test_the_archive_gives_the_same_rows_as_the_folder(archive, imported, tmp_path, zoobench):
    packed = tmp_path / "mnist.tar.xz"
    with tarfile.open(packed, "w:xz") as tar:
        tar.add(archive.folder, "mnist")
    outcome = zoobench("import", "small-cnn-zoo", packed, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert "imported small-cnn-zoo/mnist into" in outcome.out
    assert rows_of(tmp_path / "out" / "small-cnn-zoo") == rows_of(imported)
    release = read_manifest(tmp_path / "out" / "small-cnn-zoo").configs["mnist"].release
    assert (release.format, release.rows, [file.path for file in release.files]) == (
        "small-cnn-zoo",
        ROWS,
        ["mnist.tar.xz"],
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["small-cnn-zoo"]


def test_row_order_does_not_matter(archive, imported, tmp_path):
    from zoobench_dataset_scripts.small_cnn_release import import_small_cnn_zoo

    other = np.arange(ROWS)[::-1]
    folder = keras_like.write(tmp_path / "a", archive.weights[other], archive.metrics.iloc[other])
    again, _ = import_small_cnn_zoo(folder, tmp_path / "out")
    for path in sorted((imported / "mnist").glob("*.parquet")):
        assert path.read_bytes() == (again / "mnist" / path.name).read_bytes()


def test_bias_after_kernel_and_other_names_follow_the_layout(archive, imported, tmp_path):
    """Each layer's bias may stand before or after its kernel; layout.csv decides."""
    from zoobench_dataset_scripts.small_cnn_release import import_small_cnn_zoo

    ends = np.cumsum([int(np.prod(shape)) for _, shape in keras_like.SHAPES])
    pieces = np.split(archive.weights, ends[:-1], axis=1)
    swapped = [1, 0, 3, 2, 4, 5, 7, 6]
    shapes = [(keras_like.SHAPES[i][0].replace("sequential", "model/cnn"), keras_like.SHAPES[i][1]) for i in swapped]
    weights = np.concatenate([pieces[i] for i in swapped], axis=1)
    folder = keras_like.write(tmp_path / "a", weights, archive.metrics, shapes)
    again, _ = import_small_cnn_zoo(folder, tmp_path / "out")
    assert rows_of(again) == rows_of(imported)


def test_runs_that_cannot_be_used_are_dropped_and_listed(archive, tmp_path, zoobench):
    weights, metrics = archive.weights.copy(), archive.metrics.copy()
    first, second, third = (metrics.index[metrics["modeldir"] == f"/zoo/models/00{k}/"] for k in range(3))
    weights[first[1], 17] = np.nan
    metrics.loc[second[0], "test_accuracy"] = np.nan
    metrics.loc[third[0], "step"] = metrics["step"][third[1]]
    folder = keras_like.write(tmp_path / "a", weights, metrics)
    outcome = zoobench("import", "small-cnn-zoo", folder, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert f"{ROWS - 12} of {ROWS} checkpoints, {RUNS - 3} runs, 3 dropped" in outcome.out
    config = read_manifest(tmp_path / "out" / "small-cnn-zoo").configs["mnist"]
    assert [(run.run_id[-3:], run.reason) for run in config.dropped] == [
        ("000", "weights not finite"),
        ("001", "test accuracy not finite"),
        ("002", "the same epoch twice"),
    ]
    assert config.dropped[0].epoch == metrics["step"][first[1]]
    assert zoobench("verify", tmp_path / "out" / "small-cnn-zoo", "--sample", "0").code == 0


def _truncated(name):
    def damage(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return damage


def _metrics(change):
    def damage(folder):
        frame = change(pd.read_csv(folder / "metrics.csv.gz"))
        with gzip.open(folder / "metrics.csv.gz", "wt") as file:
            frame.to_csv(file, index=False)

    return damage


def _layout(old, new):
    def damage(folder):
        text = (folder / "layout.csv").read_text()
        assert old in text
        (folder / "layout.csv").write_text(text.replace(old, new))

    return damage


def _pickled(folder):
    np.save(folder / "weights.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)


def _bomb(folder):
    """Half a gigabyte of zeros in half a megabyte."""
    with gzip.open(folder / "metrics.csv.gz", "wb", compresslevel=9) as file:
        for _ in range(512):
            file.write(bytes(1 << 20))


def _repeated(how):
    """Every row once more, of the same run or of one with another name."""

    def damage(folder):
        weights = np.load(folder / "weights.npy")
        metrics = pd.read_csv(folder / "metrics.csv.gz")
        again = metrics.assign(modeldir=metrics["modeldir"] + ("" if how == "the same run" else "again"))
        keras_like.write(folder, np.concatenate([weights, weights]), pd.concat([metrics, again]))

    return damage


BROKEN = {
    "weights truncated": (_truncated("weights.npy"), "weights.npy is truncated or no .npy file"),
    "weights pickled": (_pickled, "weights.npy is truncated or no .npy file"),
    "metrics truncated": (_truncated("metrics.csv.gz"), "metrics.csv.gz cannot be read"),
    "a file missing": (lambda folder: (folder / "layout.csv").unlink(), "no layout.csv in"),
    "a column missing": (_metrics(lambda f: f.drop(columns="config.l2reg")), "no column config.l2reg"),
    "a row missing": (_metrics(lambda f: f.iloc[1:]), f"weights.npy has {ROWS} rows, metrics.csv.gz {ROWS - 1}"),
    "another data set": (_metrics(lambda f: f.assign(**{"config.dataset": "mnst"})), "'mnst'; did you mean 'mnist'?"),
    "two data sets": (
        _metrics(lambda f: f.assign(**{"config.dataset": ["mnist", "cifar10"] * (ROWS // 2)})),
        "names 2 data sets",
    ),
    "accuracies in percent": (
        _metrics(lambda f: f.assign(test_accuracy=97.5)),
        "test_accuracy of checkpoint 0",
    ),
    "an accuracy that is text": (
        _metrics(lambda f: f.assign(test_accuracy=["0.5"] * 20 + ["n/a?"] * (ROWS - 20))),
        "test_accuracy of checkpoint 20 is 'n/a?', which is no number",
    ),
    "half an epoch": (_metrics(lambda f: f.assign(step=f["step"] + 0.5)), "the epoch of checkpoint 0 (run "),
    "no epoch": (_metrics(lambda f: f.assign(step=np.nan)), "the epoch of checkpoint 0 (run "),
    "a step that no column holds": (_metrics(lambda f: f.assign(step=2**40)), "epoch of checkpoint 0 (run "),
    "a seed that no column holds": (
        _metrics(lambda f: f.assign(**{"config.random_seed": 1e30})),
        "seed of checkpoint 0 (run /zoo/models/",
    ),
    "a seed that is text": (
        _metrics(lambda f: f.assign(**{"config.random_seed": "abc"})),
        "seed of checkpoint 0 is 'abc', which is no number",
    ),
    "half a seed": (_metrics(lambda f: f.assign(**{"config.random_seed": 0.5})), "the seed of checkpoint 0 (run "),
    "activations that are numbers": (
        _metrics(lambda f: f.assign(**{"config.activation": 1.5})),
        "activation of checkpoint 0 is 1.5, which is no text",
    ),
    "initialisers that are numbers": (
        _metrics(lambda f: f.assign(**{"config.w_init": 3})),
        "init of checkpoint 0 is 3, which is no text",
    ),
    "an activation without networks": (
        _metrics(lambda f: f.assign(**{"config.activation": "selu"})),
        "activation 'selu' of 48 checkpoints is none that zoobench has networks for",
    ),
    "a run that cannot be printed": (
        _metrics(lambda f: f.assign(modeldir="\x1b[2J")),
        "run_id of checkpoint 0 is '\\x1b[2J', which cannot be printed",
    ),
    "metrics that unpack to gigabytes": (_bomb, "metrics.csv.gz unpacks to more than"),
    "a layout of 10^14 weights": (
        _layout(
            'sequential/dense/kernel:0,4810,4970,"(16, 10)"', 'x/kernel:0,4810,100000000004810,"(100000000000000,)"'
        ),
        "layout.csv sums to 100,000,000,004,810 weights",
    ),
    "a layout of negative sides": (_layout('"(16, 10)"', '"(-16, -10)"'), "a gap, an overlap or a wrong size"),
    "a layout that is nested deeply": (_layout('"(16, 10)"', '"' + "(" * 900 + '"'), "layout.csv cannot be read"),
    "rows that repeat": (_repeated("the same run"), "come twice: remove them, and give each file once"),
    "runs that repeat": (_repeated("another run"), "are the same network at epoch"),
    "one run": (
        _metrics(lambda f: f.assign(modeldir="a", step=range(ROWS), **{c: f[c][0] for c in f if "config" in c})),
        "of 1 runs none falls into",
    ),
    "no run": (_metrics(lambda f: f.assign(modeldir=None)), "checkpoint 0 has no run"),
    "no initialiser, no learning rate": (
        _metrics(lambda f: f.assign(**{"config.w_init": None, "config.learning_rate": "fast"})),
        "learning_rate of checkpoint 0 is 'fast', which is no number",
    ),
    "a layout with a gap": (_layout(",16,160,", ",17,161,"), "sequential/conv2d/kernel:0 of shape (3, 3, 1, 16)"),
    "a layout that is too short": (_layout("sequential/dense/kernel:0,4810,4970", "x/kernel:0,4810,4969"), "a gap"),
    "a kernel in another order": (
        _layout('"(3, 3, 1, 16)"', '"(16, 1, 3, 3)"'),
        "the kernel of conv1 must be (16, 1, 3, 3) in PyTorch's order",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_release_is_one_line_and_leaves_nothing(case, archive, tmp_path, zoobench):
    damage, message = BROKEN[case]
    folder = tmp_path / "release"
    shutil.copytree(archive.folder, folder)
    damage(folder)
    outcome = zoobench("import", "small-cnn-zoo", folder, "--out", tmp_path / "new" / "out")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert message in outcome.err
    assert not (tmp_path / "new").exists()


def test_a_layout_that_does_not_sum_to_the_row_width_is_refused(archive, tmp_path, zoobench):
    folder = keras_like.write(tmp_path / "a", archive.weights[:, :-10], archive.metrics)
    outcome = zoobench("import", "small-cnn-zoo", folder, "--out", tmp_path / "out")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "layout.csv sums to 4,970 weights, a row of weights.npy has 4,960" in outcome.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_archive_is_one_line_and_leaves_nothing(archive, tmp_path, zoobench, share):
    packed = tmp_path / "mnist.tar.xz"
    with tarfile.open(packed, "w:xz") as tar:
        tar.add(archive.folder, "mnist")
    packed.write_bytes(packed.read_bytes()[: int(share * packed.stat().st_size)])
    outcome = zoobench("import", "small-cnn-zoo", packed, "--out", tmp_path / "out")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "mnist.tar.xz is truncated or no tar archive" in outcome.err
    assert not (tmp_path / "out").exists()


def test_a_failed_import_leaves_what_was_there(archive, imported, tmp_path, zoobench):
    shutil.copytree(imported, tmp_path / "out" / "small-cnn-zoo")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    broken = tmp_path / "release"
    shutil.copytree(archive.folder, broken)
    _truncated("weights.npy")(broken)
    assert zoobench("import", "small-cnn-zoo", broken, "--out", tmp_path / "out").code == 2
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def nfn_reference(metrics, lines):
    """The loader of the later papers, from its description: (modeldir, step) by split."""
    shuffled = metrics.iloc[[int(line) for line in lines]]
    final = shuffled[shuffled["step"] == 86].reset_index(drop=True)
    point = int(0.5 * len(final))
    trainval = list(range(point))
    random.Random(0).shuffle(trainval)
    cut = int(0.8 * len(trainval))
    chosen = {"train": trainval[:cut], "validation": trainval[cut:], "test": range(point, len(final))}
    return {split: sorted(final["modeldir"][list(rows)].str.rstrip("/")) for split, rows in chosen.items()}


@pytest.mark.parametrize("first", ["of epoch 86", "of another epoch"])
def test_the_split_of_later_papers_with_its_header_read_as_a_row(archive, tmp_path, zoobench, first, monkeypatch):
    """Row 0 stands in the header and among the indices: it comes twice if it is of epoch 86."""
    final = (archive.metrics["step"] == 86).to_numpy()
    swap = int(np.flatnonzero(final == (first == "of epoch 86"))[0])
    order = np.arange(ROWS)
    order[[0, swap]] = order[[swap, 0]]
    metrics = archive.metrics.iloc[order].reset_index(drop=True)
    folder = keras_like.write(tmp_path / "a", archive.weights[order], metrics)
    lines = ["0", *map(str, np.random.RandomState(1).permutation(ROWS))]
    (tmp_path / "split.csv").write_text("\n".join(lines) + "\n")
    outcome = zoobench(
        "import", "small-cnn-zoo", folder, "--out", tmp_path / "out", "--nfn-split", tmp_path / "split.csv"
    )
    assert outcome.code == 0, outcome.err
    dataset = tmp_path / "out" / "small-cnn-zoo"
    stored = pq.read_table(dataset / "protocols" / "mnist" / "nfn.parquet").to_pandas()
    found = {
        split: sorted(stored.loc[stored["split"] == split, "example_id"].str.removesuffix("/086")) for split in SPLITS
    }
    assert found == nfn_reference(metrics, lines)
    assert len(stored) == (RUNS + 1 if first == "of epoch 86" else RUNS)
    assert read_manifest(dataset).configs["mnist"].has_file("protocols/mnist/nfn.parquet")
    assert zoobench("verify", dataset, "--sample", "0").code == 0
    assert "Protocol `nfn`" in (dataset / "README.md").read_text()
    final = metrics[metrics["step"] == 86]
    test = final.set_index(final["modeldir"].str.rstrip("/")).loc[found["test"]]
    predictions = pd.DataFrame({"zoo": "small-cnn-zoo/mnist", "example_id": [f"{run}/086" for run in test.index]})
    predictions["accuracy"] = np.random.RandomState(0).uniform(size=len(test))
    predictions.to_parquet(tmp_path / "preds.parquet")
    monkeypatch.setenv("ZOOBENCH_DATA", str(tmp_path / "out"))
    (result,) = evaluate(tmp_path / "preds.parquet", protocols=["nfn"]).results
    expected = kendalltau(test["test_accuracy"], predictions["accuracy"]).statistic
    assert (result.rows, result.stamp.protocol) == (len(stored) - len(stored) // 2, "nfn")
    assert result.tasks["accuracy"].scores["kendall_tau"].value == pytest.approx(expected)


@pytest.mark.parametrize(
    "text",
    [f"0\n{10**14}\n", "0\n-1\n", "1e400\n", "0\n1\n2\n", "0\n" + "\n".join(map(str, range(ROWS + 6))), "a\nb\n"],
)
def test_a_permutation_of_another_archive_is_refused(archive, tmp_path, zoobench, text):
    (tmp_path / "split.csv").write_text(text)
    outcome = zoobench(
        "import", "small-cnn-zoo", archive.folder, "--out", tmp_path / "out", "--nfn-split", tmp_path / "split.csv"
    )
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "permutation" in outcome.err
    assert not (tmp_path / "out").exists()


def test_the_card_of_an_import_is_what_the_hub_reads(imported):
    card = DatasetCard.load(imported / "README.md")
    assert (card.data.license, card.data.task_categories) == ("cc-by-4.0", ["tabular-regression"])
    assert card.data.size_categories == ["n<1K"]
    assert [config["config_name"] for config in card.data.configs] == ["mnist"]
    for part in (
        'load_dataset("zoobench/small-cnn-zoo", "mnist")',
        f"{ROWS} checkpoints, imported from `weights.npy`",
        "Known deviations from the release",
        "The batch size is not in the files; 512 is the paper's.",
        "The networks are those of:",
        "@misc{unterthiner2020predicting",
    ):
        assert part in card.text


def test_an_import_over_a_built_config_takes_its_place_whole(archive, tmp_path, zoobench):
    """The pictures and protocols of the old config do not stay behind."""
    (tmp_path / "split.csv").write_text("0\n" + "\n".join(map(str, range(ROWS))))
    arguments = ("import", "small-cnn-zoo", archive.folder, "--out", tmp_path / "out")
    assert zoobench(*arguments, "--nfn-split", tmp_path / "split.csv").code == 0
    assert zoobench(*arguments).code == 0
    dataset = tmp_path / "out" / "small-cnn-zoo"
    assert not (dataset / "protocols" / "mnist").exists()
    assert zoobench("verify", dataset, "--sample", "0").code == 0


def with_nfn(archive, folder, zoobench, damage):
    """An import with the split of later papers (in the order of the runs), after ``damage(weights, metrics)``."""
    weights, metrics = archive.weights.copy(), archive.metrics.copy()
    damage(weights, metrics)
    released = keras_like.write(folder / "a", weights, metrics)
    (folder / "split.csv").write_text("\n".join(["0", *map(str, np.random.RandomState(1).permutation(ROWS))]) + "\n")
    outcome = zoobench(
        "import", "small-cnn-zoo", released, "--out", folder / "out", "--nfn-split", folder / "split.csv"
    )
    assert outcome.code == 0, outcome.err
    dataset = folder / "out" / "small-cnn-zoo"
    return dataset, pq.read_table(dataset / "protocols" / "mnist" / "nfn.parquet").to_pandas()


def row_of(metrics, run, epoch):
    return metrics.index[(metrics["modeldir"] == f"/zoo/models/{run}/") & (metrics["step"] == epoch)][0]


def test_a_checkpoint_that_is_not_finite_takes_no_row_from_the_split_of_later_papers(archive, tmp_path, zoobench):
    """Two runs with a broken early checkpoint stay without it; a run whose last one is broken goes, and is counted."""

    def damage(weights, metrics):
        weights[row_of(metrics, "003", 1)] = np.inf
        metrics.loc[row_of(metrics, "004", 2), "test_accuracy"] = np.nan
        weights[row_of(metrics, "005", 86), 7] = np.nan

    dataset, stored = with_nfn(archive, tmp_path, zoobench, damage)
    assert sorted(set(stored["example_id"])) == [f"/zoo/models/{k:03d}/086" for k in range(RUNS) if k != 5]
    config = read_manifest(dataset).configs["mnist"]
    assert (config.runs, [run.run_id for run in config.dropped]) == (RUNS - 1, ["/zoo/models/005"])
    assert config.rows == ROWS - 4 - 2
    card = (dataset / "README.md").read_text()
    for note in (
        "2 checkpoints are left out of runs that are not dropped, since a named protocol takes other checkpoints of "
        "them: /zoo/models/004/002 (test accuracy not finite), /zoo/models/003/001 (weights not finite).",
        f"Protocol `nfn` lacks 1 of its {len(stored) + 1} rows, whose runs are dropped (weights not finite).",
    ):
        assert note in config.release.notes
        assert note in card
    assert zoobench("verify", dataset, "--sample", "0").code == 0


@pytest.fixture
def split_of_papers(archive, tmp_path, zoobench, monkeypatch):
    """The zoo, and its example ids by split of the papers."""
    dataset, stored = with_nfn(archive, tmp_path, zoobench, lambda weights, metrics: None)
    monkeypatch.setenv("ZOOBENCH_DATA", str(dataset.parent))
    once = stored.drop_duplicates("example_id")
    return {split: once.loc[once["split"] == split, "example_id"].tolist() for split in SPLITS}


def activations(ids):
    return ["relu" if int(name[12:15]) % 2 == 0 else "tanh" for name in ids]


def test_rows_of_the_split_of_later_papers_are_loaded_with_their_weights(split_of_papers, imported, zoobench):
    rows = rows_of(imported)
    sizes = {split: len(ids) for split, ids in split_of_papers.items()}
    for split, ids in split_of_papers.items():
        found = load_zoo("small-cnn-zoo/mnist", split=split, protocol="nfn")
        assert sorted(found.labels["example_id"]) == sorted(ids)
        assert found.labels["test_accuracy"].tolist() == [
            rows[name]["test_accuracy"] for name in found.labels["example_id"]
        ]
        expected = np.array([rows[name]["weights"] for name in found.labels["example_id"]], np.float32)
        assert np.array_equal(found.weights, expected)
    assert sizes["test"] == 6
    relu = load_zoo("small-cnn-zoo/mnist", "test", ["activation"], protocol="nfn-relu")
    assert set(relu.labels["activation"]) == {"relu"}
    assert len(relu.weights) == activations(split_of_papers["test"]).count("relu")
    assert list(relu.labels) == ["activation"]


def test_a_baseline_is_trained_by_the_split_of_later_papers_and_scored_by_it_and_its_strata(
    split_of_papers, tmp_path, zoobench
):
    out, model = tmp_path / "p.parquet", tmp_path / "model"
    what = ("--zoo", "small-cnn-zoo/mnist", "--task", "accuracy", "--out", out)
    ran = zoobench("run", "linear", *what, "--protocol", "nfn", "--save", model)
    assert ran.code == 0, ran.err
    assert "they are of protocol nfn: zoobench evaluate" in ran.out
    test = split_of_papers["test"]
    predicted = pd.read_parquet(out)
    assert sorted(predicted["example_id"]) == sorted(test)
    assert pq.read_schema(out).metadata[b"zoobench.protocol"] == b"nfn"
    train = load_zoo("small-cnn-zoo/mnist", "train", protocol="nfn")
    assert predicted["accuracy"].between(train.labels["test_accuracy"].min(), train.labels["test_accuracy"].max()).all()
    for name in ("nfn", "nfn-relu", "nfn-tanh"):
        (result,) = evaluate(out, protocols=[name]).results
        assert result.rows == (len(test) if name == "nfn" else activations(test).count(name[4:]))
    again = zoobench("predict", "--model", model, "--out", tmp_path / "q.parquet")
    assert again.code == 0, again.err
    assert (tmp_path / "q.parquet").read_bytes() == out.read_bytes()
    refused = zoobench("evaluate", "--predictions", out)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    for kind in ("relu", "tanh"):
        stratum = zoobench("run", "linear", *what, "--protocol", f"nfn-{kind}")
        if kind in activations(split_of_papers["validation"]):
            assert stratum.code == 0, stratum.err
            assert evaluate(out, protocols=[f"nfn-{kind}"]).results[0].rows == activations(test).count(kind)
        else:
            assert f"protocol 'nfn-{kind}' leaves no validation row of small-cnn-zoo/mnist" in stratum.err


def test_predictions_by_the_fixed_split_are_refused_at_the_split_of_later_papers(split_of_papers, tmp_path, zoobench):
    """Its test rows are among those that were learned from."""
    out = tmp_path / "p.parquet"
    assert zoobench("run", "linear", "--zoo", "small-cnn-zoo/mnist", "--task", "accuracy", "--out", out).code == 0
    for name in ("nfn", "nfn-tanh"):
        outcome = zoobench("evaluate", "--predictions", out, "--protocol", name)
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert "zoobench run NAME --zoo small-cnn-zoo/mnist --protocol nfn learns from those" in outcome.err


def test_a_protocol_file_of_a_stranger_is_one_line(split_of_papers, tmp_path, zoobench):
    folder = tmp_path / "out" / "small-cnn-zoo"
    path = folder / "protocols" / "mnist" / "nfn.parquet"
    for frame, message in (
        (pd.DataFrame({"example_id": ["x/001"], "split": ["test"]}), "names 1 rows that small-cnn-zoo/mnist does not"),
        (pd.DataFrame({"example_id": ["x/001"], "split": ["tset"]}), "names rows of the split 'tset'"),
        (pd.DataFrame({"example_id": ["x/001"]}), "has no column 'split'"),
    ):
        frame.to_parquet(path)
        manifest = read_manifest(folder)
        config = manifest.configs["mnist"]
        files = [file_entry(folder, folder / entry.path) for entry in config.files]
        changed = config.model_copy(update={"files": files})
        write_manifest(folder, manifest.model_copy(update={"configs": {"mnist": changed}}))
        outcome = zoobench(
            "run", "linear", "--zoo", "small-cnn-zoo/mnist", "--protocol", "nfn", "--out", tmp_path / "p.parquet"
        )
        assert (outcome.code, outcome.err.count("\n")) == (2, 1), outcome.err
        assert message in outcome.err
