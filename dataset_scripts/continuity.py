"""Whether rows that are said to be one run are: consecutive checkpoints of a run are near each other in weight space.

The measure is a ratio: the cosine distance of two rows over the median cosine distance of the first to rows elsewhere
in the file, all seen from the mean of the file's rows. It is near 0 for consecutive checkpoints and about 1 for
networks that have nothing to do with each other, whatever the scale of the weights, also where all runs begin alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zoobench.errors import ZoobenchError
from zoobench.publishing.releases import Weights

_ELSEWHERE = 5  # rows that a pair is compared with
_CHUNK = 256  # rows fetched at once
_CENTRE = 200  # rows that the mean is taken of
_PAIRS = 600
_BORDERS = 200
_SHOWN = 1200
_JUMP = 0.5  # a ratio above this is no step of training
_RISE = 3.0  # and so many times the run's other steps


def ratios(fetch: Weights, first: np.ndarray, second: np.ndarray, rows: int) -> np.ndarray:
    """How far ``second`` is from ``first``, each (n,) row positions, as a share of how far rows elsewhere are: (n,).

    NaN where a row has no direction (all zero) or is not finite.
    """
    shifts = np.unique((np.arange(1, _ELSEWHERE + 1) * rows) // (_ELSEWHERE + 1))
    found = np.empty(len(first))
    centre = _centre(fetch, rows)
    for start in range(0, len(first), _CHUNK):
        part = slice(start, start + _CHUNK)
        base = _directions(fetch(first[part]), centre)
        others = (_directions(fetch((first[part] + shift) % rows), centre) for shift in shifts)
        near = 1 - np.einsum("ij,ij->i", base, _directions(fetch(second[part]), centre))
        far = [1 - np.einsum("ij,ij->i", base, other) for other in others]
        with np.errstate(all="ignore"):
            found[part] = near / np.median(far, axis=0)
    return found


def _centre(fetch: Weights, rows: int) -> np.ndarray:
    weights = fetch(np.unique(np.linspace(0, rows - 1, _CENTRE).astype(int)))
    finite = weights[np.isfinite(weights).all(axis=1)]
    return finite.mean(axis=0) if len(finite) else np.zeros(weights.shape[1], np.float32)


def _directions(weights: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Unit vectors from the centre; NaN for weights that are all zero."""
    with np.errstate(all="ignore"):
        moved = np.where(weights.any(axis=1, keepdims=True), weights - centre, np.nan)
        return moved / np.linalg.norm(moved, axis=1, keepdims=True)


def check_blocks(path: Path, fetch: Weights, rows: int, per_run: int) -> None:
    """Refuse a file whose rows are not in runs of ``per_run`` consecutive checkpoints.

    Every place inside a run is looked at in several runs, and up to 200 of the borders between runs: a number that is
    too large has a place where most runs jump, one that is too small has borders without a jump.

    Raises:
        ZoobenchError: says what was measured, and which number fits if one does.
    """
    runs = rows // per_run
    inside, border = 0.0, 1.0
    if per_run > 1:
        looked_at = np.unique(np.linspace(0, runs - 1, max(3, _PAIRS // (per_run - 1))).astype(int))
        pairs = (looked_at[:, None] * per_run + np.arange(per_run - 1)).ravel()
        steps = ratios(fetch, pairs, pairs + 1, rows).reshape(len(looked_at), per_run - 1)
        inside = float(np.nanmax(np.nanmedian(steps, axis=0))) if np.isfinite(steps).any() else 0.0
    if runs > 1:
        ends = np.unique(np.linspace(1, runs - 1, _BORDERS).astype(int)) * per_run - 1
        jumps = ratios(fetch, ends, ends + 1, rows)
        border = float(np.nanquantile(jumps, 0.25)) if np.isfinite(jumps).any() else 1.0
    if border <= _JUMP or inside > _JUMP * min(border, 1.0):
        raise ZoobenchError(
            f"{path}: rows are not in runs of {per_run} checkpoints: neighbours inside a run lie up to {inside:.2f} "
            f"apart and neighbours across runs from {border:.2f} (0: the same, 1: as far as any two rows); "
            f"{_fitting(fetch, rows)}"
        )


def _fitting(fetch: Weights, rows: int) -> str:
    """Where the first rows jump, and the number of checkpoints per run that this means."""
    first = np.arange(min(rows, _SHOWN) - 1)
    jumps = np.flatnonzero(ratios(fetch, first, first + 1, rows) > _JUMP) + 1
    gaps = np.diff(np.concatenate([[0], jumps]))
    if len(gaps) and (gaps == gaps[0]).all() and rows % gaps[0] == 0:
        return f"they jump every {gaps[0]} rows: give --checkpoints-per-run {gaps[0]}"
    shown = ", ".join(map(str, jumps[:6])) + (", ..." if len(jumps) > 6 else "")
    places = f"rows jump before row {shown}" if len(jumps) else f"the first {len(first) + 1:,} rows never jump"
    return f"{places}, which no --checkpoints-per-run fits; put the file's rows in the order of runs and epochs"


def jumps(fetch: Weights, runs: np.ndarray, epochs: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of rows that follow each other in a supposed run but are as far apart as two runs are.

    ``runs`` (n,) numbers the run of each row, ``epochs`` (n,) its epoch.
    """
    order = np.lexsort((epochs, runs))
    first, second = order[:-1], order[1:]
    same = runs[first] == runs[second]
    first, second = first[same], second[same]
    if not len(first):
        return []
    steps = ratios(fetch, first, second, len(runs))
    usual = float(np.nanmedian(steps)) if np.isfinite(steps).any() else 0.0
    found = []
    for position in np.flatnonzero(steps > _JUMP):
        others = steps[(runs[first] == runs[first[position]]) & (np.arange(len(steps)) != position)]
        typical = float(np.nanmedian(others)) if len(others) > 1 and np.isfinite(others).any() else usual
        if steps[position] > _RISE * min(typical, usual) or typical > _JUMP:
            found.append((int(first[position]), int(second[position])))
    return found


def continued(fetch: Weights, runs: np.ndarray, epochs: np.ndarray, alike: np.ndarray) -> tuple[int, int] | None:
    """The last row of a supposed run and the first of another that goes on from it, if there are such.

    Only runs of equal ``alike`` (n,) are compared: what the file tells of their hyperparameters.
    """
    order = np.lexsort((epochs, runs))
    starts = np.flatnonzero(np.diff(runs[order], prepend=runs[order[0]] - 1))
    firsts, lasts = order[starts], order[np.append(starts[1:], len(order)) - 1]
    if len(firsts) < 3:
        return None
    centre = _centre(fetch, len(runs))
    ends = _directions(fetch(lasts), centre)
    for start in range(0, len(firsts), _CHUNK):
        part = firsts[start : start + _CHUNK]
        apart = 1 - _directions(fetch(part), centre) @ ends.T
        apart[np.arange(len(part)), np.arange(start, start + len(part))] = np.nan
        with np.errstate(all="ignore"):
            shares = apart / np.nanmedian(apart, axis=1, keepdims=True)
        shares[(alike[part][:, None] != alike[lasts][None]) | (epochs[part][:, None] <= epochs[lasts][None])] = np.nan
        near = np.argwhere(shares < _JUMP / 2)
        if len(near):
            return int(lasts[near[0, 1]]), int(part[near[0, 0]])
    return None


def listed(rows: Sequence[object], shown: int = 4) -> str:
    """The first few of what is wrong, and how many there are."""
    more = f" and {len(rows) - shown} more" if len(rows) > shown else ""
    return ", ".join(map(str, rows[:shown])) + more
