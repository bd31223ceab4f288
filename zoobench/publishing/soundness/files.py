"""The files that a config lists: each where such a file belongs, with its size and hash, and no other beside them."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path

from ...data.folder import PICTURES
from ...data.manifest import FileEntry
from ...errors import ZoobenchError
from ...files import sha256_of
from ...zoos.splits import SPLITS
from .report import Report, Subject, brief, listed, reason

REFERENCES = ("constant", "hyperparameters", "constant-final", "hyperparameters-final")
_PNG = b"\x89PNG\r\n\x1a\n"
_NAME = re.compile(r"[\w.-]+")


def check(subject: Subject, report: Report) -> set[str]:
    """Look at every listed file, and for those that are not listed.

    Returns:
        the paths of those that are what the manifest says; only these are worth reading.
    """
    whole = set()
    listed_times = Counter(entry.path for entry in subject.config.files)
    for path, times in listed_times.items():
        if times > 1:
            report.problem(f"{subject.name}: {brief(path)} is listed {times} times")
    for entry in subject.config.files:
        if not _expected(subject, entry.path):
            report.problem(f"{subject.name}: {brief(entry.path)} is no file of such a config")
        elif problem := _changed(subject, entry):
            report.problem(f"{entry.path}: {problem}")
        else:
            whole.add(entry.path)
    _completeness(subject, set(listed_times), report)
    _others(subject, report)
    return whole


def _expected(subject: Subject, path: str) -> bool:
    """Whether a file of this path can belong to the config."""
    places = subject.places
    folder, _, file = path.rpartition("/")
    name, _, suffix = file.rpartition(".")
    if not _NAME.fullmatch(file):
        return False
    if folder == PICTURES:
        return suffix == "png" and file.startswith(f"{subject.name}-")
    names = {
        places.rows: lambda: any(fnmatchcase(path, places.shards(split)) for split in SPLITS),
        places.labels: lambda: name in SPLITS,
        places.references: lambda: name in REFERENCES,
        places.protocols: lambda: not subject.trained_here,
    }
    return folder in names and suffix == "parquet" and names[folder]()


def _changed(subject: Subject, entry: FileEntry) -> str:
    """What is wrong with a listed file, if anything."""
    try:
        path = subject.folder.locate(entry.path)
        if not path.is_file():
            return "missing"
        if (size := path.stat().st_size) != entry.size:
            return f"{size:,} bytes, the manifest says {entry.size:,}"
        if sha256_of(path) != entry.sha256:
            return "its sha256 is not the manifest's; the file has changed"
        return picture_fault(path) if path.suffix == ".png" else ""
    except ZoobenchError as error:
        return str(error)
    except (OSError, ValueError) as error:
        return f"cannot be read: {reason(error)}"


def _completeness(subject: Subject, paths: set[str], report: Report) -> None:
    """What every config has: rows and labels of each split, and references where there is something to predict."""
    places, config = subject.places, subject.config
    for split in SPLITS:
        shards = sorted(path for path in paths if fnmatchcase(path, places.shards(split)))
        if not shards:
            report.problem(f"{places.shards(split)}: no such file in the manifest")
        elif shards != [places.shard(split, number, len(shards)) for number in range(len(shards))]:
            report.problem(f"{places.shards(split)}: {listed(shards)} are not all files of a series")
    needed = [places.labels_of(split) for split in SPLITS]
    counts = [config.splits[split].rows for split in ("train", "test") if split in config.splits]
    if len(counts) == 2 and all(counts):
        needed += [places.reference(name) for name in REFERENCES]
    for path in needed:
        if path not in paths:
            report.problem(f"{path}: not in the manifest, although every such config has it")


def _others(subject: Subject, report: Report) -> None:
    """Files in the config's own folders, and pictures under its name, that nothing lists."""
    folder, configs = subject.folder, subject.folder.manifest.configs
    known = {entry.path for config in configs.values() for entry in config.files}
    try:
        here = [path for place in subject.places.folders for path in folder.locate(place).rglob("*")]
        here += folder.locate(PICTURES).glob(f"{subject.name}-*")
        found = {path.relative_to(folder.path).as_posix() for path in here if not path.is_dir() or path.is_symlink()}
    except (ZoobenchError, OSError) as error:
        report.problem(f"{subject.name}: its folders cannot be read: {reason(error)}")
        return
    for path in sorted(found - known):
        report.problem(f"{path}: not in the manifest")


def picture_fault(path: Path) -> str:
    """Why a file is no PNG: chunks of the right check sums from the header to the end, and nothing after it."""
    content = path.read_bytes()
    place, kinds = len(_PNG), list[bytes]()
    if not content.startswith(_PNG):
        return "no PNG"
    while place < len(content) and kinds[-1:] != [b"IEND"]:
        length = int.from_bytes(content[place : place + 4], "big")
        chunk = content[place + 4 : place + 8 + length]
        place += 12 + length
        if place > len(content) or zlib.crc32(chunk) != int.from_bytes(content[place - 4 : place], "big"):
            return "a PNG that is damaged"
        kinds.append(chunk[:4])
    complete = kinds[:1] == [b"IHDR"] and kinds[-1:] == [b"IEND"] and place == len(content)
    return "" if complete else "a PNG that is truncated, or has something after its end"
