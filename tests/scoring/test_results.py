import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from zoobench.data import hub
from zoobench.errors import ZoobenchError
from zoobench.scoring.harness import evaluate
from zoobench.scoring.results import SCHEMA_VERSION, Result, Score, read_result

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "result.schema.json"


@pytest.fixture
def result(tiny):
    labels = hub.load_labels(tiny, "test").frame
    frame = pd.DataFrame({"zoo": tiny.id, "example_id": labels["example_id"], "accuracy": 0.5})
    return evaluate(frame.assign(epoch=labels["epoch"] + np.arange(len(labels)) % 2))


def test_the_schema_in_the_docs_is_that_of_the_results():
    """After a change: make schema."""
    assert json.loads(SCHEMA.read_text()) == Result.model_json_schema()


def test_a_result_survives_being_written_and_read(result, tmp_path):
    path = tmp_path / "result.json"
    path.write_text(result.to_json())
    assert read_result(path) == result


def test_the_json_is_strict_and_has_null_for_what_is_undefined(result):
    content = json.loads(result.to_json(), parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))
    score = content["results"][0]["tasks"]["accuracy"]["scores"]["kendall_tau"]
    assert (score["value"], score["reason"]) == (None, "the predictions are constant")


@pytest.mark.parametrize("version", [1, 2, SCHEMA_VERSION + 1, None])
def test_a_result_of_another_schema_is_refused(result, tmp_path, version):
    path = tmp_path / "result.json"
    path.write_text(json.dumps(json.loads(result.to_json()) | {"schema_version": version}))
    with pytest.raises(
        ZoobenchError, match=rf"has schema version {version}, .* reads {SCHEMA_VERSION}; score its pred"
    ):
        read_result(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "cannot read result"),
        ("[]", "has schema version None"),
        (f'{{"schema_version": {SCHEMA_VERSION}, "results": [], "averages": [], "more": 1}}', "more: Extra inputs"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path, text, message):
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(ZoobenchError, match=message):
        read_result(path)


def test_it_prints_and_shows_in_a_notebook(result):
    epoch = result.results[0].tasks["epoch"].scores["r2"]
    assert str(epoch) in str(result)
    assert str(epoch) in result._repr_html_()
    assert "–" in str(result)
    assert result._repr_html_().startswith("<table")


def test_it_is_a_tidy_frame_too(result):
    frame = result.to_frame().set_index(["task", "metric"])
    assert frame.loc[("epoch", "mae"), "value"] == pytest.approx(0.5)
    assert np.isnan(frame.loc[("accuracy", "kendall_tau"), "value"])


def test_a_score_prints_with_its_interval():
    assert str(Score(value=0.9123, low=0.9, high=0.92)) == "0.912 [0.900, 0.920]"
    assert str(Score(value=0.00123)) == "0.0012"
    assert str(Score(value=0.0)) == "0.000"
    assert str(Score(value=None, reason="constant")) == "–"
