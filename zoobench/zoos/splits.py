"""Splits, fixed by a hash of the zoo id and the run id, or the seed where seeds repeat.

All checkpoints of a run fall into one split; where a zoo's splits are by seed, so do all runs of a seed, whose networks
begin with the same weights. Neither file order nor a global seed nor the number of runs plays a part, so a run keeps
its split when a zoo grows. The scale suffix is left out of the zoo id: a lite run and the full run of the same seed
share their initialisation and must not sit on both sides of a split.
"""

from __future__ import annotations

from ..errors import ZoobenchError
from .hashing import unit_interval
from .spec import ZooSpec

SPLITS = ("train", "validation", "test")
# Seeds of other populations are so far apart (see ``runs``); a run has one split in all of them.
SEEDS_APART = 10**10


def split_of(spec: ZooSpec, run_id: str, seed: int | None = None) -> str:
    """Return ``"train"``, ``"validation"`` or ``"test"`` for one run; ``seed`` is what it was initialised with.

    Raises:
        ZoobenchError: the zoo's splits are by seed, and that of this run is not known.
    """
    position = unit_interval("split", spec.id, undivided(spec, run_id, seed))
    if position < spec.splits.train:
        return "train"
    return "validation" if position < spec.splits.train + spec.splits.validation else "test"


def fold_of(spec: ZooSpec, run_id: str, seed: int | None = None) -> int | None:
    """Return the cross-validation fold (0, 1, ...) of a train run; ``None`` outside train or without folds.

    Raises:
        ZoobenchError: see ``split_of``.
    """
    if not spec.splits.folds or split_of(spec, run_id, seed) != "train":
        return None
    return int(unit_interval("fold", spec.id, undivided(spec, run_id, seed)) * spec.splits.folds)


def undivided(spec: ZooSpec, run_id: str, seed: int | None) -> str:
    """What no split divides: the run, or its seed.

    Raises:
        ZoobenchError: see ``split_of``.
    """
    if spec.splits.by == "run":
        return run_id
    if seed is None:
        raise ZoobenchError(
            f"run {run_id} of {spec.id} has no seed, by which the splits of this zoo are: runs of one seed begin with "
            "the same weights"
        )
    return f"seed-{seed % SEEDS_APART}"
