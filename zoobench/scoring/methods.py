"""Which predictions belong together: files whose names differ only in the seed number are seeds of one method."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import ZoobenchError
from .predictions import Group, Predictions

_SEED = re.compile(r"seed[-_]?(\d+)(?=[^/\d]*$)")


@dataclass(frozen=True)
class Method:
    """Predictions of one method: one ``Predictions`` per seed; ``seeds`` is ``None`` for a single one."""

    files: tuple[Predictions, ...]
    seeds: tuple[int, ...] | None

    @property
    def groups(self) -> list[tuple[Group, ...]]:
        """What it predicts, each with one group per seed."""
        by_key = [{(group.zoo.id, group.trained_on.id): group for group in file.groups} for file in self.files]
        return [tuple(groups[key] for groups in by_key) for key in by_key[0]]


def methods(files: Sequence[Predictions]) -> list[Method]:
    """Sort predictions by method, in the order given.

    Raises:
        ZoobenchError: two methods that predict the same task of the same zoo, or seeds that predict different things.
    """
    families: dict[str, list[tuple[int, Predictions]]] = {}
    for position, file in enumerate(files):
        found = _SEED.search(file.source)
        name = f"{file.source[: found.start()]}seed*{file.source[found.end() :]}" if found else f"{position}"
        families.setdefault(name, []).append((int(found[1]) if found else 0, file))
    made = []
    for members in families.values():
        members.sort(key=lambda member: member[0])
        seeds, of_seed = zip(*members, strict=True)
        for (seed, one), (other, two) in itertools.pairwise(members):
            if seed == other:
                raise ZoobenchError(f"{one.source} and {two.source} are both seed {seed}; keep one")
        _check_alike(of_seed)
        made.append(Method(of_seed, seeds if len(seeds) > 1 else None))
    _check_apart(made)
    return made


def _check_alike(files: Sequence[Predictions]) -> None:
    what = [_predicted(file) for file in files]
    for file, predicted in zip(files, what, strict=True):
        for zoo, trained_on, task in set().union(*what) - predicted:
            raise ZoobenchError(
                f"{file.source} does not predict {task} of {zoo}, trained on {trained_on}, as other seeds of the same "
                "method do; give every seed the same tasks and zoos"
            )


def _check_apart(methods: Sequence[Method]) -> None:
    seen: dict[tuple[str, str, str], Predictions] = {}
    for method in methods:
        for key in sorted(_predicted(method.files[0])):
            other = seen.setdefault(key, method.files[0])
            if other is not method.files[0]:
                raise ZoobenchError(
                    f"{other.source} and {method.files[0].source} both predict {key[2]} of {key[0]}, trained on "
                    f"{key[1]}; keep one (seeds of one method are files whose names differ only in the number "
                    "after 'seed')"
                )


def _predicted(file: Predictions) -> set[tuple[str, str, str]]:
    return {(group.zoo.id, group.trained_on.id, task) for group in file.groups for task in file.task_names}
