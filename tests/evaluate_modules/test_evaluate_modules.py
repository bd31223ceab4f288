"""The modules for the ``evaluate`` library, through its own ``load``: against scipy, scikit-learn and the harness."""

import functools
import http.server
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score

from zoobench.data import hub
from zoobench.evaluate_modules import folder
from zoobench.scoring import metrics
from zoobench.scoring.jackknife import Jackknife
from zoobench.scoring.tasks import tasks_of

from ..scoring.test_metrics import CLASSIFICATION, REFERENCE, REGRESSION, classes, sample

NAMES = [metric.name for metric in metrics.METRICS]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The ``evaluate`` library, offline, with a cache of its own."""
    import evaluate

    cache = tmp_path_factory.mktemp("evaluate")
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("HF_MODULES_CACHE", "HF_METRICS_CACHE", "HF_EVALUATE_CACHE", "DOWNLOADED_EVALUATE_PATH"):
            patch.setattr(evaluate.config, variable, cache / variable)
        patch.setattr(evaluate.config, "HF_EVALUATE_OFFLINE", True)
        patch.setattr(sys, "path", [*sys.path])
        yield evaluate


@pytest.fixture(scope="module")
def load(library):
    return functools.cache(lambda name: library.load(f"{folder()}/zoobench_{name}"))


def test_every_metric_has_its_module_and_none_is_left_over():
    found = [path.relative_to(folder()).as_posix() for path in Path(folder()).glob("*/*.py")]
    assert sorted(found) == sorted(f"zoobench_{name}/zoobench_{name}.py" for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_module_says_what_it_is(load, name):
    module = load(name)
    assert (module.name, module.metric, module.module_type) == (f"zoobench_{name}", name, "metric")
    assert ("Higher" if metrics.BY_NAME[name].higher_is_better else "Lower") in module.description
    assert f"`{name}_low`" in module.compute.__doc__
    assert module.citation.startswith("@article") == (name in ("kendall_tau", "spearman"))


@pytest.mark.parametrize("metric", REGRESSION, ids=lambda m: m.name)
@pytest.mark.parametrize("decimals", [0, 1, 12], ids=["many ties", "some ties", "no ties"])
def test_values_are_those_of_scipy_and_scikit_learn(load, metric, decimals):
    data = sample(500, 10, decimals)
    found = load(metric.name).compute(predictions=data.prediction, references=data.target.tolist())
    assert found == {metric.name: pytest.approx(REFERENCE[metric.name](data.target, data.prediction), rel=1e-9)}


@pytest.mark.parametrize("metric", CLASSIFICATION, ids=lambda m: m.name)
@pytest.mark.parametrize("as_class", [int, lambda number: f"class {number}"], ids=["ints", "strings"])
def test_classification_is_that_of_scikit_learn(load, metric, as_class):
    data = classes(500, 10, 12)
    target, prediction = ([as_class(number) for number in numbers] for numbers in (data.target, data.prediction))
    found = load(metric.name).compute(predictions=prediction, references=target)
    assert found == {metric.name: pytest.approx(REFERENCE[metric.name](target, prediction), rel=1e-9)}
    assert found == load(metric.name).compute(predictions=np.array(prediction), references=pd.Series(target))


def test_scores_are_the_harness_s_to_the_last_digit(load, tiny, zoobench, tmp_path):
    labels = hub.load_labels(tiny, "test").frame
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"zoo": tiny.id, "example_id": labels["example_id"]})
    tasks = tasks_of(tiny.spec)[:2]
    for task in tasks:
        frame[task.name] = task.target(labels) + task.target(labels).std() * rng.normal(size=len(labels))
    frame.to_parquet(tmp_path / "preds.parquet")
    assert zoobench("evaluate", "--predictions", tmp_path / "preds.parquet", "--json", tmp_path / "r.json").code == 0
    (result,) = json.loads((tmp_path / "r.json").read_text())["results"]
    for task in tasks:
        for name, score in result["tasks"][task.name]["scores"].items():
            rows = {"predictions": frame[task.name], "references": task.target(labels)}
            expected = {name: score["value"], f"{name}_low": score["low"], f"{name}_high": score["high"]}
            assert load(name).compute(**rows, runs=labels["run_id"]) == expected
            assert load(name).compute(**rows) == {name: score["value"]}


@pytest.mark.parametrize("metric", metrics.METRICS, ids=lambda m: m.name)
@pytest.mark.parametrize("settings", [{}, {"groups": 10, "level": 0.5, "seed": 3}], ids=["defaults", "others"])
def test_the_interval_over_runs_is_that_of_the_metrics(load, metric, settings):
    data = sample(300, 20) if metric in REGRESSION else classes(300, 20, 5)
    expected = metrics.estimate(metric, data, Jackknife(**settings))
    ids = [("seed", int(run)) for run in data.run]
    found = load(metric.name).compute(predictions=data.prediction, references=data.target, runs=ids, **settings)
    assert list(found) == [metric.name, f"{metric.name}_low", f"{metric.name}_high"]
    assert list(found.values()) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "references", "predictions", "reason"),
    [
        ("r2", [0.1] * 4, [1, 2, 3, 4], "the references are constant"),
        ("kendall_tau", [1, 2, 3, 4], [0.1] * 4, "the predictions are constant"),
        ("spearman", [2, 2, 2, 2], [1, 2, 3, 4], "the references are constant"),
        ("r2", [5], [5], "the references are constant"),
    ],
)
def test_what_is_undefined_is_none_with_a_reason(load, name, references, predictions, reason):
    rows = {"predictions": predictions, "references": references}
    assert load(name).compute(**rows) == {name: None, "reason": reason}
    undefined = {name: None, f"{name}_low": None, f"{name}_high": None, "reason": reason}
    assert load(name).compute(**rows, runs="aabb"[: len(references)]) == undefined


def test_an_interval_may_be_undefined_where_the_value_is_not(load):
    """Each run has a constant target, so that there is no R² without the other."""
    found = load("r2").compute(predictions=[1, 1, 2, 2], references=[1, 1, 2, 2], runs=[7, 7, 8, 8])
    assert found == {"r2": 1, "r2_low": None, "r2_high": None, "reason": "too few runs"}


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("r2", {}, "no rows to score; give predictions and references, or add them first"),
        ("r2", {"predictions": [], "references": []}, "predictions have no rows"),
        ("r2", {"references": [1.0]}, "predictions must be a list or an array with a value per row; got None"),
        ("r2", {"predictions": [1, 2], "references": [1]}, "2 predictions for 1 references; each row needs one of"),
        ("r2", {"predictions": [1, np.nan], "references": [1, 2]}, r"predictions\[1\] is nan; every value must be"),
        ("r2", {"predictions": [1, 2], "references": [-np.inf, 2]}, r"references\[0\] is -inf; every value must be"),
        ("r2", {"predictions": [1, 1e308], "references": [1, 2]}, r"predictions\[1\] is 1e\+308, beyond ±3.4e\+38"),
        ("r2", {"predictions": [1, 2], "references": [-1e39, 2]}, r"references\[0\] is -1e\+39, beyond ±3.4e\+38"),
        ("r2", {"predictions": [1, None], "references": [1, 2]}, "predictions are not all numbers"),
        ("r2", {"predictions": ["1", "2"], "references": [1, 2]}, "predictions are not all numbers"),
        ("r2", {"predictions": [[1], [2]], "references": [1, 2]}, r"predictions have shape \(2, 1\), not \(rows,\); s"),
        ("accuracy", {"predictions": [0.2, 0.8], "references": [0, 1]}, "neither all ints nor all strings"),
        ("accuracy", {"predictions": ["a", 1], "references": ["a", "b"]}, "neither all ints nor all strings"),
        ("accuracy", {"predictions": "ab", "references": "ab"}, "predictions must be a list or an array"),
        ("accuracy", {"predictions": [1, 2], "references": ["1", "2"]}, "predictions like 1 beside string classes"),
        ("r2", {"predictions": [1, 2], "references": [1, 2], "runs": ["a"]}, "1 runs for 2 rows"),
        ("r2", {"predictions": [1, 2], "references": [1, 2], "runs": ["a", None]}, r"runs\[1\] is None; every row"),
        ("r2", {"predictions": [1, 2], "references": [1, 2], "groups": 1}, "an interval needs groups >= 2"),
        ("r2", {"predictions": [1, 2], "references": [1, 2], "level": 95}, "and 0 < level < 1; got 200 and 95"),
    ],
)
def test_bad_input_is_one_line_and_the_next_call_works(load, name, arguments, message):
    with pytest.raises(ValueError, match=message) as raised:
        load(name).compute(**arguments)
    assert "\n" not in str(raised.value)
    assert load(name).compute(predictions=[1, 2], references=[1, 2]) == {name: 1}


def test_batches_and_single_rows_add_up(load):
    data = sample(90, 9)
    module = load("spearman")
    whole = module.compute(predictions=data.prediction, references=data.target, runs=data.run)
    for rows in np.array_split(np.arange(80), 3):
        module.add_batch(predictions=data.prediction[rows], references=data.target[rows])
    for row in range(80, 90):
        module.add(prediction=data.prediction[row], reference=data.target[row])
    assert module.compute(runs=data.run) == whole


def test_a_refused_batch_leaves_what_was_added_before(load):
    module = load("accuracy")
    module.add_batch(predictions=["a", "b"], references=["a", "a"])
    with pytest.raises(ValueError, match="predictions like 1 beside string classes"):
        module.add_batch(predictions=[1, 2], references=[1, 2])
    with pytest.raises(ValueError, match="1 predictions for 2 references"):
        module.add_batch(predictions=["a"], references=["a", "b"])
    assert module.compute() == {"accuracy": 0.5}


def test_class_names_are_kept_as_they_are(load):
    """ "7" and "07" are two classes, and only the second row is right."""
    target, prediction = ["7", "8"], ["07", "8"]
    assert load("accuracy").compute(predictions=prediction, references=target) == {"accuracy": 0.5}
    assert accuracy_score(target, prediction) == 0.5
    found = load("macro_f1").compute(predictions=prediction, references=target)["macro_f1"]
    assert found == pytest.approx(f1_score(target, prediction, average="macro"), rel=1e-9)


def test_inputs_are_held_in_double_precision(load):
    assert np.float32(100_000_001) == np.float32(100_000_000)
    assert load("mse").compute(predictions=[100_000_001], references=[100_000_000]) == {"mse": 1}
    assert load("kendall_tau").compute(predictions=[1, 1 + 1e-15], references=[1, 2]) == {"kendall_tau": 1}


def test_tensors_are_rows_and_runs_too(load):
    torch = pytest.importorskip("torch")
    data = sample(40, 4)
    target, prediction, run = (torch.tensor(values) for values in (data.target, data.prediction, data.run))
    expected = load("r2").compute(predictions=data.prediction, references=data.target, runs=data.run)
    rows = {"predictions": prediction.requires_grad_(), "references": list(target)}
    assert load("r2").compute(**rows, runs=list(run)) == expected


def test_modules_combine(library, load):
    data = sample(50, 5)
    rows = {"predictions": data.prediction, "references": data.target}
    found = library.combine([load("r2"), load("mae")]).compute(**rows, runs=data.run)
    assert found == {**load("r2").compute(**rows, runs=data.run), **load("mae").compute(**rows, runs=data.run)}


def test_a_hub_id_loads_the_same_module(library, load, tmp_path, monkeypatch):
    """A Space holds the script; here a server on loopback has it where evaluate looks, at the revision main."""
    space = tmp_path / "spaces" / "zoobench" / "zoobench_r2" / "resolve" / "main"
    shutil.copytree(f"{folder()}/zoobench_r2", space)
    handler = functools.partial(_Quiet, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(library.config, "HUB_EVALUATE_URL", url + "/spaces/{path}/resolve/{revision}/{name}")
        monkeypatch.setattr(library.config, "HF_EVALUATE_OFFLINE", False)
        monkeypatch.setattr(library.config, "HF_UPDATE_DOWNLOAD_COUNTS", False)
        module = library.load("zoobench/zoobench_r2")
        server.shutdown()
    data = sample(50, 5)
    rows = {"predictions": data.prediction, "references": data.target, "runs": data.run}
    assert type(module) is not type(load("r2"))
    assert module.compute(**rows) == load("r2").compute(**rows)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_neither_metrics_nor_the_folder_need_the_library():
    code = "import sys, zoobench.scoring.metrics, zoobench.evaluate_modules; print('evaluate' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
