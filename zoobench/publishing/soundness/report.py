"""What is found out about a dataset folder, and what each check is given to look at."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from ...data.folder import DatasetFolder, Places
from ...data.manifest import ConfigManifest
from ...errors import shown
from ...zoos import Zoo
from ...zoos.runs import Run, runs_of
from ...zoos.spec import Hyperparameters

HYPERPARAMETERS = tuple(entry.name for entry in dataclasses.fields(Hyperparameters))
# What reading a file that is none of ours can end in.
UNREADABLE = (OSError, ValueError, TypeError, LookupError, MemoryError, OverflowError, pa.ArrowException)
_LISTED = 3
_LONGEST = 80


@dataclass
class Report:
    """What checks have found.

    Attributes:
        problems: what is wrong, one sentence each.
        notes: what is worth knowing of a zoo that may be sound.
        not_checked: fields of the manifest, or other statements, that nothing here can contradict, and why.
    """

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    not_checked: dict[str, str] = field(default_factory=dict)

    def problem(self, sentence: str) -> None:
        self.problems.append(sentence)

    def not_checked_lines(self) -> list[str]:
        """One line per reason, with all that was not checked for it."""
        by_reason: dict[str, list[str]] = {}
        for what, why in self.not_checked.items():
            by_reason.setdefault(why, []).append(what)
        return [f"not checked: {', '.join(what)} ({why})" for why, what in by_reason.items()]

    def to_json(self) -> dict[str, Any]:
        return {"problems": self.problems, "notes": self.notes, "not_checked": self.not_checked}


@dataclass(frozen=True)
class Subject:
    """A config of a dataset folder beside the declaration that it names."""

    folder: DatasetFolder
    name: str
    config: ConfigManifest
    zoo: Zoo

    @property
    def places(self) -> Places:
        return Places(self.name)

    @property
    def trained_here(self) -> bool:
        """Whether it was built from a recipe, not imported from a release."""
        return self.config.release is None

    @cached_property
    def plan(self) -> dict[str, Run]:
        """The runs of its recipe by id.

        Raises:
            ZoobenchError: this version has no such scale, or the seed is out of range.
        """
        return {run.run_id: run for run in runs_of(self.zoo, self.config.seed or 0)}

    def field(self, name: str) -> str:
        """A field of its manifest entry, from the manifest's root."""
        return f"configs.{self.name}.{name}"


def brief(value: Any) -> str:
    """A value as it may stand in a sentence."""
    try:
        text = repr(value)
    except ValueError:  # whole numbers of thousands of digits
        return "a number too long to print"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def plain(name: str) -> str:
    """A name as it may stand in a sentence."""
    return shown(name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…")


def listed(names: list[str]) -> str:
    """The first few of many names."""
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return ", ".join(map(plain, names[:_LISTED])) + more


def reason(error: BaseException) -> str:
    """The first line of what an error says."""
    lines = str(error).splitlines()
    return lines[0][: 2 * _LONGEST] if lines else type(error).__name__
