"""Sampled networks rebuilt with plain PyTorch modules and measured on the images again, and the images themselves."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ...training.images import Images, load_images
from .report import Report, Subject, brief

_LOSS_TOLERANCE = 1e-4
# Other libraries, decoders and grey conversions measured a release; a wrong weight layout costs far more than this.
_RELEASE_TOLERANCE = 0.01


def sample(rows: int, count: int) -> list[int]:
    """Numbers of rows to measure, the same ones each time."""
    return sorted(np.random.RandomState(0).permutation(rows)[:count].tolist())


def images_of(subject: Subject, wanted: bool, folder: Path | None, report: Report) -> Images | None:
    """The images of a config, checked against its manifest entry; ``None`` where there are none to measure on.

    Args:
        subject: whose.
        wanted: whether networks will be measured; images that are drawn are looked at anyway.
        folder: where images are, if not on the Hub.
        report: told where they are other images.

    Raises:
        ZoobenchError: they cannot be had.
    """
    spec, entry = subject.zoo.spec, subject.config.images
    if entry is None and (spec.images.drawn or subject.trained_here):
        return None
    if not wanted and not spec.images.drawn:
        untold = "no network is measured, so the images are not looked at"
        fields = ("train", "test", "side", "sha256", "test_class_counts")
        report.not_checked |= {subject.field(f"images.{name}"): untold for name in fields if entry}
        return None
    size = subject.zoo.size
    if entry is None:
        # A release was measured on all test images; what this zoo's own recipe uses may be fewer.
        size = dataclasses.replace(size, train_images=None, test_images=None)
    images = load_images(spec, size, folder)
    if entry is None or _same_images(subject, images, report):
        return images
    return None


def _same_images(subject: Subject, images: Images, report: Report) -> bool:
    entry, where = subject.config.images, subject.name
    assert entry is not None
    if entry.sha256 != images.sha256:
        report.problem(f"{where}: the images found here are not those that the manifest names; no network was measured")
    counts = np.bincount(images.test_labels, minlength=subject.zoo.spec.images.classes).tolist()
    found = {
        "train": len(images.train_labels),
        "test": len(images.test_labels),
        "side": images.train_images.shape[-1],
        "test_class_counts": counts,
    }
    for name, value in found.items():
        if (stated := getattr(entry, name)) != value and stated is not None:
            report.problem(f"{where}: images.{name} is {brief(stated)}, the images found here have {value}")
    return entry.sha256 == images.sha256


def check(
    subject: Subject, labels: pd.DataFrame, weights: Mapping[int, np.ndarray], images: Images, report: Report
) -> None:
    """Measure networks again: all outcomes of a config that was built, the test accuracy of one that was imported.

    Args:
        subject: whose.
        labels: of all rows.
        weights: of the rows to measure.
        images: to measure them on.
        report: told what differs.
    """
    from ...training.activations import ACTIVATIONS

    of_classes = subject.zoo.spec.images.class_outcomes
    for row, values in weights.items():
        stored = labels.loc[row]
        if pd.isna(stored["activation"]):
            report.not_checked[f"outcomes of {subject.name}"] = "networks of an unknown activation cannot be rebuilt"
        elif stored["activation"] in ACTIVATIONS:
            for problem in _measure(subject, images, stored, values, of_classes):
                report.problem(problem)


def check_activations(subject: Subject, labels: pd.DataFrame, report: Report) -> None:
    """Networks have activations that they can be rebuilt with."""
    try:
        from ...training.activations import ACTIVATIONS
    except ImportError as error:
        report.not_checked[f"activations of {subject.name}"] = f"{error.name} is not installed"
        return
    for name in labels["activation"].dropna().unique():
        if name not in ACTIVATIONS:
            report.problem(
                f"{subject.name}: activation {brief(name)} of {(labels['activation'] == name).sum():,} rows is none "
                f"that networks can be rebuilt with: {', '.join(ACTIVATIONS)}"
            )


def _measure(
    subject: Subject, images: Images, stored: pd.Series, weights: np.ndarray, of_classes: Sequence[str]
) -> Iterator[str]:
    import torch

    from ...training.nets import module

    network = module(subject.zoo.spec.network, stored["activation"], weights).eval()
    for part, (pixels, truth) in _parts(subject, images, stored).items():
        with torch.no_grad():
            logits = torch.cat([network(batch) for batch in torch.from_numpy(pixels).split(1000)]).double()
        labels = torch.from_numpy(truth)
        choice = logits.argmax(1)
        found = {
            f"{part}_accuracy": (choice == labels).double().mean().item(),
            f"{part}_loss": torch.nn.functional.cross_entropy(logits, labels).item(),
        }
        if not subject.trained_here:
            del found[f"{part}_loss"]
        elif part == "test":
            found |= {name: _f1(choice.numpy() == k, truth == k) for k, name in enumerate(of_classes)}
        for name, value in found.items():
            if not _agree(name, stored[name], value, len(truth), subject.trained_here):
                digits = ".6g" if name.endswith("_loss") else ".4f"
                yield f"{stored['example_id']}: {name} {stored[name]:{digits}}, measured {value:{digits}}"


def _parts(subject: Subject, images: Images, stored: pd.Series) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The images that a network is measured on: those of the test set, and those that its run was trained on."""
    import torch

    from ...training import streams

    parts = {"test": (images.test_images, images.test_labels)}
    if subject.trained_here:
        total = len(images.train_labels)
        count = max(1, round(stored["train_fraction"] * total))
        seed = torch.tensor([int(stored["seed"])], dtype=torch.int64)
        own = streams.permutation(seed, "subset", 0, total)[0, :count].numpy() if count < total else slice(None)
        parts["train"] = (images.train_images[own], images.train_labels[own])
    return parts


def _f1(chosen: np.ndarray, true: np.ndarray) -> float:
    return float(2 * (chosen & true).sum() / max(1, chosen.sum() + true.sum()))


def _agree(name: str, stored: float, measured: float, images: int, trained_here: bool) -> bool:
    if name.endswith("_loss"):
        return math.isclose(stored, measured, rel_tol=_LOSS_TOLERANCE, abs_tol=_LOSS_TOLERANCE)
    # An image whose two best logits agree up to rounding may fall either way.
    images = images if name.endswith("_accuracy") else max(1, images // 8)
    return abs(stored - measured) <= (1.01 / images if trained_here else _RELEASE_TOLERANCE)
