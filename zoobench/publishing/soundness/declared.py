"""The manifest's entry of a config against the declaration of its zoo: nothing but the manifest is read."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ...data.manifest import Manifest, to_json
from ...errors import ZoobenchError
from ...training.formulation import CANONICAL
from ...zoos.layout import layout_of
from ...zoos.spec import HubImages
from ...zoos.splits import SPLITS
from .report import Report, Subject, brief, listed

_SHA256 = re.compile(r"[0-9a-f]{64}")
# As `arithmetic_of` names them.
_ARITHMETICS = re.compile(rf"{CANONICAL}|torch-\d[\w.]*-(cpu|cuda)")
_VERSION = re.compile(r"\d+(\.\w+)*([+-][\w.]*)?")
_BUILT_WITH = ("python", "zoobench", "torch", "numpy", "pyarrow", "datasets")
_MOST = 5


def check_names(manifest: Manifest, subject: Subject, report: Report) -> None:
    """Repo, scale, zoo and the config's name agree."""
    zoo, where = subject.zoo, subject.name
    if zoo.repo != manifest.repo:
        report.problem(f"{where}: zoo {zoo.id} belongs into {zoo.repo}, this is {brief(manifest.repo)}")
    if subject.config.zoo != zoo.id:
        report.problem(f"{where}: the zoo is called {brief(subject.config.zoo)}, its id is {zoo.id}")
    if zoo.spec.config != where:
        report.problem(f"{where}: zoo {zoo.id} is the config {zoo.spec.config!r}")
    for owner, scale in (("manifest", manifest.scale), (where, subject.config.scale)):
        if scale != zoo.scale:
            report.problem(f"{owner}: scale {brief(scale)}, but {zoo.id} is the scale {zoo.scale!r}")


def check(subject: Subject, report: Report) -> None:
    """Network, layout, preprocessing and, of a config that was built, its recipe are those that are declared."""
    spec, config = subject.zoo.spec, subject.config
    _compare(subject, "network", config.network, to_json(spec.network.layers), report)
    _compare(subject, "layout", config.layout, layout_of(spec.network).to_json(), report)
    _compare(subject, "preprocessing", config.preprocessing, dataclasses.asdict(spec.preprocessing), report)
    if subject.trained_here:
        _built(subject, report)
    else:
        _imported(subject, report)
    stated = config.arithmetic
    if stated is not None and not (subject.trained_here and _ARITHMETICS.fullmatch(stated)):
        report.problem(f"{subject.name}: it cannot have been computed in the arithmetic {brief(stated)}")
    if unknown := sorted(set(config.splits) - set(SPLITS)):
        report.problem(f"{subject.name}: no zoo has a split {listed(list(map(brief, unknown)))}")
    _origin(subject, report)


def _compare(subject: Subject, name: str, found: Any, declared: Any, report: Report) -> None:
    wrong = list(_differences(name, found, declared))
    for place, here, there in wrong[:_MOST]:
        report.problem(f"{subject.name}: {place} is {brief(here)}, {subject.zoo.id} has {brief(there)}")
    if len(wrong) > _MOST:
        report.problem(f"{subject.name}: {len(wrong) - _MOST:,} more differences in {name}")


def _differences(place: str, found: Any, declared: Any) -> Iterator[tuple[str, Any, Any]]:
    """Where two JSON values differ: the place, and both."""
    if isinstance(found, dict) and isinstance(declared, dict) and found.keys() == declared.keys():
        for key in declared:
            yield from _differences(f"{place}.{key}", found[key], declared[key])
    elif isinstance(found, list) and isinstance(declared, list) and len(found) == len(declared):
        for number, (here, there) in enumerate(zip(found, declared, strict=True)):
            yield from _differences(f"{place}[{number}]", here, there)
    elif found != declared or isinstance(found, bool) != isinstance(declared, bool):
        yield place, found, declared


