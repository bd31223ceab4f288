"""Trees from LightGBM's text. LightGBM believes what it reads: an index that is out of range ends the process.

So the text is checked here, and what is not needed to predict is left out. What GBMPredictor saves has numeric splits
and constant leaves alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import lightgbm as lgb

_END = "end of trees"
_OBJECTIVE = re.compile(r"regression|binary sigmoid:1|multiclass num_class:\d{1,6}")
_HEADER = (
    "version",
    "num_class",
    "num_tree_per_iteration",
    "label_index",
    "max_feature_idx",
    "objective",
    "feature_names",
    "feature_infos",
    "tree_sizes",
)
# A numeric split with each kind of missing value, and a default to either side.
_DECISIONS = frozenset(str(left + missing) for left in (0, 2) for missing in (0, 4, 8))


def read_trees(path: Path) -> lgb.Booster:
    """Trees that ``save_model`` wrote.

    Raises:
        ValueError: the text is not whole, or says what ``save_model`` does not write.
    """
    head, found, _ = path.read_text(encoding="ascii").partition(f"\n\n{_END}\n")
    _check(bool(found), "it has no end")
    begin = head.find("\n\nTree=0\n")
    header = _fields(head[: max(begin, 0) or None].splitlines(), first="tree")
    _check(set(header) == set(_HEADER), "its header is another")
    classes, features = _count(header["num_class"]), _count(header["max_feature_idx"], least=0) + 1
    _check(header["version"] == "v4" and header["label_index"] == "0", "its version is another")
    _check(_OBJECTIVE.fullmatch(header["objective"]) is not None, "its objective is another")
    _check(classes == 1 or header["objective"] == f"multiclass num_class:{classes}", "its objective has other classes")
    _check(header["num_tree_per_iteration"] == header["num_class"], "it has other trees for each class")
    for name in ("feature_names", "feature_infos"):
        _check(len(header[name].split(" ")) == features, f"{name} are not of {features} features")
    sizes = [_count(size) for size in header["tree_sizes"].split()]
    _check(len(sizes) % classes == 0, "a class has fewer trees")
    trees = f"{head[begin + 2 :] if sizes else ''}\n\n"
    _check(sum(sizes) == len(trees) if sizes else begin < 0, "its trees are of other sizes")
    start = 0
    for number, size in enumerate(sizes):
        _check_tree(trees[start : start + size], number, features)
        start += size
    return lgb.Booster(model_str=f"{head}\n\n{_END}\n")


def _check_tree(text: str, number: int, features: int) -> None:
    _check(text.endswith("\n\n"), "a tree has no end")
    tree = _fields(text.rstrip("\n").splitlines(), first=f"Tree={number}")
    leaves = _count(tree["num_leaves"])
    _check(tree["num_cat"] == tree["is_linear"] == "0", "a tree has other splits or leaves")
    values = tree["leaf_value"].split(" ")
    _check(len(values) == leaves and all(math.isfinite(float(value)) for value in values), "a leaf has no value")
    _check(math.isfinite(float(tree["shrinkage"])), "a tree has no shrinkage")
    splits = {name: tree.get(name, "").split() for name in ("split_feature", "threshold", "decision_type")}
    children = {name: tree.get(name, "").split() for name in ("left_child", "right_child")}
    others = {name: tree.get(name, "").split() for name in ("split_gain", "internal_value", "internal_count")}
    for name, entries in (splits | children | others).items():
        _check(len(entries) == leaves - 1, f"{name} is not of {leaves - 1} splits")
    _check(all(0 <= int(feature) < features for feature in splits["split_feature"]), "a split has no feature")
    _check(not any(math.isnan(float(threshold)) for threshold in splits["threshold"]), "a split has no threshold")
    _check(_DECISIONS.issuperset(splits["decision_type"]), "a split is of another kind")
    _check_shape([(int(left), int(right)) for left, right in zip(*children.values(), strict=True)], leaves)


def _check_shape(children: Sequence[tuple[int, int]], leaves: int) -> None:
    """Every split but the first, and every leaf (from -1 down), is the child of one split before it."""
    expected = {*range(1, leaves - 1), *(~leaf for leaf in range(leaves if leaves > 1 else 0))}
    seen = [child for pair in children for child in pair]
    later = all(child < 0 or child > split for split, pair in enumerate(children) for child in pair)
    _check(later and len(seen) == len(expected) and set(seen) == expected, "its splits form no tree")


def _fields(lines: Sequence[str], first: str) -> dict[str, str]:
    _check(bool(lines) and lines[0] == first, f"it does not begin with {first}")
    pairs = [line.partition("=") for line in lines[1:]]
    fields = {name: value for name, _, value in pairs}
    _check(len(fields) == len(pairs) and all(equals for _, equals, _ in pairs), "a line has another form")
    return fields


def _count(text: str, least: int = 1) -> int:
    _check(re.fullmatch(r"\d{1,7}", text) is not None and int(text) >= least, f"{text[:20]!r} is no count")
    return int(text)


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"these are no trees of LightGBM as they were saved: {what}")
