"""The folder of results: the two files that each scored submission is kept in.

``results/<name>.json`` has the scores, one on a line (see ``lines``). ``results/<name>.parquet`` has what nobody reads
and ranking and the page need: the means without each group of runs, and the drawn predictions. What is the same for all
submissions is in neither, but beside the labels (``targets``); reading puts it together again.
"""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from zoobench.errors import ZoobenchError
from zoobench.files import locked, write_atomically
from zoobench.zoos import resolve

from .lines import laid_out
from .scored import SCHEMA_VERSION, ScoredSubmission
from .stored import INPUTS, WITHOUT, Stored, bulk_of, read_bulk, to_stored, whole
from .submission import is_name
from .targets import UNREADABLE, Targets, read_targets, why

RESULTS = "results"


def scores_path(board: Path, name: str) -> Path:
    return board / RESULTS / f"{name}.json"


def write_scored(board: Path, scored: ScoredSubmission) -> None:
    """Write both files of a scored submission, the one that is looked for last."""
    path = scores_path(board, scored.name)
    sink = pa.BufferOutputStream()
    pq.write_table(
        bulk_of(scored),
        sink,
        compression="ZSTD",
        compression_level=19,
        use_dictionary=False,
        use_byte_stream_split=[WITHOUT],
        write_statistics=False,
    )
    write_atomically(path.with_suffix(".parquet"), sink.getvalue().to_pybytes())
    write_atomically(path, (laid_out(to_stored(scored).model_dump(exclude_none=True)) + "\n").encode())


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
        return path.suffix == ".parquet" and INPUTS in (pq.read_schema(path).metadata or {})
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
        stored = Stored.model_validate(content)
        if stored.name != name:
            raise ValueError(f"it is the result of {stored.name!r}")
        bulk = read_bulk(path.with_suffix(".parquet"), stored.inputs_sha256)
        results = [
            whole(one, stored.stamp, find(one.zoo, one.labels_sha256)[one.protocol], bulk) for one in stored.results
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
