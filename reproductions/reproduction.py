"""What the reproductions of papers share: entries that are computed once, and what is said of them."""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import r2_score

from zoobench.data import hub
from zoobench.files import write_atomically
from zoobench.publishing.documents import hardware
from zoobench.scoring.compare import Comparison, compare
from zoobench.scoring.harness import evaluate
from zoobench.scoring.results import Score, ZooResult
from zoobench.zoos import Zoo, resolve

DOCUMENTS = Path(__file__).resolve().parents[1] / "docs" / "reproduction"
ABSENT = "–"


def parser(description: str | None, work: str) -> argparse.ArgumentParser:
    """The options that all reproductions have."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--scale", default="lite")
    made.add_argument("--trials", type=int, default=5)
    made.add_argument("--collections", default="", help="comma-separated; default all that are built")
    made.add_argument("--work", type=Path, default=Path("build") / work)
    return made


def add_tables(options: argparse.ArgumentParser, tables: Sequence[str]) -> None:
    """``--tables``, a list of these; all if not given."""

    def names(text: str) -> list[str]:
        wanted = text.split(",")
        if unknown := set(wanted) - set(tables):
            raise argparse.ArgumentTypeError(
                f"no such tables: {', '.join(sorted(unknown))}; choose from: {', '.join(tables)}"
            )
        return wanted

    options.add_argument("--tables", type=names, default=",".join(tables), help="comma-separated")


def kept_numbers(path: Path) -> dict[str, float]:
    """What a JSON file holds of an earlier run; nothing where it is not there or not whole."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Work:
    """A folder of predictions; an entry that is there is not computed again.

    Attributes:
        folder: of the predictions.
        asked: names of the entries that were asked for.
    """

    folder: Path
    asked: set[str] = field(default_factory=set)

    def entry(self, name: str, make: Callable[[Path], object]) -> Path:
        """The predictions file of an entry. The seconds that it took are kept beside it."""
        path = self.folder / f"{name}.parquet"
        self.asked.add(name)
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            start = time.perf_counter()
            make(path)
            seconds = self._all_seconds() | {name: round(time.perf_counter() - start, 1)}
            write_atomically(self.folder / "seconds.json", (json.dumps(seconds, indent=1) + "\n").encode())
            print(f"{name}: {seconds[name]:.0f} s", flush=True)
        return path

    def seconds(self) -> dict[str, float]:
        """That the entries took that were asked for, as far as known."""
        return {name: value for name, value in self._all_seconds().items() if name in self.asked}

    def _all_seconds(self) -> dict[str, float]:
        return kept_numbers(self.folder / "seconds.json")


@dataclass(frozen=True)
class Kept:
    """Numbers of long experiments, as texts in a JSON file that is committed.

    What stands there is not computed again, nor on a machine that does not have the predictions any more, as long as
    the zoo's test labels are the same. Take an entry out to have it made anew.
    """

    path: Path
    asked: set[str] = field(default_factory=set)

    def number(self, zoo: Zoo, entry: str, what: str, make: Callable[[], str], seconds: Callable[[], float]) -> str:
        """What ``make`` gives, or gave; a dash is not kept."""
        self.asked.add(entry)
        labels = hub.load_labels(zoo, "test").sha256
        found = self.entries()
        known = found.get(entry, {})
        if known.get("labels") != labels:
            known = {"labels": labels, "numbers": {}}
        if what not in known["numbers"]:
            text = make()
            if text == ABSENT:
                return text
            known["numbers"][what] = text
            known["made"] = str(datetime.datetime.now(datetime.UTC).date())
            known["seconds"] = seconds()
            found[entry] = known
            write_atomically(
                self.path, (json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
            )
        return str(known["numbers"][what])

    def entries(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = (
            json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else {}
        )
        return found

    def seconds(self) -> dict[str, float]:
        """Of searches and fits, of the entries that were asked for and of which they are known."""
        return {
            name: entry["seconds"] for name, entry in self.entries().items() if entry["seconds"] and name in self.asked
        }


def built(repo: str, configs: Sequence[str], scale: str, wanted: str) -> list[Zoo]:
    """The zoos of a repo that are built here, and wanted, in the order of ``configs``."""
    here = set(hub.built_zoos())
    zoos = [resolve(f"{repo}/{config}", scale) for config in configs]
    return [zoo for zoo in zoos if zoo.id in here and (not wanted or zoo.spec.config in wanted.split(","))]


@functools.cache
def _evaluated(path: Path, protocol: str) -> ZooResult:
    (found,) = evaluate(path, protocols=[protocol]).results
    return found


@functools.cache
def _compared(path: Path, other: Path, protocol: str) -> Comparison:
    (found,) = compare(path, other, protocol=protocol)
    return found


def scores(path: Path, task: str, protocol: str) -> Mapping[str, Score]:
    """Scores of a predictions file of one zoo, by metric."""
    return _evaluated(path, protocol).tasks[task].scores


def difference(path: Path, other: Path, task: str, protocol: str = "all", metric: str = "r2") -> str:
    """R² (or another metric) of one file more than of another on the same networks, with its interval."""
    found = _compared(path, other, protocol).tasks[task][metric]
    return f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


# What ``errors_by_norm`` says, for the line above a table of it.
ERRORS_BY_NORM = (
    "Share of the squared error in the worst 5 % of the rows; R² of the networks whose weights have a norm below the "
    "90 % quantile of the train networks', and below their median."
)


def errors_by_norm(path: Path, zoo: Zoo) -> str:
    """Where predictions of accuracy err, by the Euclidean norm of a network's weights, all checkpoints.

    Returns:
        the three numbers of ``ERRORS_BY_NORM``, as text.
    """
    test, train = hub.load_split(zoo, "test"), hub.load_split(zoo, "train")
    norm, known = (np.linalg.norm(split.weights.astype(np.float64), axis=1) for split in (test, train))
    target = test.labels["test_accuracy"].to_numpy()
    found = pd.read_parquet(path).set_index("example_id")
    predicted = found.loc[test.labels["example_id"], "accuracy"].to_numpy(np.float64)
    error = np.sort((target - predicted) ** 2)[::-1]
    text = f"{error[: len(error) // 20].sum() / error.sum():.0%}"
    for quantile in (0.9, 0.5):
        small = norm < np.quantile(known, quantile)
        text += f", {r2_score(target[small], predicted[small]):.2f}"
    return text


def about(command: str, work: Work | Kept, zoos: Sequence[Zoo]) -> str:
    """Where the tables come from: command, day, machine, time, and the zoos by the hash of their test labels."""
    labels = ", ".join(f"`{zoo.id}` {hub.load_labels(zoo, 'test').sha256[:12]}…" for zoo in zoos)
    return (
        f"Made by `{command}` on {datetime.datetime.now(datetime.UTC).date()}, {hardware()}: "
        f"{sum(work.seconds().values()) / 60:.0f} minutes for searches and fits. Test labels by sha256: {labels}."
    )
