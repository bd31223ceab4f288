"""Networks as the authors of the Schürholt zoos train them, in their Ray Tune folders, and what imports of them are."""

import json
from collections import OrderedDict

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from zoobench.training.nets import module
from zoobench.zoos import resolve

MNIST = resolve("mnist-zoo/hyp-5-rand-seed")
CONFIG = MNIST.spec.config
EPOCHS = (1, 2, 3)
RUNS = 12


class TheirCNN(nn.Module):
    """The MNIST network as a class of its own, with its own names."""

    def __init__(self, activation):
        super().__init__()
        act = {"tanh": nn.Tanh, "relu": nn.ReLU}[activation]
        self.module_list = nn.Sequential(
            nn.Conv2d(1, 8, 5), nn.MaxPool2d(2), act(), nn.Dropout(0.1),
            nn.Conv2d(8, 6, 5), nn.MaxPool2d(2), act(), nn.Dropout(0.1),
            nn.Conv2d(6, 4, 2), act(), nn.Flatten(), nn.Linear(36, 20), act(), nn.Dropout(0.1), nn.Linear(20, 10),
        )  # fmt: skip

    def forward(self, x):
        return self.module_list(x)


def drawn():
    return torch.randn(20, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def trained(images):
    """Trained runs of three checkpoints: state dicts, their logits, parameters, results."""
    found = []
    labels = torch.arange(20) % 10
    for seed in range(RUNS):
        torch.manual_seed(seed)
        activation = ("tanh", "relu")[seed % 2]
        network = TheirCNN(activation)
        optimizer = torch.optim.Adam(network.parameters(), 1e-2)
        states, said, results = [], [], []
        for epoch in EPOCHS:
            for _ in range(3):
                optimizer.zero_grad()
                nn.functional.cross_entropy(network.train()(images), labels).backward()
                optimizer.step()
            with torch.no_grad():
                said.append(network.eval()(images))
            states.append({name: value.clone() for name, value in network.state_dict().items()})
            accuracy = (said[-1].argmax(1) == labels).double().mean().item()
            results.append(
                {
                    "training_iteration": epoch,
                    "train_acc": 1.0,
                    "test_acc": accuracy,
                    "train_loss": 1.0,
                    "test_loss": 2.0,
                }
            )
        parameters = {
            "model::nlin": activation,
            "model::init_type": "kaiming_uniform",
            "model::dropout": 0.1,
            "optim::optimizer": "adam",
            "optim::lr": 1e-2,
            "optim::wd": 1e-4,
            "training::batchsize": 12,
            "seed": seed,
        }
        found.append((states, said, parameters, results))
    return found


def write_raw(folder, runs):
    for number, (states, _, parameters, results) in enumerate(runs):
        run = folder / f"NN_tune_trainable_{number:05d}"
        run.mkdir(parents=True)
        (run / "params.json").write_text(json.dumps(parameters))
        lines = [json.dumps(line | {"config": parameters, "trial_id": f"t{number}"}) for line in results]
        (run / "result.json").write_text("\n".join(lines) + "\n")
        for epoch, state in zip(EPOCHS, states, strict=True):
            (run / f"checkpoint_{epoch:06d}").mkdir()
            torch.save(OrderedDict(state), run / f"checkpoint_{epoch:06d}" / "checkpoints")
    return folder


def rows_of(folder, config):
    tables = [pq.read_table(path) for path in sorted((folder / config).glob("*.parquet"))]
    return sorted((row for table in tables for row in table.to_pylist()), key=lambda row: row["example_id"])


def check_networks(rows, runs, images, run_number):
    """Rebuild every row's network and compare what it says with the original."""
    assert len(rows) == sum(len(states) for states, *_ in runs)
    for row in rows:
        _, said, parameters, results = runs[run_number(row)]
        network = module(MNIST.spec.network, row["activation"], np.array(row["weights"])).eval()
        position = row["epoch"] - 1
        with torch.no_grad():
            torch.testing.assert_close(network(images), said[position], rtol=1e-4, atol=1e-5)
        assert row["test_accuracy"] == pytest.approx(results[position]["test_acc"])
        assert row["train_accuracy"] == pytest.approx(1.0)
        assert row["generalization_gap"] == pytest.approx(1 - results[position]["test_acc"], abs=1e-6)
        assert (row["activation"], row["init"]) == (parameters["model::nlin"], "kaiming_uniform")
        assert (row["learning_rate"], row["weight_decay"], row["batch_size"]) == (1e-2, 1e-4, 12)


def imported(zoobench, source, out, zoo=MNIST, *more):
    return zoobench("import", "schurholt", source, "--zoo", zoo.id, "--out", out, *more)


def refused(outcome, *messages):
    """One line, exit code 2."""
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1), outcome.err
    for message in messages:
        assert message in outcome.err
