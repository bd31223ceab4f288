"""Saved models that somebody has changed: one line each, and nothing outside their folder is read."""

import copy
import json
import os
import shutil
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from zoobench.errors import ZoobenchError
from zoobench.files import sha256_of
from zoobench.predictors import fitted
from zoobench.predictors.run import run

QUICK = {
    "linear": {},
    "gbm": {"max_trees": "3"},
    "dnn": {"max_epochs": "1", "units": "8", "layers": "1"},
    "comvex": {"max_epochs": "1", "hidden_size": "16", "hidden_layers": "1"},
    "hyperrep": {"epochs": "1", "width": "16", "heads": "2", "blocks": "1", "feed_forward": "16", "latent": "4"},
}
WRONG: list[object] = [None, -1, 10**9, 10**30, 1e308, "../other", "", [], {}, True, "x" * 70, [1, 2, 3]]


@pytest.fixture(scope="module")
def saved(tiny_hyp_home, tmp_path_factory):
    """A saved model by baseline, of numbers and of classes."""
    home = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOOBENCH_DATA", str(tiny_hyp_home))
        zoo = fitted.resolve("tetris-zoo-tiny/hyp")
        for baseline, parameters in QUICK.items():
            tasks = ["accuracy", "epoch", "init", "activation"]
            run(baseline, zoo, parameters, home / "p", only=tasks, keep=home / baseline)
    return home


@pytest.fixture
def model(saved, tiny_hyp, tmp_path, request):
    """A copy of the model of a baseline, which a test may break."""
    return Path(shutil.copytree(saved / request.param, tmp_path / "model"))


def stamped(folder):
    """Say that the files are those that were saved, so that what reads them must see for itself."""
    path = folder / "predictor.json"
    record = json.loads(path.read_text())
    there = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != path.name]
    record["files"] = {file.relative_to(folder).as_posix(): sha256_of(file) for file in there}
    path.write_text(json.dumps(record))


def outcome(folder):
    """What a prediction says: nothing, or one line. Anything but a ZoobenchError ends the test."""
    began = time.monotonic()
    try:
        fitted.predict(folder, [], folder.parent / "q.parquet")
        said = ""
    except ZoobenchError as error:
        said = str(error)
        assert said.count("\n") == 0
        assert len(said) < 1000
    assert time.monotonic() - began < 20
    return said


def leaves(value, path=()):
    """Every leaf of JSON by its path, and every list and object but the whole."""
    if path:
        yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield from leaves(entry, (*path, key))


def changed(content, path, value):
    whole = copy.deepcopy(content)
    *way, last = path
    place = whole
    for key in way:
        place = place[key]
    if value is Ellipsis:
        del place[last]
    else:
        place[last] = value
    return whole


every = pytest.mark.parametrize("model", sorted(QUICK), indirect=True)


def files(folder):
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


