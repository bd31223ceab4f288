"""Dataset objects as the code of Schürholt et al. makes them: classes, module names and attributes of the originals.

The classes exist while a file is written and are gone when it is read, as they are for whoever downloads one. They
raise if any of their code is run by reading.
"""

import copy
import sys
import types
from collections import OrderedDict
from pathlib import Path

import pandas as pd
import torch
from torch import nn

PACKAGE = "checkpoints_to_datasets"
LAYERS = [(0, "conv2d"), (4, "conv2d"), (8, "conv2d"), (11, "fc"), (14, "fc")]


class _Silent:
    def __setstate__(self, state):
        raise AssertionError("code of the file's class was run")


def make_classes(monkeypatch, package=PACKAGE):
    """The modules of the originals; returns the classes by name."""
    bases = {
        "dataset_base.ModelDatasetBase": (_Silent, torch.utils.data.Dataset),
        "dataset_simclr.SimCLRDataset": (_Silent, torch.utils.data.Dataset),
        "dataset_google_simclr.GoogleDatasetSimCLR": (_Silent,),
        "random_erasing.RandomErasingVector": (_Silent, nn.Module),
    }
    found = types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
    for path, parents in bases.items():
        module, name = path.split(".")
        made = types.ModuleType(f"{package}.{module}")
        kind = type(name, parents, {"__module__": made.__name__, "__qualname__": name})
        setattr(made, name, kind)
        setattr(found, name, kind)
        monkeypatch.setitem(sys.modules, made.__name__, made)
    return found


def forget_classes(monkeypatch, package=PACKAGE):
    for name in [name for name in sys.modules if name.startswith(package)]:
        monkeypatch.delitem(sys.modules, name)


def vector(state):
    return torch.cat([value.reshape(-1) for value in state.values()])


def run_path(number):
    return Path(f"/netscratch/zoos/mnist/NN_tune_trainable_{number:05d}")


def _own(item, runs, epochs, first):
    rows = [(number, epoch) for number in range(first, first + len(runs)) for epoch in epochs]
    item.root, item.path_list = [Path("/netscratch/zoos/mnist")], [run_path(first + k) for k in range(len(runs))]
    item.layer_lst, item.epoch_lst, item.task = LAYERS, list(epochs), "reconstruction"
    item.use_bias, item.weight_threshold, item.verbosity = True, float("inf"), 0
    item.train_val_test, item.ds_split = "train", [0.7, 0.15, 0.15]
    item.property_keys = {"result_keys": ["test_acc", "ggap"], "config_keys": ["model::nlin"]}
    item.paths, item.epochs = [run_path(number) for number, _ in rows], [epoch for _, epoch in rows]
    item.labels_in = [f"{run_path(number)}#_#epoch_{epoch}#_#layer_{LAYERS}" for number, epoch in rows]
    item.labels_out = copy.deepcopy(item.labels_in)
    item.properties = {
        "training_iteration": [epoch for _, epoch in rows],
        "ggap": [line["train_acc"] - line["test_acc"] for *_, results in runs for line in results],
        **{name: [line[name] for *_, results in runs for line in results] for name in ("test_acc", "test_loss")},
        **{name: [parameters[name] for _, _, parameters, _ in runs for _ in epochs] for name in runs[0][2]},
    }


def vectorised(classes, runs, epochs, first=0):
    """2021: ``data_in`` is a list of vectors, beside what the class keeps for its augmentations."""
    item = classes.SimCLRDataset()
    _own(item, runs, epochs, first)
    item.mode = "vector"
    item.data_in = [vector(state) for states, *_ in runs for state in states]
    item.data_out = copy.deepcopy(item.data_in)
    item.checkpoint_base = OrderedDict(runs[0][0][0])
    item.permutations_dct = {"layer_0": [[1, 0], [0, 1]]}
    item.permutation_index_list = [list(range(5))]
    item.erase_augment = classes.RandomErasingVector()
    item.erase_augment.p, item.erase_augment.scale = 0.5, (0.02, 0.33)
    return item


def checkpointed(classes, runs, epochs, first=0):
    """2022: ``data_in`` is a list of state dicts."""
    item = classes.ModelDatasetBase()
    _own(item, runs, epochs, first)
    item.mode = "checkpoint"
    item.data_in = [OrderedDict(state) for states, *_ in runs for state in states]
    item.data_out = copy.deepcopy(item.data_in)
    return item


def google(classes, weights, metrics):
    """Zoos 41 to 44: rows of the Small CNN Zoo, each layer's kernel moved before its bias, and pandas objects."""
    item = classes.GoogleDatasetSimCLR()
    chosen = metrics[metrics["modeldir"].isin(metrics["modeldir"].unique())].copy()
    chosen["model_id"] = pd.factorize(chosen["modeldir"])[0]
    chosen["label"] = [f"model_id-{m}_step-{s}_path-{p}" for m, s, p in chosen[["model_id", "step", "modeldir"]].values]
    item.root, item.layer_lst, item.use_bias = Path("/netscratch/google"), LAYERS[:4], True
    item.index_list, item.path_list = list(range(len(chosen))), metrics["modeldir"].unique()
    item.data = torch.tensor(weights[chosen.index]).detach()
    item.metrics, item.labels = chosen, chosen["label"].tolist()
    item.checkpoint_base = OrderedDict({"module_list.0.weight": torch.zeros(16, 1, 3, 3)})
    item.erase_augment = None
    item.properties = {
        "acc": chosen["test_accuracy"].tolist(),
        "epochs": chosen["step"].tolist(),
        "lr": chosen["config.learning_rate"].tolist(),
        "l2reg": chosen["config.l2reg"].tolist(),
        "dropout": chosen["config.dropout"].tolist(),
        "train_fraction": chosen["config.train_fraction"].tolist(),
        "activation": chosen["config.activation"],
        "init_method": chosen["config.w_init"],
        "optimizer": chosen["config.optimizer"],
        "ggap": (chosen["train_accuracy"] - chosen["test_accuracy"]).tolist(),
    }
    return item
