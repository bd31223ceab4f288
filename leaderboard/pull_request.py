"""Checking a pull request: which submissions it adds, changes or withdraws, and what each of them scores.

Runs in a checkout of BASE, whose code and labels are trusted. Of HEAD only git's own records are read: names, modes and
sizes of files first, then the bytes of those that a submission may have, as they are stored, so that no attribute,
filter, link or submodule of HEAD is ever followed. Each submission is scored by a process of its own, and nothing in it
is executed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoobench.errors import ZoobenchError, shown

from .submission import SUBMISSIONS, check_count, check_name, check_place, check_size

_BOARD = "leaderboard"
PLACE = f"{_BOARD}/{SUBMISSIONS}"
_PLACE = PLACE.encode()
# GitHub takes 65,536 characters.
MOST_CHARACTERS = 60_000
MOST_SUBMISSIONS = 50
_LONGEST_LINE, _MOST_NAMED = 300, 10
_SECONDS_EACH = 600
_FOLDER, _FILES, _NOTHING = b"040000", (b"100644", b"100755"), b"000000"
_KINDS = {
    _FOLDER: "a folder",
    b"120000": "a link",
    b"160000": "a submodule",
    **dict.fromkeys(_FILES, "a file"),
}


@dataclass(frozen=True)
class Entry:
    """What git keeps under a name, a path of bytes in some folder: its mode and object, and a file's size."""

    name: bytes
    mode: bytes
    sha: str
    size: int = 0


@dataclass(frozen=True)
class Review:
    """What a pull request does, a text for each submission; the texts of what is refused say why."""

    good: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def review(base: str, head: str) -> Review:
    """Check what HEAD changes since it left BASE; what git cannot tell is refused, too, and so is nothing at all."""
    try:
        return _review(base, head)
    except ZoobenchError as error:
        return Review(refused=(f"this pull request cannot be checked: {error}",))


def _review(base: str, head: str) -> Review:
    base, head = _commit(base), _commit(head)
    modes = _changed(base, head)
    names = {path: _submission_of(path) for path in modes}
    refused = (
        [_elsewhere(others, modes)] if (others := sorted(path for path, name in names.items() if not name)) else []
    )
    proposed = sorted(set(filter(None, names.values()))) if modes.get(_PLACE, _NOTHING) == _NOTHING else []
    if not proposed and not refused:
        refused.append(f"this pull request changes nothing in {PLACE}: there is nothing to check")
    if len(proposed) > MOST_SUBMISSIONS:
        refused.append(
            f"it changes {len(proposed):,} submissions, none of which was checked; {MOST_SUBMISSIONS} at most"
        )
        return Review(refused=tuple(refused))
    there, before, good = _in_place(head), _in_place(base), []
    for name in proposed:
        text = _text(name)
        if name not in there:
            good.append(f"withdrawn: {text}")
            continue
        try:
            scores = _score(files_of(there[name], text), text)
            good.append(f"{'changed' if name in before else 'added'}: {text}\n{scores}")
        except ZoobenchError as error:
            refused.append(str(error))
    return Review(tuple(good), tuple(refused))


def files_of(entry: Entry, name: str) -> list[Entry]:
    """The files of what is proposed under a name, if a submission may have all of them.

    Raises:
        ZoobenchError: it is no folder, or has anything but texts and predictions.
    """
    if entry.mode != _FOLDER:
        raise ZoobenchError(f"{name} is no folder, but {_kind(entry.mode)}; a submission is one")
    check_name(name)
    files = _listed("-r", "-l", entry.sha)
    check_count(name, len(files))
    for file in files:
        inside = _text(file.name)
        if file.mode not in _FILES:
            raise ZoobenchError(f"{name}/{inside} is {_kind(file.mode)}; a submission holds plain files only")
        check_place(name, inside)
        check_size(f"{name}/{inside}", file.size)
    if len({file.name for file in files}) < len(files):
        raise ZoobenchError(f"{name} has two files of one name")
    return files


