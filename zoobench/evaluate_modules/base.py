"""What the modules share: the harness's metrics behind the interface of the ``evaluate`` library.

``evaluate.load`` copies a script to its cache and takes the first metric class in the script's namespace. Scripts
therefore import this module, never the class by its name.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, ClassVar

import evaluate
import numpy as np
import pandas as pd
from datasets import Features, Value

from ..scoring import metrics
from ..scoring.columns import LARGEST
from ..scoring.jackknife import Jackknife
from ..scoring.metrics import CLASSIFICATION, REGRESSION, Metric
from ..scoring.results import Score
from ..scoring.sample import Sample
from ..scoring.scores import given, score_of, why_undefined


def _both(dtype: str) -> Features:
    return Features({"predictions": Value(dtype), "references": Value(dtype)})


# Strings first: evaluate takes the first option that holds a row, and "7" can be made an int.
_FEATURES = {REGRESSION: _both("float64"), CLASSIFICATION: [_both("string"), _both("int64")]}
_DTYPES: dict[type, str] = {float: "float64", str: "string", int: "int64"}

_DESCRIPTION = """{summary}

{direction} is better. The value is that of `zoobench evaluate`, to its ten significant digits."""

_INPUTS = """
Args:
    predictions: (rows,) {values}.
    references: (rows,) of the same kind.
    runs (optional): the training run of each row, any hashable id; of all rows, in the order in which they were added.
        Adds a jackknife interval over whole runs, since checkpoints of one run are not independent.
    level, groups, seed: of that jackknife; 0.95, 200 and 0 as in `zoobench evaluate`.

Returns:
    `{name}`, and with runs `{name}_low` and `{name}_high`. What is undefined is None, and `reason` says why.

Raises:
    ValueError: no rows, different lengths, a shape other than (rows,), or a value that is missing{or_not_finite}.

Example:
    >>> module = evaluate.load(f"{{zoobench.evaluate_modules.folder()}}/zoobench_{name}")
    >>> module.compute(predictions=predictions, references=references, runs=run_ids)
"""


class HarnessMetric(evaluate.Metric):
    """A metric of ``zoobench.scoring.metrics`` as a module; a script names it, and the paper that it comes from."""

    metric: ClassVar[str]
    paper: ClassVar[str] = ""

    def _info(self) -> evaluate.MetricInfo:
        metric = metrics.BY_NAME[self.metric]
        regression = metric.kind == REGRESSION
        return evaluate.MetricInfo(
            description=_DESCRIPTION.format(
                summary=str(inspect.getdoc(metric.compute)).split("\n\n")[0],
                direction="Higher" if metric.higher_is_better else "Lower",
            ),
            citation=self.paper,
            features=_FEATURES[metric.kind],
            inputs_description=_INPUTS.format(
                name=metric.name,
                values="numbers" if regression else "classes: all ints, or all strings",
                or_not_finite=", not finite or beyond single precision" if regression else "",
            ),
            license="Apache-2.0",
        )

    def add_batch(self, *, predictions: Any = None, references: Any = None) -> None:
        """Add rows; `compute` scores all that were added."""
        kind = metrics.BY_NAME[self.metric].kind
        predicted, true = _column("predictions", predictions, kind), _column("references", references, kind)
        if len(predicted) != len(true):
            raise ValueError(f"{len(predicted)} predictions for {len(true)} references; each row needs one of both")
        earlier = self.selected_feature_format or _both(_DTYPES[type(true[0])])
        for name, rows in (("predictions", predicted), ("references", true)):
            if earlier[name].dtype != _DTYPES[type(rows[0])]:
                raise ValueError(f"{name} like {rows[0]!r} beside {earlier[name].dtype} classes; give all in one type")
        super().add_batch(predictions=predicted, references=true)

    def add(self, *, prediction: Any = None, reference: Any = None) -> None:
        """Add one row."""
        self.add_batch(predictions=[prediction], references=[reference])

    def compute(
        self,
        *,
        predictions: Any = None,
        references: Any = None,
        runs: Iterable[Any] | None = None,
        level: float = 0.95,
        groups: int = 200,
        seed: int = 0,
    ) -> dict[str, float | str | None] | None:
        """Score these rows, or those added before; None in processes other than the first."""
        if groups < 2 or not 0 < level < 1:
            raise ValueError(f"an interval needs groups >= 2 and 0 < level < 1; got {groups} and {level}")
        if predictions is None and references is None and not len(self):
            raise ValueError("no rows to score; give predictions and references, or add them first")
        rows = super().compute(predictions=predictions, references=references)
        if rows is None:
            return None
        metric = metrics.BY_NAME[self.metric]
        sample = _sample(metric.kind, **rows, runs=runs)
        score = _score(metric, sample, None if runs is None else Jackknife(level, groups, seed))
        scores: dict[str, float | str | None] = {metric.name: score.value}
        if runs is not None:
            scores |= {f"{metric.name}_low": score.low, f"{metric.name}_high": score.high}
        if None in scores.values():
            scores["reason"] = score.reason
        return scores

    def _compute(self, *, predictions: list[Any], references: list[Any]) -> dict[str, list[Any]]:
        """Hand the rows on, so that evaluate's files are closed and removed before anything is refused."""
        return {"predictions": predictions, "references": references}


