"""Running a predictor on a zoo: load, fit, predict the test split, write the predictions file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from . import hub, predictor, tasks
from .errors import ZoobenchError
from .hub import ZooSplit
from .manifest import write_atomically
from .metrics import REGRESSION
from .zoos import Zoo


def examples(split: ZooSplit, with_targets: bool) -> predictor.Examples:
    """What a predictor may see of a split; test targets never leave this function.

    An imported zoo may lack a column that its spec varies: that task is left out, and so is classification, which no
    baseline knows yet.
    """
    declared = tasks.tasks_of(split.zoo.spec) if with_targets else ()
    sensible = [task for task in declared if task.kind == REGRESSION and split.labels[task.column].notna().all()]
    return predictor.Examples(
        weights=split.weights,
        layout=split.layout,
        runs=split.labels["run_id"].to_numpy(),
        targets=pd.DataFrame({task.name: task.target(split.labels) for task in sensible}, index=split.labels.index),
        bounds={task.name: task.bounds for task in sensible if task.bounds},
    )


def run(
    name: str,
    zoo: Zoo,
    parameters: Mapping[str, str],
    out: Path,
    on_step: Callable[[str], None] = lambda step: None,
) -> pd.DataFrame:
    """Fit a predictor on a zoo and write its predictions of the test split.

    Args:
        name: entry-point name of the predictor.
        zoo: trained and tested on.
        parameters: command-line texts for the predictor's ``__init__``.
        out: parquet file to write.
        on_step: told what is being done, for a progress display.

    Returns:
        the predictions frame, as written.

    Raises:
        ZoobenchError: unknown predictor, parameter or zoo; a predictor that misses a task or predicts non-numbers.
    """
    chosen = predictor.create(name, parameters)
    on_step("loading")
    train, validation, test = (hub.load_split(zoo, split) for split in ("train", "validation", "test"))
    on_step("fitting")
    seen = examples(train, with_targets=True)
    fitted = chosen.fit(seen, examples(validation, with_targets=True))
    on_step("predicting")
    predicted = fitted.predict(examples(test, with_targets=False))
    _check(name, predicted, list(seen.targets.columns), len(test.labels))
    frame = pd.DataFrame({"zoo": zoo.id, "example_id": test.labels["example_id"]})
    for task in seen.targets.columns:
        frame[task] = predicted[task].to_numpy(dtype=np.float32)
    write_predictions(frame, out)
    return frame


def _check(name: str, predicted: pd.DataFrame, wanted: list[str], rows: int) -> None:
    missing = [task for task in wanted if task not in predicted.columns]
    if missing or len(predicted) != rows:
        raise ZoobenchError(
            f"baseline {name!r} predicted {len(predicted):,} rows and lacks tasks {missing}; "
            f"expected {rows:,} rows of {', '.join(wanted)}"
        )
    finite = np.isfinite(predicted[wanted].to_numpy(dtype=np.float64)).all(axis=0)
    if not finite.all():
        bad = [task for task, ok in zip(wanted, finite, strict=True) if not ok]
        raise ZoobenchError(f"baseline {name!r} predicted NaN or infinite values for {', '.join(bad)}")


def write_predictions(frame: pd.DataFrame, out: Path) -> None:
    """Write a predictions frame as parquet, whole or not at all."""
    sink = pa.BufferOutputStream()
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    pq.write_table(table, sink, compression="ZSTD", compression_level=9, use_dictionary=["zoo"])
    try:
        write_atomically(out, sink.getvalue().to_pybytes())
    except OSError as error:
        raise ZoobenchError(f"cannot write {out}: {error.strerror or error}") from error
