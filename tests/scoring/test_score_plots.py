import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from zoobench.data import hub
from zoobench.scoring import score_plots
from zoobench.scoring.harness import evaluate
from zoobench.scoring.joining import join
from zoobench.scoring.predictions import read_predictions
from zoobench.scoring.score_plots import heat_map, predicted_against_true, transfer


@pytest.fixture
def frame(tiny_hyp):
    labels = hub.load_labels(tiny_hyp, "test").frame
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "zoo": tiny_hyp.id,
            "example_id": labels["example_id"],
            "accuracy": labels["test_accuracy"] + 0.1 * rng.normal(size=len(labels)),
            "activation": labels["activation"],
        }
    )


@pytest.fixture
def scored(frame):
    file = read_predictions(frame)
    return evaluate(frame).results[0], join(file, file.groups[0], "all", hub.Store())


def test_a_panel_shows_every_prediction_over_its_target(scored):
    part, joined = scored
    accuracy, activation = predicted_against_true(part, joined).axes
    points = accuracy.collections[0].get_offsets()
    sample = joined.samples["accuracy"]
    assert np.allclose(np.sort(points[:, 0]), np.sort(sample.target))
    assert np.allclose(points[:, 1], sample.prediction)
    assert activation.get_images()[0].get_array().tolist() == [[1, 0], [0, 1]]
    assert accuracy.get_title().startswith("accuracy: R² ")


def test_a_matrix_shows_its_numbers(frame, tiny_hyp):
    result = evaluate([frame, frame.assign(trained_on="tetris-zoo-tiny/seed", accuracy=-frame["accuracy"])])
    matrix = next(matrix for matrix in result.matrices() if matrix.task == "accuracy")
    axes = heat_map(matrix).axes[0]
    tau = matrix.scores[0][0].value
    assert [text.get_text() for text in axes.texts] == [f"{tau:.2f}", f"{-tau:.2f}"]
    names = [label.get_text().replace("\n", "") for label in axes.get_yticklabels()]
    assert names == [tiny_hyp.id, "tetris-zoo-tiny/seed"]
    file = read_predictions(frame)
    joined = join(file, file.groups[0], "all", hub.Store())
    cells = {(part.trained_on, part.zoo): (part, joined) for part in result.results}
    panels = transfer(matrix, cells).axes
    assert [panel.get_title() for panel in panels] == [f"τ-b {tau:.3f}", f"τ-b {-tau:.3f}"]
    assert panels[1].get_ylabel().startswith("trained on tetris-zoo-tiny/seed")
    assert panels[1].get_xlabel().endswith(f"tested on {tiny_hyp.id}")


def test_evaluate_draws_them_all(frame, tmp_path, zoobench):
    frame.to_parquet(tmp_path / "one.parquet")
    frame.assign(trained_on="tetris-zoo-tiny/seed").to_parquet(tmp_path / "two.parquet")
    outcome = zoobench(
        "evaluate", "--predictions", tmp_path / "one.parquet", tmp_path / "two.parquet", "--plot", tmp_path / "p"
    )
    assert outcome.code == 0, outcome.err
    assert {path.name for path in (tmp_path / "p").iterdir()} == {
        "tetris-zoo-tiny-hyp-all.png",
        "tetris-zoo-tiny-hyp-trained-on-tetris-zoo-tiny-seed-all.png",
        *(f"{kind}-{task}-all.png" for kind in ("matrix", "transfer") for task in ("accuracy", "activation")),
    }
    for path in (tmp_path / "p").iterdir():
        with Image.open(path) as picture:
            assert len(np.unique(np.asarray(picture.convert("L")))) > 10


FAULTS = {
    "a folder that cannot be written": None,
    "matplotlib": (RuntimeError("no font\nat all"), "cannot draw pictures in "),
    "a full disk": (OSError(28, "No space left on device"), "No space left on device"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_drawn_is_one_line_after_the_scores_are_saved_and_shown(
    fault, frame, tmp_path, zoobench, monkeypatch
):
    (tmp_path / "file").write_text("", encoding="utf-8")
    frame.to_parquet(tmp_path / "one.parquet")
    folder, message = tmp_path / "file" / "p", "cannot write pictures to"
    if FAULTS[fault]:
        error, message = FAULTS[fault]
        folder = tmp_path / "p"

        def fail(figure, path):
            raise error

        monkeypatch.setattr(score_plots, "save", fail)
    saved = tmp_path / "r.json"
    outcome = zoobench("evaluate", "--predictions", tmp_path / "one.parquet", "--json", saved, "--plot", folder)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert message in outcome.err
    assert "macro-F1" in outcome.out
    assert saved.exists()


def test_from_python_the_scores_are_returned_and_the_fault_is_a_warning(frame, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.warns(UserWarning, match="scored, but not drawn: cannot write pictures to "):
        result = evaluate(frame, pictures=tmp_path / "file" / "p")
    assert result.results[0].tasks["activation"].scores["accuracy"].value == 1


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nonsense"])
def test_pictures_are_drawn_with_the_backend_of_a_notebook_in_the_environment(backend, frame, tmp_path):
    frame.to_parquet(tmp_path / "one.parquet")
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\n", encoding="utf-8")
    command = [sys.executable, "-m", "zoobench", "evaluate", "--predictions", "one.parquet", "--plot", "p"]
    environment = os.environ | {"MPLBACKEND": backend}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "p").iterdir()] == ["tetris-zoo-tiny-hyp-all.png"]