def _built(subject: Subject, report: Report) -> None:
    config, where = subject.config, subject.name
    missing = [name for name in ("recipe", "seed", "images") if getattr(config, name) is None]
    if missing:
        report.problem(f"{where}: neither a release nor {' and '.join(missing)}: nothing says how it was made")
    try:
        size, plan = subject.zoo.size, subject.plan
    except ZoobenchError as error:
        report.problem(f"{where}: {error}")
        return
    if config.recipe is not None:
        _compare(subject, "recipe", config.recipe, to_json(size.recipe), report)
    if config.gap_of != (declared := subject.zoo.spec.gap_of):
        report.problem(f"{where}: gap_of is {config.gap_of}, {subject.zoo.id} has {declared}")
    if tuple(config.checkpoints) != size.checkpoints:
        report.problem(
            f"{where}: checkpoints are {brief(config.checkpoints)}, "
            f"{subject.zoo.id} has {brief(list(size.checkpoints))}"
        )
    made = config.runs + len(config.dropped)
    if made != len(plan):
        report.problem(
            f"{where}: {config.runs:,} runs and {len(config.dropped):,} dropped are {made:,}, "
            f"the recipe of {subject.zoo.id} has {len(plan):,}"
        )
    for run in config.dropped:
        if run.run_id not in plan:
            report.problem(f"{where}: dropped run {brief(run.run_id)} is none of the recipe's")
        if run.epoch not in size.checkpoints:
            report.problem(f"{where}: run {brief(run.run_id)} was dropped at epoch {run.epoch}, which is no checkpoint")
    _images(subject, report)


def _images(subject: Subject, report: Report) -> None:
    """What can be said of the images' entry without the images."""
    entry, source, size, where = subject.config.images, subject.zoo.spec.images, subject.zoo.size, subject.name
    if entry is None:
        return
    if entry.source != source.folder:
        report.problem(f"{where}: images.source is {brief(entry.source)}, {subject.zoo.id} has {source.folder!r}")
    origins = ["drawn by zoobench"]
    if isinstance(source, HubImages):
        origins = [f"folder {source.folder}", f"Hub {source.hub_id}"]
        report.not_checked[subject.field("images.origin")] = "images are the same from a folder and from the Hub"
    if entry.origin not in origins:
        report.problem(f"{where}: images.origin is {brief(entry.origin)}, not {' or '.join(map(repr, origins))}")
    for part, count, declared in (("train", entry.train, size.train_images), ("test", entry.test, size.test_images)):
        if declared is not None and count != declared:
            report.problem(f"{where}: {count:,} {part} images, the recipe of {subject.zoo.id} takes {declared:,}")
    if not _SHA256.fullmatch(entry.sha256):
        report.problem(f"{where}: images.sha256 is {brief(entry.sha256)}, which is no sha256")
    counts = entry.test_class_counts
    if counts is None:
        report.problem(f"{where}: images.test_class_counts is missing, so the majority's share is not known")
    elif len(counts) != source.classes or sum(counts) != entry.test or min(counts) < 0:
        report.problem(
            f"{where}: images.test_class_counts {brief(counts)} are not {source.classes} classes of {entry.test:,}"
        )


def _imported(subject: Subject, report: Report) -> None:
    config, where = subject.config, subject.name
    release = config.release
    assert release is not None
    for name in ("recipe", "seed", "images"):
        if getattr(config, name) is not None:
            report.problem(f"{where}: it has a release and {name}; it was either imported or built")
    if release.rows < config.rows or (not config.dropped and release.rows != config.rows):
        report.problem(
            f"{where}: the release has {release.rows:,} checkpoints and {len(config.dropped):,} dropped runs, "
            f"this config {config.rows:,}"
        )
    for file in release.files:
        if not _SHA256.fullmatch(file.sha256) or file.size < 0:
            report.problem(f"{where}: release file {brief(file.path)} has no proper sha256 and size")
    untold = "the release's files are not here"
    report.not_checked |= {subject.field(f"release.{name}"): untold for name in ("format", "files", "notes")}
    if config.dropped:
        report.not_checked[subject.field("release.rows")] = f"{untold}, and runs of it were dropped"


def _origin(subject: Subject, report: Report) -> None:
    """Runs that were dropped, versions and the date, which can only be plausible."""
    config, where = subject.config, subject.name
    times = Counter(run.run_id for run in config.dropped)
    if twice := sorted(name for name, count in times.items() if count > 1):
        report.problem(f"{where}: dropped runs that are listed twice: {listed(twice)}")
    for name in ("epoch", "reason") if subject.trained_here else ("run_id", "epoch", "reason"):
        if config.dropped:
            report.not_checked[subject.field(f"dropped.{name}")] = "networks that are not here cannot be measured"
    if absent := [name for name in _BUILT_WITH if name not in config.versions]:
        report.problem(f"{where}: versions lack {', '.join(absent)}")
    for name, version in config.versions.items():
        if not _VERSION.fullmatch(version):
            report.problem(f"{where}: the version of {brief(name)} is {brief(version)}")
    report.not_checked[subject.field("versions")] = "what it was made with, and when, is not in the rows"
    report.not_checked[subject.field("built")] = report.not_checked[subject.field("versions")]
    try:
        datetime.date.fromisoformat(config.built)
    except ValueError:
        report.problem(f"{where}: built is {brief(config.built)}, which is no date")
