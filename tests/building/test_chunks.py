"""A new source of drawn images is one declaration and one drawer."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from zoobench.building.chunks import Chunk, train_chunk
from zoobench.scoring.tasks import tasks_of
from zoobench.training import images
from zoobench.training.nets import module
from zoobench.zoos import Zoo, resolve
from zoobench.zoos.runs import runs_of


@dataclass(frozen=True)
class Stripes:
    """Class 0 lies, class 1 stands, class 2 is neither."""

    folder = "stripes"
    classes = 3
    test_majority = 1 / 3
    drawn = True
    class_outcomes = ("f1_class_0", "f1_class_1", "f1_class_2")
    description = "Stripes."


def draw_stripes(source, part):
    rng = np.random.default_rng(len(part))
    labels = np.arange(60) % source.classes
    levels = rng.random((60, 4, 4)).astype(np.float32) / 2
    levels[labels == 0, 1] += 0.5
    levels[labels == 1, :, 1] += 0.5
    return levels, labels


@pytest.fixture
def zoo(monkeypatch):
    monkeypatch.setattr(images, "DRAWERS", {**images.DRAWERS, Stripes: draw_stripes})
    tiny = resolve("tetris-zoo-tiny/seed")
    scale = dataclasses.replace(tiny.size, train_images=None)
    return Zoo(dataclasses.replace(tiny.spec, images=Stripes(), scales=(("tiny", scale),)), tiny.scale)


def test_networks_are_trained_on_it_and_have_a_column_for_each_of_its_classes(zoo):
    drawn = images.load_images(zoo.spec, zoo.size)
    assert (drawn.origin, len(drawn.train_labels), drawn.test_images.shape) == ("drawn by zoobench", 60, (60, 1, 4, 4))
    assert [task.name for task in tasks_of(zoo.spec) if task.name.startswith("f1")] == list(Stripes.class_outcomes)
    runs = tuple(runs_of(zoo)[:2])
    table, dropped = train_chunk(Chunk(zoo.spec, 0, runs, (20,)), drawn, "cpu", lambda epoch: None)
    assert not dropped
    for row in table.to_pylist():
        network = module(zoo.spec.network, row["activation"], np.array(row["weights"], dtype=np.float32))
        predicted = network(torch.from_numpy(drawn.test_images)).argmax(1).numpy()
        expected = f1_score(drawn.test_labels, predicted, labels=[0, 1, 2], average=None, zero_division=0)
        assert [row[name] for name in Stripes.class_outcomes] == pytest.approx(expected.tolist())
        assert row["f1_class_3"] is None
