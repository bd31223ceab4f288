"""Scored submissions, and the two files that each is kept in.

``results/<name>.json`` has the scores, one on a line (see ``lines``). ``results/<name>.parquet`` has what nobody reads
and ranking and the page need: the means without each group of runs, and the drawn predictions. What is the same for all
submissions is in neither, but beside the labels (``targets``); reading puts it together again.
"""

from __future__ import annotations

import base64
import contextlib
import json
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, StringConstraints

from zoobench.errors import ZoobenchError
from zoobench.files import locked, write_atomically
from zoobench.scoring.results import Confusion, Finite, OverReference, Score, Stamp, TaskResult, ZooResult
from zoobench.strict import Strict
from zoobench.zoos import resolve

from .description import Description
from .lines import laid_out, row_of, score_of_row
from .submission import is_name
from .targets import UNREADABLE, Axis, Targets, read_targets, why

RESULTS = "results"
SCHEMA_VERSION = 5
_INPUTS = b"zoobench.inputs_sha256"
_BULK = pa.schema(
    [
        ("zoo", pa.string()),
        ("protocol", pa.string()),
        ("without", pa.list_(pa.float32())),
        ("points", pa.map_(pa.string(), pa.binary())),
    ]
)
_WITHOUT = "without.list.element"


class Points(Strict):
    """Predictions of the shown networks on an axis (see ``targets``), of the first seed."""

    axis: Axis
    predicted: str


class MeanSkill(Finite):
    """The mean skill (see ``averages``) of the tasks that have a score, as ranking needs it.

    ``without`` has it without each group of runs, in single precision; ``seed_variance`` is what so many ``seeds`` add
    to the variance over runs. ``over_hyperparameters`` is the mean skill of the tasks that the hyperparameters'
    reference predicts, less its.
    """

    without: list[float]
    seed_variance: float
    seeds: int
    over_hyperparameters: Score | None = None


class BoardResult(ZooResult, Finite):
    """A result, with what ranking and the page need; in distribution only, but for the scores.

    ``mean`` is ``None`` where tasks of the zoo are missing, or undefined without some of the runs. ``points`` are of
    the regression tasks.
    """

    mean: MeanSkill | None = None
    points: dict[str, Points] = Field(default_factory=dict)


class ScoredSubmission(Strict):
    """A submission with its scores.

    ``inputs_sha256`` is of everything that the scores depend on: with the same one, they are not computed again.
    """

    schema_version: int
    name: str
    submission: Description
    inputs_sha256: str
    results: list[BoardResult]


class _StoredStamp(Finite):
    """What the stamps of all results of one scoring share; versions of all tasks and metrics that they have."""

    split: str
    jackknife: dict[str, float]
    zoobench: str
    task_versions: dict[str, int]
    metric_versions: dict[str, int]


class _StoredMean(Finite):
    seed_variance: float
    seeds: int
    over_hyperparameters: list[Any] | None = None


class _StoredResult(Strict):
    """``scores`` by task and metric, each a row of ``lines``; ``confusion`` by task.

    ``over_hyperparameters`` by task: rows of the difference and, in regression, of what is left. ``mean`` as in
    ``MeanSkill``, less what is in the parquet file.
    """

    zoo: str
    trained_on: str
    protocol: str
    labels_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    predictions_sha256: list[str]
    seeds: list[int] | None = None
    scores: dict[str, dict[str, list[Any]]]
    confusion: dict[str, list[list[int]]] = Field(default_factory=dict)
    over_hyperparameters: dict[str, dict[str, list[Any]]] = Field(default_factory=dict)
    mean: _StoredMean | None = None


class _Stored(Strict):
    schema_version: int
    name: str
    submission: Description
    inputs_sha256: str
    stamp: _StoredStamp
    results: list[_StoredResult]


def scores_path(board: Path, name: str) -> Path:
    return board / RESULTS / f"{name}.json"


def write_scored(board: Path, scored: ScoredSubmission) -> None:
    """Write both files of a scored submission, the one that is looked for last."""
    path = scores_path(board, scored.name)
    sink = pa.BufferOutputStream()
    pq.write_table(
        _bulk(scored),
        sink,
        compression="ZSTD",
        compression_level=19,
        use_dictionary=False,
        use_byte_stream_split=[_WITHOUT],
        write_statistics=False,
    )
    write_atomically(path.with_suffix(".parquet"), sink.getvalue().to_pybytes())
    write_atomically(path, (laid_out(_stored(scored).model_dump(exclude_none=True)) + "\n").encode())


def read_scored(board: Path, name: str) -> ScoredSubmission:
    """Read what ``write_scored`` wrote.

    Raises:
        ZoobenchError: nothing, something of another schema, or files that do not belong together.
    """
    return _read(board, name, _finder(board))


