"""Numbers far outside of any unit: within single precision every metric is finite, beyond it all refuse alike."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from zoobench.data import hub

SINGLE = float(np.finfo(np.float32).max)


@pytest.fixture
def write(tiny, tmp_path):
    """Writes predictions of which every second one is multiplied, and returns their path."""

    def written(name, factor):
        labels = hub.load_labels(tiny, "test").frame
        scale = np.where(np.arange(len(labels)) % 2, factor, 1)
        frame = pd.DataFrame({"zoo": tiny.id, "example_id": labels["example_id"]})
        frame["accuracy"] = np.sign(labels["test_accuracy"] + 0.1) * scale
        frame["epoch"] = labels["epoch"].astype(float) * 0.5
        path = tmp_path / name
        frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
        return path

    return written


def numbers(value):
    if isinstance(value, dict):
        return [number for part in value.values() for number in numbers(part)]
    if isinstance(value, list):
        return [number for part in value for number in numbers(part)]
    return [value] if isinstance(value, int | float) else []


@pytest.mark.filterwarnings("error")
def test_what_single_precision_holds_has_finite_metrics_spreads_and_averages(write, zoobench, tmp_path):
    """Two seeds, so that standard deviations are taken of mean squared errors."""
    seeds = [write("a-seed0.parquet", SINGLE), write("a-seed1.parquet", -SINGLE)]
    outcome = zoobench("evaluate", "--predictions", *seeds, "--json", tmp_path / "r.json")
    assert outcome.code == 0, outcome.err
    result = json.loads((tmp_path / "r.json").read_text())
    scores = result["results"][0]["tasks"]["accuracy"]["scores"]
    assert scores["mse"]["value"] == pytest.approx(SINGLE**2 / 2, rel=1e-6)
    assert all(value is not None for score in scores.values() for value in (score["value"], score["spread"]))
    assert all(math.isfinite(number) for number in numbers(result))
    assert "inf" not in outcome.out
    assert "nan" not in outcome.out
    assert "5.79e+76" in outcome.out
    compared = zoobench("compare", *seeds, "--json")
    assert compared.code == 0
    assert all(math.isfinite(number) for number in numbers(json.loads(compared.out)))


@pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
@pytest.mark.parametrize("factor", [1e308, 1.01 * SINGLE, -1e39])
def test_what_it_does_not_hold_is_refused_everywhere_in_one_line(name, factor, write, zoobench, tmp_path):
    path, sound = write(name, factor), write("sound.parquet", 1)
    for verb in (
        ("evaluate", "--predictions", path, "--json", tmp_path / "r.json"),
        ("evaluate", "--predictions", sound, path),
        ("compare", path, sound),
        ("compare", sound, path),
    ):
        outcome = zoobench(*verb)
        assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
        assert "column 'accuracy' is beyond ±3.4e+38, the largest in single precision, in 9 rows" in outcome.err
    assert not (tmp_path / "r.json").exists()
