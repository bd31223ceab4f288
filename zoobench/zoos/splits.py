"""Run-level splits, fixed by a hash of the zoo id and the run id.

All checkpoints of a run fall into one split. Neither file order nor a global seed nor the number of runs plays a part,
so a run keeps its split when a zoo grows. The scale suffix is left out of the zoo id: a lite run and the full run of
the same seed share their initialisation and must not sit on both sides of a split.
"""

from __future__ import annotations

from .hashing import unit_interval
from .spec import ZooSpec

SPLITS = ("train", "validation", "test")


def split_of(spec: ZooSpec, run_id: str) -> str:
    """Return ``"train"``, ``"validation"`` or ``"test"`` for one run."""
    position = unit_interval("split", spec.id, run_id)
    if position < spec.splits.train:
        return "train"
    return "validation" if position < spec.splits.train + spec.splits.validation else "test"


def fold_of(spec: ZooSpec, run_id: str) -> int | None:
    """Return the cross-validation fold (0, 1, ...) of a train run; ``None`` outside train or without folds."""
    if not spec.splits.folds or split_of(spec, run_id) != "train":
        return None
    return int(unit_interval("fold", spec.id, run_id) * spec.splits.folds)
