"""The dataset card: README.md with YAML front matter, rendered from the manifest and the declarations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined, UndefinedError

from .. import zoos
from ..data.folder import Places, below
from ..data.manifest import ConfigManifest, Manifest
from ..data.schema import COLUMN_MEANING
from ..errors import ZoobenchError, shown
from ..zoos import Zoo
from ..zoos.spec import Grid, RandomSearch
from ..zoos.splits import SPLITS
from . import markdown

_LICENSE = "cc-by-4.0"
_SIZE_CATEGORIES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def _size_category(rows: int) -> str:
    return next((name for limit, name in _SIZE_CATEGORIES if rows < limit), "1M<n<10M")


def front_matter(manifest: Manifest) -> dict[str, Any]:
    """The YAML block that the Hub and ``datasets`` read."""
    return {
        "license": _LICENSE,
        "pretty_name": shown(manifest.repo),
        "task_categories": ["tabular-regression"],
        "tags": ["model-zoo", "weight-space-learning", "neural-network-weights", "zoobench"],
        "size_categories": [_size_category(sum(config.rows for config in manifest.configs.values()))],
        "configs": [
            {
                "config_name": shown(name),
                **({"default": True} if zoos.resolve(config.zoo).spec.default else {}),
                "data_files": [{"split": split, "path": shown(Places(name).shards(split))} for split in SPLITS],
            }
            for name, config in manifest.configs.items()
        ],
    }


def recipe_text(recipe: dict[str, Any]) -> str:
    """A recipe, as the manifest keeps it, in words."""
    varied = dict(recipe.get("axes", [])) | dict(recipe.get("ranges", []))
    shared = [f"{name} {value}" for name, value in recipe["fixed"].items() if name not in {*varied, "type"}]
    training = {name: value for name, value in recipe["training"].items() if name not in varied}
    if "initial_bias" in training:
        shared.append(f"initial bias {training['initial_bias']}")
    shared.append("loss cross-entropy")
    if training.get("decoupled_decay"):
        shared.append("decoupled weight decay")
    text = f"For all runs: {', '.join(shared)}.{_training_text(recipe)}"
    match recipe["type"]:
        case "SeedSweep":
            return f"{text} Seeds 1, 2, 3, ...: the only difference between runs."
        case "Grid":
            axes = "; ".join(f"{name} in {{{', '.join(map(str, values))}}}" for name, values in varied.items())
            seeds = "random seeds" if recipe["random_seeds"] else f"seeds 1 to {recipe['seeds']}"
            return f"{text} Every combination of {axes}; {recipe['seeds']} runs of each, {seeds}."
        case _:
            ranges = "; ".join(f"{name} {_distribution(values)}" for name, values in varied.items())
            seed = "each with its own seed" if recipe["seed"] is None else f"all with seed {recipe['seed']}"
            return f"{text} Drawn independently for each run, {seed}: {ranges}."


def _training_text(recipe: dict[str, Any]) -> str:
    """What a recipe says of optimizers, decay, batches and initialisers beside its hyperparameters."""
    training = recipe["training"]
    fixed, varied = recipe["fixed"], dict(recipe.get("axes", [])) | dict(recipe.get("ranges", []))
    used = varied.get("optimizer", [fixed["optimizer"]])
    used = used["values"] if isinstance(used, dict) else used
    parts = []
    for name in used:
        constants = training.get("optimizers", {}).get(name, {})
        shown_constants = ", ".join(f"{key} {value}" for key, value in constants.items() if key != "type")
        parts.append(f" {name}: {shown_constants}." if shown_constants else "")
    decays = "weight_decay" in varied or fixed["weight_decay"]
    if decays and "l2_factor" in training:
        of = "every weight" if training["decay_biases"] else "kernels, not biases"
        factor = "" if training["l2_factor"] == 1 else f"{training['l2_factor']:g} × "
        if not training.get("decoupled_decay"):
            parts.append(f" L2 adds {factor}weight_decay × weight to the gradient of {of}.")
    if training.get("drop_last"):
        parts.append(" The last batch of an epoch is left out if it is not full.")
    for name, meant in training.get("initialisers", ()):
        parts.append(f" {name} is {_INITIALISERS.get(meant, meant)}.")
    if training.get("torch_layers"):
        layers = ", ".join(training["torch_layers"])
        parts.append(f" Weights and biases of {layers} start uniform within 1/sqrt(fan-in), whatever init is.")
    return "".join(parts)


# Initialisers that stand for one of another name.
_INITIALISERS = {
    "xavier_truncated": "Keras' glorot_normal, cut at two standard deviations",
    "kaiming_truncated": "Keras' he_normal, cut at two standard deviations",
    "torch_default": "uniform within 1/sqrt(fan-in)",
}


def _distribution(values: dict[str, Any]) -> str:
    if values["type"] == "Choice":
        return f"in {{{', '.join(map(str, values['values']))}}}"
    kind = {"Uniform": "uniform", "LogUniform": "log-uniform"}[values["type"]]
    return f"{kind} in [{values['low']}, {values['high']}]"


_CAPTIONS = {
    "accuracy": "distribution of test accuracy, at the last checkpoint and at all",
    "train-test": "train against test accuracy, coloured by epoch",
    "learning-curves": "learning curves: test accuracy over epochs",
    "weights": "weights in two dimensions, coloured by test accuracy and by initialiser or epoch",
    "images": "the images, one row per class: the class mean, then training images",
}


def _command(config: ConfigManifest, zoo: zoos.Zoo) -> str:
    """The command that made a config."""
    if config.release:
        named = "" if config.release.format == "small-cnn-zoo" else f" --zoo {zoo.id}"
        files = " ".join(file.path for file in config.release.files[: 1 if not named else None])
        return f"zoobench import {config.release.format} {files}{named}"
    seed = f" --seed {config.seed}" if config.seed else ""
    return f"zoobench build {zoo.spec.id}{'' if zoo.scale == 'full' else f' --scale {zoo.scale}'}{seed}"


def _protocols(name: str, config: ConfigManifest) -> list[str]:
    return [Path(path).stem for path in below(Places(name).protocols, config.files)]


def _sharing(zoo: Zoo) -> str:
    """How a zoo is split, and what networks of different splits have in common at their beginning."""
    match zoo.size.recipe:
        case _ if zoo.spec.splits.by == "seed":
            return (
                "by seed. Runs of one seed and initialiser begin with the same weights, whatever else they differ in: "
                "all runs of a seed lie in one split."
            )
        case Grid(random_seeds=False) | RandomSearch(seed=int()):
            return (
                "by run. **Runs of one seed and initialiser begin with the same weights, also in different splits**, "
                "as the paper's do: part of what a predictor scores here can be memory of initial weights. Protocol "
                "`seed-disjoint` learns from some seeds and scores others, where the zoo has several."
            )
        case _:
            return "by run. Every run has its own seed: no two begin with the same weights."


def _meanings(manifest: Manifest) -> dict[str, str]:
    """What each column means, and what the notes of imports say of it."""
    meanings = dict(COLUMN_MEANING)
    gaps: dict[str, list[str]] = {}
    for name, config in manifest.configs.items():
        gaps.setdefault(config.gap_of, []).append(markdown.code(name))
    meanings["generalization_gap"] = "; ".join(
        f"{column} - test_accuracy, with all that is said of `{column}`"
        + (f" (of {', '.join(names)})" if len(gaps) > 1 else "")
        for column, names in gaps.items()
    )
    for name, config in manifest.configs.items():
        for note in config.release.notes if config.release else ():
            for column in meanings:
                if f"`{column}`" in note:
                    meanings[column] += f". Of {markdown.code(name)}: {markdown.text(note).removesuffix('.')}"
    return meanings


def render(manifest: Manifest) -> str:
    """Render the card of a dataset folder. What the manifest says is shown as text, whatever it is.

    Raises:
        ZoobenchError: an unknown zoo, or an entry of a config that lacks what a card says.
    """
    environment = Environment(
        loader=PackageLoader("zoobench.publishing"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "text": markdown.text,
        "item": markdown.item,
        "code": markdown.code,
        "address": markdown.address,
    }
    described = [(name, config, zoos.resolve(config.zoo)) for name, config in manifest.configs.items()]
    try:
        return _rendered(environment, manifest, described)
    except (UndefinedError, LookupError, TypeError, ValueError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ZoobenchError(
            f"the manifest of {manifest.repo} is incomplete, no card can be made of it: {reason}; see zoobench verify"
        ) from error


def _rendered(environment: Environment, manifest: Manifest, described: list[tuple[str, ConfigManifest, Zoo]]) -> str:
    first = described[0][2]
    return environment.get_template("card.md.j2").render(
        front_matter=yaml.safe_dump(front_matter(manifest), sort_keys=False).strip(),
        manifest=manifest,
        hub_id=first.hub_id,
        configs=described,
        paper=first.spec.paper,
        columns=_meanings(manifest),
        splits=SPLITS,
        recipe_text=recipe_text,
        sharing=_sharing,
        command=_command,
        protocols=_protocols,
        places=Places,
        captions=_CAPTIONS,
        images=first.spec.images,
    )