def _column(name: str, values: Any, kind: str) -> list[Any]:
    """One input as a list of finite floats in regression, of ints or of strings in classification."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(f"{name} must be a list or an array with a value per row; got {values!r}")
    rows = values.tolist() if hasattr(values, "tolist") else list(values)
    array = np.asarray(rows)
    if array.ndim != 1:
        raise ValueError(f"{name} have shape {array.shape}, not (rows,); squeeze values, take the argmax of scores")
    if not len(array):
        raise ValueError(f"{name} have no rows")
    if kind == CLASSIFICATION:
        if all(isinstance(row, str) for row in rows):
            return rows
        if array.dtype.kind not in "biu":
            raise ValueError(f"{name} are neither all ints nor all strings; classes are named by one or the other")
        return array.astype(np.int64).tolist()
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} are not all numbers")
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array))[0])
        raise ValueError(f"{name}[{row}] is {array[row]}; every value must be finite")
    if (too_large := np.abs(array.astype(np.float64)) > LARGEST).any():
        row = int(too_large.argmax())
        raise ValueError(f"{name}[{row}] is {array[row]}, beyond ±{LARGEST:.2g}, the largest in single precision")
    return array.astype(np.float64).tolist()


def _sample(kind: str, predictions: list[Any], references: list[Any], runs: Iterable[Any] | None) -> Sample:
    """Without runs every row is its own, which leaves the value as it is."""
    run = np.arange(len(references)) if runs is None else _run_numbers(runs, len(references))
    if kind == REGRESSION:
        return Sample(np.array(references), np.array(predictions), run)
    number = {name: position for position, name in enumerate(sorted({*references, *predictions}))}
    target, prediction = (np.array([number[name] for name in names]) for names in (references, predictions))
    return Sample(target, prediction, run)


def _run_numbers(runs: Iterable[Any], rows: int) -> np.ndarray:
    """Run ids (rows,) as indices in the order in which they appear."""
    # Tensors hash by identity: each would be a run of its own.
    ids = [run.item() if hasattr(run, "item") else run for run in runs]
    if len(ids) != rows:
        raise ValueError(f"{len(ids)} runs for {rows} rows; runs has the run id of each row")
    numbers = np.asarray(pd.factorize(pd.Series(ids, dtype=object))[0])
    if numbers.min() < 0:
        row = int(numbers.argmin())
        raise ValueError(f"runs[{row}] is {ids[row]}; every row needs a run id")
    return numbers


def _score(metric: Metric, sample: Sample, jackknife: Jackknife | None) -> Score:
    """As the harness scores, rounding included; without a jackknife there is no interval."""
    why = why_undefined(sample, "the references are constant")
    if jackknife is None:
        value = metric.bounded(metric.compute(sample, np.ones((1, sample.runs))))
        return given(float(value[0]), None, why)
    return score_of(metric, metric.compute(sample, jackknife.counts(sample.runs))[None], sample.runs, jackknife, why)