def read_all(board: Path, on_refused: Callable[[str], None] | None = None) -> list[ScoredSubmission]:
    """The scored submissions of a leaderboard folder; what has not the name of a result is warned about.

    Args:
        board: leaderboard folder.
        on_refused: told why a result cannot be read, and the others are; without it, that is an error.

    Raises:
        ZoobenchError: nothing is scored yet, or a result cannot be read.
    """
    find, found = _finder(board), []
    with _settled(board):
        for path in _listed(board):
            try:
                found.append(_read(board, path.stem, find))
            except ZoobenchError as error:
                if on_refused is None:
                    raise
                on_refused(str(error))
    if not found:
        raise ZoobenchError(f"no results in {board / RESULTS}; run zoobench leaderboard score --dir {board}")
    return found


@contextlib.contextmanager
def _settled(board: Path) -> Iterator[None]:
    """Wait for a scorer that writes results, so that what is read belongs together."""
    with contextlib.ExitStack() as stack:
        # Nobody writes to a folder that cannot be written.
        with contextlib.suppress(OSError):
            if (board / RESULTS).is_dir():
                stack.enter_context(locked(board / RESULTS))
        yield


def _listed(board: Path) -> Iterator[Path]:
    """The results of submissions, by name."""
    folder = board / RESULTS
    try:
        paths = sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise ZoobenchError(f"cannot read {folder}: {error.strerror or error}") from error
    for path in paths:
        ours = is_name(path.stem) and path.is_file()
        if ours and path.suffix == ".json":
            yield path
        elif not (ours and path.suffix == ".parquet") and not path.name.endswith(".tmp"):
            warnings.warn(f"{path} is skipped: it is no result of a submission", stacklevel=2)


def remove_results(board: Path, names: Collection[str]) -> None:
    """Remove the results of submissions that have none of these names; what was not written here stays.

    Raises:
        OSError: one cannot be removed.
    """
    for path in (board / RESULTS).glob("*.*"):
        if is_name(path.stem) and path.stem not in names and path.is_file() and _is_ours(path):
            path.unlink(missing_ok=True)


def _is_ours(path: Path) -> bool:
    """Whether a file in ``results`` is one that scoring writes, of whichever version."""
    try:
        if path.suffix == ".json":
            content = json.loads(path.read_bytes())
            return isinstance(content, dict) and {"schema_version", "submission"} <= content.keys()
        return path.suffix == ".parquet" and _INPUTS in (pq.read_schema(path).metadata or {})
    except UNREADABLE:
        return False


def labels_of_results(board: Path) -> set[tuple[str, str]]:
    """The zoos that results are of, each with the sha256 of its labels; results that cannot be read have none."""
    found = set()
    for path in filter(Path.is_file, (board / RESULTS).glob("*.json")):
        try:
            found |= {(str(one["zoo"]), str(one["labels_sha256"])) for one in json.loads(path.read_bytes())["results"]}
        except UNREADABLE:
            continue
    return found


# The targets of a zoo id, by protocol, in the labels with a sha256.
_Find = Callable[[str, str], Mapping[str, Targets]]


def _finder(board: Path) -> _Find:
    return lru_cache(maxsize=None)(lambda zoo, sha256: read_targets(board, resolve(zoo), sha256))


def _read(board: Path, name: str, find: _Find) -> ScoredSubmission:
    path = scores_path(board, name)
    try:
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict):
            raise ValueError("no result of a submission")
        if content.get("schema_version") != SCHEMA_VERSION:
            raise ZoobenchError(f"{path} has another schema version; run zoobench leaderboard score --dir {board}")
        stored = _Stored.model_validate(content)
        if stored.name != name:
            raise ValueError(f"it is the result of {stored.name!r}")
        bulk = _read_bulk(path.with_suffix(".parquet"), stored.inputs_sha256)
        results = [
            _whole(one, stored.stamp, find(one.zoo, one.labels_sha256)[one.protocol], bulk) for one in stored.results
        ]
        return ScoredSubmission(
            schema_version=SCHEMA_VERSION,
            name=stored.name,
            submission=stored.submission,
            inputs_sha256=stored.inputs_sha256,
            results=results,
        )
    except UNREADABLE as error:
        raise ZoobenchError(
            f"cannot read {path}; run zoobench leaderboard score --dir {board} ({why(error)})"
        ) from error


def _stored(scored: ScoredSubmission) -> _Stored:
    stamps = [result.stamp for result in scored.results]
    return _Stored(
        schema_version=scored.schema_version,
        name=scored.name,
        submission=scored.submission,
        inputs_sha256=scored.inputs_sha256,
        stamp=_StoredStamp(
            split=stamps[0].split,
            jackknife=stamps[0].jackknife,
            zoobench=stamps[0].zoobench,
            task_versions={task: version for stamp in stamps for task, version in stamp.task_versions.items()},
            metric_versions={metric: version for stamp in stamps for metric, version in stamp.metric_versions.items()},
        ),
        results=[_stored_result(result) for result in scored.results],
    )