@every
def test_a_file_that_is_missing_cut_emptied_or_of_other_bytes_is_one_line(model):
    """Also where the record says that the broken file is the one that was saved."""
    for path in files(model):
        content, record = path.read_bytes(), (model / "predictor.json").read_bytes()
        cuts = [b"", content[: len(content) // 2], content[:-2], b"\x00" * 40, b"[" * 100_000, b"\xff" + content[1:]]
        for broken in (None, *cuts):
            path.unlink() if broken is None else path.write_bytes(broken)
            assert outcome(model), path.name
            if path.name != "predictor.json":
                stamped(model)
                outcome(model)
                assert path.suffix != ".safetensors" or "cannot load" in outcome(model)
            path.write_bytes(content)
            (model / "predictor.json").write_bytes(record)
    assert outcome(model) == ""


@every
@pytest.mark.parametrize("name", ["predictor.json", "config.json", "tasks.json"])
def test_every_entry_of_a_models_json_may_be_anything(model, name):
    path = model / name
    if not path.exists():
        return
    content = json.loads(path.read_text())
    rng = np.random.RandomState(0)
    for where in leaves(content):
        if where[0] == "files" or (len(where) > 3 and rng.rand() < 0.9):
            continue
        chosen = rng.permutation(len(WRONG))[: 1 if len(where) > 1 else 4]
        for value in (Ellipsis, *(WRONG[k] for k in chosen)):
            path.write_text(json.dumps(changed(content, where, value)))
            if name != "predictor.json":
                stamped(model)
            outcome(model)


@every
def test_tensors_of_other_shapes_types_or_values_are_one_line(model):
    for path in [one for one in files(model) if one.suffix == ".safetensors"]:
        content = path.read_bytes()
        size = struct.unpack("<Q", content[:8])[0]
        about = json.loads(content[8 : 8 + size]).get("__metadata__")
        tensors = load_file(path)
        for name, tensor in tensors.items():
            for other in (
                np.full_like(tensor, np.nan) if tensor.dtype.kind == "f" else None,
                tensor.astype(np.float16),
                tensor.astype(np.int64) if tensor.dtype.kind == "f" else None,
                tensor.ravel()[:1],
                np.concatenate([tensor[None], tensor[None]]),
            ):
                if other is None or (other.shape == tensor.shape and other.dtype == tensor.dtype and tensor.size == 1):
                    continue
                save_file(tensors | {name: np.ascontiguousarray(other)}, path, metadata=about)
                stamped(model)
                said = outcome(model)
                same = other.shape == tensor.shape and np.array_equal(other.astype(tensor.dtype), tensor)
                assert said or same or other.dtype == np.float16, (name, other.shape, other.dtype)
            save_file({key: value for key, value in tensors.items() if key != name}, path, metadata=about)
            stamped(model)
            assert outcome(model), name
        for head in (2**40, 2**63, size + 10**7):
            path.write_bytes(struct.pack("<Q", head) + content[8:])
            stamped(model)
            assert "cannot load the" in outcome(model)


@pytest.mark.parametrize("model", ["gbm"], indirect=True)
def test_no_text_of_trees_ends_the_process(model):
    """Every field of a tree and of the header: empty, out of range, gone. LightGBM would read beyond its arrays."""
    path = model / "init.lightgbm.txt"
    lines = path.read_text().split("\n")
    for number, line in enumerate(lines[: lines.index("Tree=1")]):
        name, equals, value = line.partition("=")
        if not equals:
            continue
        first, *rest = value.split(" ")
        for other in ("", "-1", "7777777", "nan"):
            texts = f"{name}={other}", f"{name}={' '.join([other, *rest])}", f"{name}={first} {value}"
            for text in texts[number % 2 :]:
                path.write_text("\n".join([*lines[:number], text, *lines[number + 1 :]]))
                stamped(model)
                said = outcome(model)
                assert said or name in UNUSED, text
        path.write_text("\n".join([*lines[:number], *lines[number + 1 :]]))
        stamped(model)
        assert outcome(model) or name in UNUSED, name


# What a prediction does not need.
UNUSED = (
    "feature_names",
    "feature_infos",
    "split_gain",
    "leaf_weight",
    "leaf_count",
    "internal_value",
    "internal_weight",
    "internal_count",
    "shrinkage",
    "threshold",
    "leaf_value",
    "decision_type",
    "split_feature",
)


@pytest.mark.parametrize("model", ["linear", "comvex"], indirect=True)
def test_nothing_outside_a_models_folder_is_read(model, saved, tmp_path):
    """By the record's words, by links of files and of folders, by a baseline that reads the folder of another."""
    path = model / "predictor.json"
    content = json.loads(path.read_text())
    other = Path(shutil.copytree(model, tmp_path / "other"))
    for folder in ("../other", str(other), "./../other", "sub", ""):
        path.write_text(json.dumps(changed(content, ("parts", 0, "folder"), folder)))
        assert "parts.0.folder: it is '.'" in outcome(model)
    for name in ("../other/predictor.json", str(other / "predictor.json"), "a/../../other/predictor.json"):
        path.write_text(json.dumps(content | {"files": content["files"] | {name: sha256_of(other / "predictor.json")}}))
        assert "may lie outside" in outcome(model)
    path.write_text(json.dumps(content | {"baseline": "encoded", "parameters": {"model": str(saved / "comvex")}}))
    assert "baseline 'encoded' cannot be saved" in outcome(model)
    path.write_text(json.dumps(content))
    for name in content["files"]:
        (model / name).unlink()
        (model / name).symlink_to(other / name)
        assert f"{name} is a link, which is not followed" in outcome(model)
        (model / name).unlink()
        shutil.copy(other / name, model / name)
    path.unlink()
    path.symlink_to(other / "predictor.json")
    assert "predictor.json is a link" in outcome(model)
    path.unlink()
    os.mkfifo(path)
    assert "no file, which is not read" in outcome(model)


@pytest.mark.parametrize("model", ["linear"], indirect=True)
def test_a_model_without_parts_or_with_tasks_that_are_not_its_own_is_one_line(model):
    path = model / "predictor.json"
    content = json.loads(path.read_text())
    for entries, message in (
        ({"parts": []}, "parts: there are none"),
        ({"parts": content["parts"] * 2}, "it is '0', not '.'"),
        ({"tasks": ["accuracy"]}, "tasks: those of the parts are others"),
        ({"classes": {}}, "classes: they are not those of the tasks"),
        ({"protocol": "nfm"}, "there is no protocol 'nfm'"),
        ({"layout": []}, "layout: it has no tensors"),
        ({"layout": [{"name": "fc1.weight", "shape": [5, 16]}]}, "layout.0.offset: Field required"),
        ({"layout": [content["layout"][0] | {"offset": 4}]}, "layout: a gap or no size at 'fc1.weight'"),
        ({"zoo": "nowhere/seed"}, "nowhere"),
    ):
        path.write_text(json.dumps(content | entries))
        assert message in outcome(model)


@pytest.mark.parametrize("model", ["comvex"], indirect=True)
def test_an_encoder_is_read_from_safetensors_alone(model, tiny_hyp, tmp_path, zoobench):
    def refusal():
        arguments = ("encode", "--model", model, "--zoo", tiny_hyp.id, "--out", tmp_path / "z.parquet")
        done = zoobench(*arguments)
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert not (tmp_path / "z.parquet").exists()
        return done.err

    weights, config = model / "model.safetensors", json.loads((model / "config.json").read_text())
    tensors = load_file(weights)
    (model / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n.")
    weights.unlink()
    assert "there is no model.safetensors; pytorch_model.bin may be a pickle, and none is read" in refusal()
    weights.symlink_to(tmp_path / "elsewhere")
    assert "model.safetensors is a link" in refusal()
    weights.unlink()
    save_file(tensors, weights)
    for name, value in (("hidden_layers", 10**9), ("hidden_size", 10**9), ("embedding", 10**12)):
        (model / "config.json").write_text(json.dumps(config | {name: value}))
        assert f"{name} is {value}, but no tensor of model.safetensors has such a side" in refusal()
    for layout in ([{"name": "fc1.weight", "shape": [10**9, 10**9], "offset": 0}], [{"name": "a", "shape": [4]}], 5):
        (model / "config.json").write_text(json.dumps(config | {"layout": layout}))
        assert "cannot load the model" in refusal()
    (model / "config.json").write_text(json.dumps(config | {"model_type": "bert", "auto_map": {"AutoModel": "a--b.C"}}))
    assert "unknown kind of model 'bert'" in refusal()
    (model / "config.json").write_text(json.dumps(config))
    broken = {name: np.full_like(tensor, np.inf) if "encoder" in name else tensor for name, tensor in tensors.items()}
    save_file(broken, weights)
    assert "is not finite" in refusal()