def comment(found: Review) -> str:
    """Markdown that GitHub takes: what is refused first, each text with its fair share of the room.

    All is indented by four, which shows it as it is, and escaped where a reader would not see it.
    """
    texts = [_indented(text) for text in (*(f"refused: {text}" for text in found.refused), *found.good)]
    left, kept = MOST_CHARACTERS, dict.fromkeys(range(len(texts)), "")
    for done, k in enumerate(sorted(kept, key=lambda k: len(texts[k]))):
        kept[k] = _cut(texts[k], left // (len(texts) - done))
        left -= len(kept[k])
    return "\n".join(kept.values())


def _indented(text: str) -> str:
    lines = [shown(line.rstrip()) for line in text.split("\n")]
    short = [line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…" for line in lines]
    return "".join(f"    {line}\n" if line else "\n" for line in short)


def _cut(text: str, longest: int) -> str:
    more = "    … and more; zoobench leaderboard validate shows all\n"
    if len(text) <= longest:
        return text
    return text[: text.rfind("\n", 0, max(1, longest - len(more))) + 1] + more


def _elsewhere(paths: Sequence[bytes], modes: dict[bytes, bytes]) -> str:
    here = modes.get(_PLACE, _NOTHING)
    if here != _NOTHING:
        return f"{PLACE} becomes {_kind(here)}; it is the folder of all submissions"
    some = ", ".join(map(_text, paths[:_MOST_NAMED])) + (", …" if len(paths) > _MOST_NAMED else "")
    return f"this pull request changes more than `{PLACE}`: the code and the labels are changed by others: {some}"


def _submission_of(path: bytes) -> bytes | None:
    """What a path is of that lies straight in the folder of submissions, if it lies there."""
    inside = path.removeprefix(_PLACE + b"/")
    return None if inside == path else inside.split(b"/")[0]


def _text(name: bytes) -> str:
    return shown(name.decode("utf-8", "backslashreplace"))


def _kind(mode: bytes) -> str:
    return _KINDS.get(mode, f"something of mode {mode.decode()}")


def _score(files: Iterable[Entry], name: str) -> str:
    """What ``zoobench leaderboard validate`` prints of a submission, laid out as git keeps it.

    Raises:
        ZoobenchError: with what it prints, if it refuses the submission.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / name
        for file in files:
            path = folder / file.name.decode()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_git("cat-file", "blob", file.sha))
        board = Path(os.fsdecode(_git("rev-parse", "--show-toplevel").removesuffix(b"\n"))) / _BOARD
        verb = [sys.executable, "-m", "zoobench", "leaderboard", "validate", "--dir", str(board), str(folder)]
        settings = os.environ | {"COLUMNS": "200", "PYTHONIOENCODING": "utf-8"}
        try:
            done = subprocess.run(
                verb,
                env=settings,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_SECONDS_EACH,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ZoobenchError(f"{name} cannot be scored within {_SECONDS_EACH} seconds") from None
        said = done.stdout.decode(errors="replace").replace(f"{temporary}{os.sep}", "").strip()
    if done.returncode < 0:
        raise ZoobenchError(f"{name} cannot be scored: signal {-done.returncode} ended it")
    if done.returncode:
        raise ZoobenchError(said.removeprefix("error: ") or f"{name} cannot be scored")
    return said


def _commit(name: str) -> str:
    return _git("rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}").decode().strip()


def _changed(base: str, head: str) -> dict[bytes, bytes]:
    """The modes of all paths that HEAD changes since it left BASE, those that are gone as ``_NOTHING``."""
    try:
        origin = _git("merge-base", base, head).decode().strip()
    except ZoobenchError as error:
        raise ZoobenchError("the pull request has no commit in common with the branch that it is for") from error
    options = ("-r", "-z", "--raw", "--no-renames", "--no-ext-diff", "--ignore-submodules=none")
    fields = _git("diff-tree", *options, origin, head).split(b"\0")[:-1]
    return {path: about.split(b" ")[1] for about, path in zip(fields[::2], fields[1::2], strict=True)}


def _in_place(commit: str) -> dict[bytes, Entry]:
    """What lies straight in the folder of submissions."""
    folders = [entry for entry in _listed(commit, PLACE) if entry.mode == _FOLDER]
    return {entry.name: entry for folder in folders for entry in _listed(folder.sha)}


def _listed(*tree: str) -> list[Entry]:
    """The entries of a tree of git's: its name, after options, and before a path in it."""
    found = []
    for record in _git("ls-tree", "-z", "--full-tree", *tree).split(b"\0")[:-1]:
        about, _, name = record.partition(b"\t")
        mode, _, sha, *size = about.split()
        found.append(Entry(name, mode, sha.decode(), int(size[0]) if size and size[0].isdigit() else 0))
    return found


def _git(*arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, check=False)
    except OSError as error:
        raise ZoobenchError(f"cannot run git: {error.strerror or error}") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip() or f"it ended with {done.returncode}"
        raise ZoobenchError(f"git {arguments[0]} fails: {said}")
    return done.stdout