def _stored_result(result: BoardResult) -> _StoredResult:
    return _StoredResult(
        zoo=result.zoo,
        trained_on=result.trained_on,
        protocol=result.stamp.protocol,
        labels_sha256=result.stamp.labels_sha256,
        predictions_sha256=result.stamp.predictions_sha256,
        seeds=result.seeds,
        scores={
            name: {metric: row_of(score) for metric, score in task.scores.items()}
            for name, task in result.tasks.items()
        },
        confusion={name: task.confusion.counts for name, task in result.tasks.items() if task.confusion is not None},
        over_hyperparameters={
            name: {field: row_of(score) for field, score in over if score is not None}
            for name, task in result.tasks.items()
            if (over := task.over_hyperparameters) is not None
        },
        mean=_stored_mean(result.mean),
    )


def _stored_mean(mean: MeanSkill | None) -> _StoredMean | None:
    if mean is None:
        return None
    gain = mean.over_hyperparameters
    return _StoredMean(
        seed_variance=mean.seed_variance, seeds=mean.seeds, over_hyperparameters=None if gain is None else row_of(gain)
    )


def _bulk(scored: ScoredSubmission) -> pa.Table:
    rows = [
        {
            "zoo": result.zoo,
            "protocol": result.stamp.protocol,
            "without": result.mean and result.mean.without,
            "points": [(task, base64.b64decode(points.predicted)) for task, points in result.points.items()],
        }
        for result in scored.results
        if result.zoo == result.trained_on
    ]
    return pa.Table.from_pylist(rows, _BULK.with_metadata({_INPUTS: scored.inputs_sha256.encode()}))


def _read_bulk(path: Path, inputs: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Rows of the parquet file, by zoo and protocol."""
    with pq.ParquetFile(path) as file:
        if (file.schema_arrow.metadata or {}).get(_INPUTS) != inputs.encode():
            raise ValueError("of other inputs than the scores beside it")
        return {(row["zoo"], row["protocol"]): row for row in file.read().to_pylist()}


def _whole(
    stored: _StoredResult, stamp: _StoredStamp, targets: Targets, bulk: Mapping[tuple[str, str], Mapping[str, Any]]
) -> BoardResult:
    """A result as it was when it was scored."""
    tasks = {name: _task(name, stored, targets) for name in stored.scores}
    metrics = {metric for task in tasks.values() for metric in task.scores}
    own: Mapping[str, Any] = {"without": None, "points": ()}
    if stored.zoo == stored.trained_on:
        own = bulk[stored.zoo, stored.protocol]
    return BoardResult(
        zoo=stored.zoo,
        trained_on=stored.trained_on,
        seeds=stored.seeds,
        runs=targets.runs,
        rows=targets.rows,
        collapsed=targets.collapsed,
        tasks=tasks,
        references=[
            one.model_copy(update={"tasks": {name: one.tasks[name] for name in tasks if name in one.tasks}})
            for one in targets.references
        ],
        stamp=Stamp(
            labels_sha256=stored.labels_sha256,
            split=stamp.split,
            protocol=stored.protocol,
            task_versions={name: stamp.task_versions[name] for name in tasks},
            metric_versions={name: version for name, version in stamp.metric_versions.items() if name in metrics},
            jackknife=stamp.jackknife,
            zoobench=stamp.zoobench,
            predictions_sha256=stored.predictions_sha256,
        ),
        mean=_mean(stored.mean, own["without"]),
        points={name: _points(targets, name, drawn) for name, drawn in own["points"]},
    )


def _mean(stored: _StoredMean | None, without: list[float] | None) -> MeanSkill | None:
    if stored is None or without is None:
        return None
    gain = stored.over_hyperparameters
    return MeanSkill(
        without=without,
        seed_variance=stored.seed_variance,
        seeds=stored.seeds,
        over_hyperparameters=None if gain is None else score_of_row(gain),
    )


def _task(name: str, stored: _StoredResult, targets: Targets) -> TaskResult:
    task = targets.tasks[name]
    if task.main_metric not in stored.scores[name]:
        raise ValueError(f"{name} has no {task.main_metric}")
    scores: dict[str, Score] = {metric: score_of_row(row) for metric, row in stored.scores[name].items()}
    confusion = None
    if name in stored.confusion:
        confusion = Confusion(classes=task.classes or [], counts=stored.confusion[name])
    over = stored.over_hyperparameters.get(name)
    return TaskResult(
        kind=task.kind,
        main_metric=task.main_metric,
        unit=task.unit,
        scores=scores,
        tau_ceiling=task.tau_ceiling,
        confusion=confusion,
        over_hyperparameters=None
        if over is None
        else OverReference(**{field: score_of_row(row) for field, row in over.items()}),
    )


def _points(targets: Targets, name: str, drawn: bytes) -> Points:
    axis = targets.tasks[name].axis
    if axis is None:
        raise ValueError(f"no axis for {name}")
    return Points(axis=axis, predicted=base64.b64encode(drawn).decode())
