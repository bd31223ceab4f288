"""Ids that are not those of the test split, and where they come from."""

import shutil

import pandas as pd
import pytest

from zoobench.building.build import build
from zoobench.data import hub
from zoobench.errors import ZoobenchError
from zoobench.scoring.harness import evaluate
from zoobench.zoos import resolve


@pytest.fixture(scope="module")
def both_scales(tiny_home, tmp_path_factory):
    """A home with ``tetris-zoo-tiny/seed`` and ``tetris-zoo-lite/seed``, whose run ids overlap."""
    home = tmp_path_factory.mktemp("both")
    shutil.copytree(tiny_home / "tetris-zoo-tiny", home / "tetris-zoo-tiny")
    build(resolve("tetris-zoo-lite/seed"), home)
    return home


def perfect(zoo, split="test"):
    labels = hub.load_labels(zoo, split).frame
    return pd.DataFrame({"zoo": zoo.id, "example_id": labels["example_id"], "accuracy": labels["test_accuracy"]})


def refusal(frame):
    with pytest.raises(ZoobenchError) as raised:
        evaluate(frame)
    return str(raised.value)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_ids_of_another_split(tiny, split):
    frame = perfect(tiny, split)
    shown = ", ".join(frame["example_id"][:5])
    assert refusal(frame) == (
        f"the DataFrame: {len(frame)} example ids of tetris-zoo-tiny/seed are not in the test split: {shown}, … "
        f"({len(frame)} are ids of the {split} split); predict every example of the test split once"
    )


def test_one_id_of_another_split_among_good_ones(tiny):
    frame = pd.concat([perfect(tiny), perfect(tiny, "train").iloc[:1]])
    assert "1 example id of tetris-zoo-tiny/seed is not in the test split" in refusal(frame)
    assert "(1 are ids of the train split)" in refusal(frame)


def test_ids_of_the_zoo_at_another_scale(both_scales, monkeypatch):
    monkeypatch.setenv("ZOOBENCH_DATA", str(both_scales))
    tiny, lite = resolve("tetris-zoo-tiny/seed"), resolve("tetris-zoo-lite/seed")
    missing = refusal(perfect(tiny).assign(zoo=lite.id))
    assert "example ids of tetris-zoo-lite/seed are missing" in missing
    assert "(18 are ids of tetris-zoo-tiny/seed)" in missing
    unknown = refusal(perfect(lite).assign(zoo=tiny.id))
    assert "example ids of tetris-zoo-tiny/seed are not in the test split" in unknown
    assert "are ids of tetris-zoo-lite/seed)" in unknown


def test_a_zoo_that_is_here_at_another_scale_only(tiny):
    message = refusal(perfect(tiny).assign(zoo="tetris-zoo/seed"))
    assert "build it: zoobench build tetris-zoo/seed" in message
    assert message.endswith("; tetris-zoo-tiny/seed is here, which is another zoo")


def test_repeated_ids_are_counted_once_each(tiny):
    frame = perfect(tiny)
    message = refusal(pd.concat([frame, frame.iloc[:7], frame.iloc[:7]]))
    assert "7 example ids of tetris-zoo-tiny/seed are repeated: " + ", ".join(frame["example_id"][:5]) in message


def test_an_id_that_is_repeated_instead_of_another(tiny):
    """As many rows as there should be, but not one for each."""
    frame = perfect(tiny)
    frame.loc[3, "example_id"] = frame.loc[4, "example_id"]
    assert f"1 example id of {tiny.id} is repeated: {frame['example_id'][4]}; " in refusal(frame)


def test_an_unknown_class_is_named_with_the_classes(tiny_hyp):
    labels = hub.load_labels(tiny_hyp, "test").frame
    frame = pd.DataFrame({"zoo": tiny_hyp.id, "example_id": labels["example_id"], "activation": labels["activation"]})
    frame.loc[2, "activation"] = "ReLU"
    assert refusal(frame) == (
        f"the DataFrame: 'activation' of {frame['example_id'][2]} is 'ReLU', which is no class of tetris-zoo-tiny/hyp "
        "(1 rows); its classes are: relu, tanh"
    )


def test_rows_that_a_protocol_does_not_score_may_be_missing_or_there(tiny):
    frame = perfect(tiny)
    final = frame[frame["example_id"].str.endswith("/006")]
    whole, part = (evaluate(f, protocols=["final"]).results[0] for f in (frame, final))
    assert whole.tasks == part.tasks
    assert whole.rows == len(final)
