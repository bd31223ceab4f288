"""How often intervals cover, and how often equal methods are told apart: simulated from real residuals.

    make coverage

Runs are drawn, with replacement, from the test runs of a committed submission, of which all are the population: an
interval should hold the population's score in 95 % of draws. Beside it the percentile bootstrap over runs. Differences
are of two submissions on the same runs. Seeds are simulated, since none has many. Boards of equal methods are made of
real answers: each of eleven methods answers each run as one of the board's submissions does, drawn anew for each, so
that none is better. Writes ``docs/intervals.md``.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoobench.scoring import metrics, tasks
from zoobench.scoring.averages import mean_skill
from zoobench.scoring.compare import difference
from zoobench.scoring.jackknife import Jackknife, over_seeds
from zoobench.scoring.joining import join
from zoobench.scoring.metrics import Metric
from zoobench.scoring.predictions import read_predictions
from zoobench.scoring.sample import Sample
from zoobench_leaderboard.contenders import Contender, better, part_of
from zoobench_leaderboard.results import read_scored
from zoobench_leaderboard.scored import MeanSkill, ScoredSubmission
from zoobench_leaderboard.targets import labels_of

BOARD = Path("leaderboard")
RUNS = (20, 40, 80, 150)
_RESAMPLES = 400
_METHODS = 11
_BOARD_RUNS = (17, 40, 150)

# Submission, zoo, tasks; and a second submission, for differences.
_TETRIS, _SMALL, _MEDIUM = "tetris-zoo/seed", "small-cnn-zoo-lite/mnist", "cnn-zoo-2-lite/mnist"
POPULATIONS = (
    ("gbm-stats", "linear-stats", _TETRIS, ("accuracy", "generalization_gap", "epoch")),
    ("gbm-stats", "dnn-stats", _SMALL, ("accuracy", "generalization_gap", "epoch", "activation", "init")),
    ("linear-stats", "gbm-stats", _MEDIUM, ("accuracy", "dropout", "activation", "optimizer")),
    ("linear-w", "gbm-stats", "small-cnn-zoo-lite/cifar10", ("accuracy",)),
)
# Their ranks are of 12,000 rows, which would take most of the time.
_NOT_RANKED = {_TETRIS}
BOARDS = (
    ("small-cnn-zoo-lite/mnist", ("gbm-stats", "comvex-conv", "dnn-stats", "linear-stats", "linear-w", "pca")),
    ("tetris-zoo/seed", ("gbm-stats", "gbm-w", "linear-stats", "linear-w", "pca", "comvex-conv")),
    ("cnn-zoo-2-lite/mnist", ("gbm-stats", "dnn-stats", "linear-stats", "comvex-conv")),
)


@dataclass(frozen=True)
class Covered:
    """Of so many draws of ``runs``: how often the bootstrap covered, and the interval, and how often there was none."""

    what: str
    metric: str
    runs: int
    bootstrap: float
    interval: float
    refused: float


def samples(submission: str, zoo: str) -> dict[str, Sample]:
    """The test split of a zoo as a committed submission predicts it, by task; of several seeds, the first."""
    folder = BOARD / "submissions" / submission
    path = next(path for path in (folder / f"{zoo}.parquet", folder / f"{zoo}-seed0.parquet") if path.exists())
    file = read_predictions(path)
    group = next(group for group in file.groups if group.trained_on == group.zoo)
    return join(file, group, "all", labels_of(BOARD)).samples


def rows_of(sample: Sample) -> list[np.ndarray]:
    return [np.flatnonzero(sample.run == run) for run in range(sample.runs)]


def drawn(sample: Sample, runs: np.ndarray, rows: Sequence[np.ndarray]) -> Sample:
    """The sample of some runs, those that are drawn twice being two."""
    chosen = [rows[run] for run in runs]
    number = np.repeat(np.arange(len(runs)), [len(one) for one in chosen])
    index = np.concatenate(chosen)
    return Sample(sample.target[index], sample.prediction[index], number)


def covered(
    what: str, metric: Metric, first: Sample, second: Sample | None, runs: int, trials: int, rng: np.random.RandomState
) -> Covered:
    """Of a score, or of the difference of two."""
    once, rows, jackknife = np.ones((1, first.runs)), rows_of(first), Jackknife()
    both = [sample for sample in (first, second) if sample is not None]
    signs = (1, -1)

    def values(of: Sequence[Sample], counts: np.ndarray) -> np.ndarray:
        return np.sum([sign * metric.bounded(metric.compute(s, counts)) for sign, s in zip(signs, of, strict=False)], 0)

    truth = values(both, once)[0]
    by_bootstrap, by_interval, refused = 0, 0, 0
    for _ in range(trials):
        chosen = rng.randint(first.runs, size=runs)
        of = [drawn(sample, chosen, rows) for sample in both]
        resampled = values(of, rng.multinomial(runs, np.full(runs, 1 / runs), size=_RESAMPLES).astype(np.float64))
        low, high = np.nanquantile(resampled, [0.025, 0.975])
        by_bootstrap += low <= truth <= high
        if second is None:
            _, below, above = metrics.estimate(metric, of[0], jackknife)
        else:
            found = difference(metric, of[0], of[1], jackknife)
            below, above = (np.nan if end is None else end for end in (found.low, found.high))
        refused += np.isnan(below)
        by_interval += below <= truth <= above
    given = max(trials - refused, 1)
    return Covered(what, metric.name, runs, by_bootstrap / trials, by_interval / given, refused / trials)


def scores(trials: int, rng: np.random.RandomState) -> Iterator[tuple[str, Covered]]:
    """Coverage of scores and of differences, population by population."""
    for first, second, zoo, names in POPULATIONS:
        one, other = samples(first, zoo), samples(second, zoo)
        for name in names:
            for metric in metrics.metrics_of(tasks.get(name).kind):
                if metric.compute in (metrics.ranks.kendall_tau_b, metrics.ranks.spearman) and zoo in _NOT_RANKED:
                    continue
                for runs in RUNS:
                    what = f"{first}, {zoo}, {name}"
                    yield "score", covered(what, metric, one[name], None, runs, trials, rng)
                    what = f"{first} less {second}, {zoo}, {name}"
                    yield "difference", covered(what, metric, one[name], other[name], runs, trials, rng)


def seeds_covered(
    seeds: int, sd: float, trials: int, rng: np.random.RandomState, runs: int = 150
) -> tuple[float, float]:
    """Coverage of a mean over seeds, and of the difference of two methods' on the same runs.

    The mean over runs has a standard error of 0.08, seeds differ by ``sd``, and each seed on each run by as much
    as runs do.
    """
    jackknife, inside = Jackknife(), np.zeros(2)
    counts = jackknife.counts(runs)
    for _ in range(trials):
        shared = rng.normal(size=runs)
        means = []
        for _ in range(2):
            own = sd * rng.normal(size=(seeds, 1)) + 0.08 * np.sqrt(runs) * (shared + rng.normal(size=(seeds, runs)))
            means.append(own @ counts.T / counts.sum(axis=1))
        spread = [over_seeds(values) for values in means]
        ends = jackknife.interval(means[0])
        inside[0] += ends is not None and ends[0] <= 0 <= ends[1]
        parts = [
            part_of(MeanSkill(without=values.mean(0)[1:].tolist(), seed_variance=one.variance, seeds=seeds))
            for values, one in zip(means, spread, strict=True)
        ]
        inside[1] += not better(
            [Contender(anybody_at_all(), float(v[:, 0].mean()), {"": p}) for v, p in zip(means, parts, strict=True)]
        ).any()
    return float(inside[0] / trials), float(inside[1] / trials)


def anybody_at_all() -> ScoredSubmission:
    return read_scored(BOARD, "umap")


def false_boards(
    zoo: str, submissions: Sequence[str], runs: int, trials: int, rng: np.random.RandomState
) -> list[float]:
    """The share of boards of equal methods that show a difference: by the bootstrap of each pair at 95 %, and now."""
    anybody = anybody_at_all()
    pool = [samples(name, zoo) for name in submissions]
    wanted = [name for name in pool[0] if tasks.get(name).ranked]
    rows, population = rows_of(pool[0][wanted[0]]), pool[0][wanted[0]].runs
    jackknife, found = Jackknife(), np.zeros(2)
    for _ in range(trials):
        chosen = rng.randint(population, size=runs)
        index = np.concatenate([rows[run] for run in chosen])
        number = np.repeat(np.arange(runs), [len(rows[run]) for run in chosen])
        counts = np.concatenate(
            [jackknife.counts(runs), rng.multinomial(runs, np.full(runs, 1 / runs), size=_RESAMPLES)]
        )
        groups = len(jackknife.counts(runs))
        means = []
        for _ in range(_METHODS):
            asked = rng.randint(len(pool), size=runs)[number]
            skills = {}
            for name in wanted:
                answers = np.stack([of[name].prediction[index] for of in pool])
                answer = Sample(pool[0][name].target[index], answers[asked, np.arange(len(index))], number)
                metric = metrics.BY_NAME[tasks.get(name).ranking_metric]
                skills[name] = metric.bounded(metric.compute(answer, counts))
            means.append(mean_skill({name: s for name, s in skills.items() if np.isfinite(s).all()}))
        found += _differs(np.stack(means), groups, anybody)
    return (found / trials).tolist()


def _differs(means: np.ndarray, groups: int, anybody: ScoredSubmission) -> np.ndarray:
    """Whether any pair differs by the bootstrap, and by the ranking: of means (methods, 1 + groups + resamples)."""
    apart = means[:, None, groups:] - means[None, :, groups:]
    low = np.quantile(apart, 0.025, axis=-1)
    contenders = [
        Contender(
            anybody, float(mean[0]), {"": part_of(MeanSkill(without=mean[1:groups].tolist(), seed_variance=0, seeds=1))}
        )
        for mean in means
    ]
    return np.array([(low > 0).any(), better(contenders).any()], float)


def _by_metric(kind: str, found: Sequence[Covered]) -> list[str]:
    """By metric and number of runs: the range over populations."""
    lines = [
        f"| {kind} of | runs | bootstrap | interval | too few runs |",
        "|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(one.metric for one in found):
        for runs in RUNS:
            here = [one for one in found if (one.metric, one.runs) == (name, runs)]
            spans = [_span([getattr(one, field) for one in here]) for field in ("bootstrap", "interval", "refused")]
            lines.append(f"| {name} | {runs} | {' | '.join(spans)} |")
    return lines


def _span(values: Sequence[float]) -> str:
    return f"{np.median(values):.3f} ({min(values):.3f}–{max(values):.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("docs/intervals.md"))
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    rng, trials = np.random.RandomState(0), asked.trials
    lines = [_HEAD.format(trials=trials)]
    found: dict[str, list[Covered]] = {"score": [], "difference": []}
    for kind, one in scores(trials, rng):
        found[kind].append(one)
        print(kind, one, flush=True)
    for kind, ones in found.items():
        lines += ["", *_by_metric(kind, ones)]
    lines += ["", "## Seeds", "", _SEEDS, "", "| seeds | sd of seeds | mean | difference |", "|---|---|---|---|"]
    rng = np.random.RandomState(0)
    for sd in (0.1, 0.3):
        for seeds in (3, 5, 10):
            lines.append(
                f"| {seeds} | {sd} | {' | '.join(f'{v:.3f}' for v in seeds_covered(seeds, sd, 2 * trials, rng))} |"
            )
    lines += [
        "",
        "## Boards of eleven equal methods",
        "",
        _EQUAL,
        "",
        "| zoo | runs | bootstrap, pair by pair | ranking |",
    ]
    lines += ["|---|---|---|---|"]
    for zoo, submissions in BOARDS:
        for runs in _BOARD_RUNS:
            shares = false_boards(zoo, submissions, runs, trials // 2, rng)
            lines.append(f"| {zoo} | {runs} | {' | '.join(f'{share:.3f}' for share in shares)} |")
            print(lines[-1], flush=True)
    asked.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


_HEAD = """# How often intervals cover

Made by `make coverage` ([`benchmarks/coverage.py`](../benchmarks/coverage.py)) from the leaderboard's own predictions:
{trials} draws of so many test runs from those of a submission, whose score on all of them is the truth. Nominal is
0.95. *Bootstrap* is the percentile bootstrap over runs, *interval* what `zoobench evaluate` gives, among the draws
where it gives one; *too few runs* the share where it gives none, since a few of the runs make up most of the variance.
Entries are the median over populations, and their range. What a draw does not have, no interval can know: where one run
of a hundred makes most of the error, small draws without it are blind."""
_SEEDS = """Simulated, twice as often: 150 runs, standard error over runs 0.08, two methods that share the runs.
*Difference*: the ranking does not tell the two apart."""
_EQUAL = """Each method answers each run as one of the board's submissions does, drawn anew for each: the share of
boards on which any two of the eleven are told apart. With every pair tested by itself, and as the leaderboard ranks,
all pairs together."""

if __name__ == "__main__":
    main()
