"""Soundness of a dataset folder: everything that its manifest states is recomputed or compared with the declaration.

Every check adds plain sentences to a report: what is wrong, what is worth knowing, and what nothing here can
contradict. A folder is sound when nothing is wrong.
"""

from __future__ import annotations

from pathlib import Path

from .. import zoos
from ..data.contents import rows_sha256
from ..data.folder import DatasetFolder
from ..data.manifest import ConfigManifest
from ..errors import ZoobenchError
from ..zoos.layout import layout_of
from .soundness import carried, declared, files, labels, leaks, measured, networks
from .soundness.report import UNREADABLE, Report, Subject, brief, reason


def verify(
    folder: Path, configs: list[str] | None = None, sample: int = 8, images_folder: Path | None = None
) -> list[str]:
    """What is wrong with a dataset folder, one sentence each: the problems that ``examine`` finds."""
    return examine(folder, configs, sample, images_folder).problems


def examine(
    folder: Path, configs: list[str] | None = None, sample: int = 8, images_folder: Path | None = None
) -> Report:
    """Check a dataset folder.

    Args:
        folder: the dataset folder.
        configs: which configs; ``None`` for all.
        sample: how many networks of each config to rebuild and measure again; 0 needs neither torch nor images.
        images_folder: where the images are, if not on the Hub.

    Raises:
        ZoobenchError: no manifest, an unknown config, or the images for the sample cannot be had and nothing else is
            wrong.
    """
    dataset, report = DatasetFolder(folder), Report()
    if not dataset.manifest.configs:
        report.problem("the manifest has no config")
    for name in configs or list(dataset.manifest.configs):
        _config(dataset, name, dataset.config(name), sample, images_folder, report)
    return report


def _config(
    dataset: DatasetFolder, name: str, config: ConfigManifest, sample: int, images_folder: Path | None, report: Report
) -> None:
    try:
        zoo = zoos.resolve(config.zoo)
    except ZoobenchError as error:
        report.problem(f"{name}: {error}; nothing of it could be compared")
        return
    subject = Subject(dataset, name, config, zoo)
    declared.check_names(dataset.manifest, subject, report)
    declared.check(subject, report)
    whole = files.check(subject, report)
    rows = labels.read(subject, whole, report)
    if rows is None:
        report.not_checked[f"rows of {name}"] = "their files are not what the manifest says"
        return
    labels.check(subject, rows, report)
    _content(subject, report)
    if not subject.trained_here:
        measured.check_activations(subject, rows.labels, report)
    carried.check_protocols(subject, rows.labels, whole, report)
    carried.check_references(subject, rows.labels, whole, report)
    try:
        images = measured.images_of(subject, sample > 0, images_folder, report)
    except ZoobenchError as error:
        if not report.problems:
            raise
        report.problem(f"{name}: no network was measured: {error}")
        images = None
    _networks(subject, rows, sample, images, report)


def _content(subject: Subject, report: Report) -> None:
    """The rows have the hash that is stated of them, if one is."""
    stated = subject.config.rows_sha256
    try:
        if stated is not None and (found := rows_sha256(subject.folder, subject.name)) != stated:
            report.problem(f"{subject.name}: rows_sha256 is {brief(stated)}, and the rows have {found}")
    except UNREADABLE as error:
        report.problem(f"{subject.name}: rows cannot be read: {reason(error)}")


def _networks(subject: Subject, rows: labels.Rows, sample: int, images: measured.Images | None, report: Report) -> None:
    """Look at the weights of all rows, and measure some of the networks again."""
    name, total = subject.name, len(rows.labels)
    ends = leaks.ends(rows.labels)
    chosen = measured.sample(total, sample if images is not None else 0)
    try:
        width = layout_of(subject.zoo.spec.network).size
        found = networks.read(rows.files, width, set(ends.to_numpy().ravel().tolist()), set(chosen))
        if len(found.fingerprints) != total:
            raise ValueError(f"{len(found.fingerprints):,} rows have weights, not {total:,}")
    except UNREADABLE as error:
        report.problem(f"{name}: weights cannot be read: {reason(error)}")
        return
    leaks.check(subject, rows.labels, ends, found, report)
    if chosen and images is not None:
        measured.check(subject, rows.labels, found.weights, images, report)
    if len(chosen) < total:
        measured_again = f"{len(chosen):,} of {total:,} networks were measured again"
        report.not_checked.setdefault(f"outcomes of {name}", measured_again)
