import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from zoobench.data import hub
from zoobench_baselines.comvex import ComVeXModel


@pytest.fixture
def trained(tiny, tmp_path, zoobench):
    """A model folder by architecture, trained for an epoch on the tiny Tetris zoo."""

    def train(architecture):
        folder = tmp_path / architecture
        values = {"architecture": architecture, "max_epochs": 1, "device": "cpu"}
        parameters = [part for name, value in values.items() for part in ("--param", f"{name}={value}")]
        outcome = zoobench(
            "run", "comvex", "--zoo", tiny.id, "--out", tmp_path / "p.parquet", "--save", folder, *parameters
        )
        assert outcome.code == 0, outcome.err
        return folder

    return train


def test_vectors_are_those_of_the_encoders_side_by_side(trained, tiny, tmp_path, zoobench):
    folder = trained("conv")
    outcome = zoobench(
        "encode", "--model", folder, "--zoo", tiny.id, "--out", tmp_path / "z.parquet", "--split", "validation"
    )
    assert outcome.code == 0, outcome.err
    table = pq.read_table(tmp_path / "z.parquet")
    networks = hub.load_split(tiny, "validation")
    assert table["example_id"].to_pylist() == networks.labels["example_id"].tolist()
    model = ComVeXModel.from_pretrained(folder).eval()
    weights = torch.from_numpy(networks.weights)
    with torch.inference_mode():
        parts = [encoder(weights).numpy() for encoder in model.encoder]
    np.testing.assert_allclose(np.stack(table["z"].to_numpy()), np.hstack(parts), atol=1e-6)
    for name, part in zip(("fc1", "fc2"), parts, strict=True):
        np.testing.assert_allclose(np.stack(table[f"z_{name}"].to_numpy()), part, atol=1e-6)


def test_a_model_without_vectors_per_layer_has_one_for_all(trained, tiny, tmp_path, zoobench):
    assert (
        zoobench("encode", "--model", trained("fc-linear"), "--zoo", tiny.id, "--out", tmp_path / "z.parquet").code == 0
    )
    table = pq.read_table(tmp_path / "z.parquet")
    assert table.column_names == ["example_id", "z"]
    assert table.schema.field("z").type.list_size == 128


def test_what_cannot_be_encoded_is_one_line(trained, tiny, tmp_path, zoobench):
    folder, out = trained("fc"), tmp_path / "z.parquet"
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{}")
    for model, message in (
        (tmp_path / "nowhere", "no model in "),
        (folder, "a model of the architecture 'fc' has no encoder"),
        (tmp_path / "broken", "cannot load the model in "),
    ):
        outcome = zoobench("encode", "--model", model, "--zoo", tiny.id, "--out", out)
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert message in outcome.err
        assert not out.exists()
