"""Results and registries as readable tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from ..scoring import metrics
from ..scoring.compare import Comparison
from ..scoring.jackknife import TOO_FEW
from ..scoring.results import Average, Matrix, Result, Score, TauBeside, ZooResult, number
from ..scoring.tasks import Task
from ..zoos.layout import layout_of
from ..zoos.spec import ZooSpec
from .terminal import console as console

if TYPE_CHECKING:
    from ..building.repo import Outcome
    from ..weightspace.embeddings import Separation


def result_tables(result: Result) -> list[Table]:
    """Everything that a result says: scores zoo by zoo, changes, train x test matrices, averages."""
    tables = []
    for part in result.results:
        kinds = dict.fromkeys(task.kind for task in part.tasks.values())
        tables += [_zoo_result_table(part, kind) for kind in kinds]
        tables += [_changes_table(part)] if part.perturbed else []
    tables += [_matrix_table(matrix) for matrix in result.matrices()]
    return tables + ([_averages_table(result.averages)] if result.averages else [])


def _zoo_result_table(result: ZooResult, kind: str) -> Table:
    trained = "" if result.trained_on == result.zoo else f", trained on {result.trained_on}"
    seeds = f", mean of {len(result.seeds)} seeds" if result.seeds else ""
    shown = metrics.metrics_of(kind)
    main = next(task.main_metric for task in result.tasks.values() if task.kind == kind)
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
        title=f"{result.zoo}{trained}{seeds}: {result.stamp.split} split, protocol {result.stamp.protocol}, "
        f"{result.runs:,} runs, {result.rows:,} checkpoints",
        caption=_caption(result, kind),
    )
    table.add_column("task", no_wrap=True)
    for metric in shown:
        table.add_column(f"{metric.label} {'↑' if metric.higher_is_better else '↓'}", justify="right")
    if kind == metrics.REGRESSION:
        for label in ("τ\nceiling", "τ\nrounded", "τ not\ncollapsed"):
            table.add_column(label, justify="right")
    for reference in result.references:
        table.add_column(f"{reference.name}\n{metrics.BY_NAME[main].label}", justify="right")
    for name, task in result.tasks.items():
        if task.kind == kind:
            texts = [_score_text(task.scores[metric.name]) for metric in shown]
            if kind == metrics.REGRESSION:
                beside = task.tau_beside or TauBeside()
                shown_taus = (task.tau_ceiling, beside.rounded, beside.not_collapsed)
                texts += ["–" if tau is None else number(tau) for tau in shown_taus]
            texts += [str(ref.tasks[name][main]) if name in ref.tasks else "–" for ref in result.references]
            table.add_row(name, *texts)
    return table


def _score_text(score: Score) -> str:
    spread = "" if score.spread is None else f"\n± {number(score.spread)}"
    return str(score).replace(" ", "\n", 1) + spread


def _caption(result: ZooResult, kind: str) -> str:
    jackknife, collapsed = result.stamp.jackknife, result.collapsed
    over = "runs and seeds" if result.seeds else "runs"
    parts = [f"{jackknife['level']:.0%} intervals: jackknife over {over}"]
    if result.seeds:
        parts.append("±: standard deviation over seeds")
    if kind == metrics.REGRESSION:
        parts.append("τ ceiling: what ties of the target leave to predictions without ties")
        parts.append("τ rounded: of predictions to 0.001; τ not collapsed: without collapsed networks")
    if collapsed.share is not None and collapsed.majority_rate is not None:
        parts.append(
            f"collapsed networks (test accuracy at most {number(collapsed.majority_rate)}, the share of the most "
            f"frequent class): {collapsed.share:.1%}"
        )
    return "; ".join(parts)


def _changes_table(result: ZooResult) -> Table:
    """Mean absolute change of the predictions under each perturbation, largest first, as in Unterthiner's Table 9."""
    names = list(dict.fromkeys(task for change in result.perturbed for task in change.changes))
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
        title=f"{result.zoo}, protocol {result.stamp.protocol}: mean absolute change of the predictions",
        caption="share of networks whose class changes, where a class is predicted; intervals as above",
    )
    for column in ("perturbation", "function", "networks", *names):
        first = column in ("perturbation", "function")
        table.add_column(column.replace("_", "\n"), justify="left" if first else "right", no_wrap=first)
    ordered = sorted(result.perturbed, key=lambda change: -(change.changes[names[0]].value or 0))
    for change in sorted(ordered, key=lambda change: not change.preserves):
        texts = [_score_text(change.changes[name]) if name in change.changes else "–" for name in names]
        table.add_row(change.perturbation, "preserved" if change.preserves else "broken", f"{change.rows:,}", *texts)
    return table


def _matrix_table(matrix: Matrix) -> Table:
    label = metrics.BY_NAME[matrix.metric].label
    table = Table(
        box=box.SIMPLE_HEAD, title=f"{label} of {matrix.task}, protocol {matrix.protocol}: trained on (rows), tested on"
    )
    table.add_column("")
    for zoo in matrix.zoos:
        table.add_column(zoo, justify="right")
    for trained_on, scores in zip(matrix.trained_on, matrix.scores, strict=True):
        table.add_row(trained_on, *(str(score or "") for score in scores))
    return table


def _averages_table(averages: Sequence[Average]) -> Table:
    shown = [metric for metric in metrics.METRICS if any(average.metric == metric.name for average in averages)]
    table = Table(
        box=box.SIMPLE_HEAD,
        title="Macro averages, in distribution",
        caption="over the tasks of a zoo that have the metric, then over the zoos of a family, then over families",
    )
    for column in ("protocol", "family", "zoos", *(metric.label for metric in shown)):
        table.add_column(column, justify="left" if column in ("protocol", "family") else "right")
    families = {average.family for average in averages if average.family}
    rows = dict.fromkeys((a.protocol, a.family) for a in averages if a.family or len(families) > 1)
    for protocol, family in rows:
        of_row = {a.metric: a for a in averages if (a.protocol, a.family) == (protocol, family)}
        zoos = len(set().union(*(average.zoos for average in of_row.values())))
        texts = [str(of_row[metric.name].score) if metric.name in of_row else "–" for metric in shown]
        table.add_row(protocol, family or "all", str(zoos), *texts)
    return table


def comparison_table(comparison: Comparison) -> Table:
    """Differences of every metric of every task, with the probability that A is better."""
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"A - B on {comparison.zoo}, protocol {comparison.protocol}, {comparison.runs:,} runs",
        caption="paired jackknife over runs; P: Student's probability that A is better",
    )
    for column in ("task", "metric", "A - B", "95 % interval", "P(A better)"):
        table.add_column(column, justify="left" if column in ("task", "metric") else "right")
    for name, differences in comparison.tasks.items():
        for metric, found in differences.items():
            texts = ["–"] * 3
            if found.value is not None:
                texts[:2] = [f"{found.value:+.3g}", TOO_FEW]
            if found.low is not None and found.high is not None:
                texts[1:] = [f"[{found.low:+.3g}, {found.high:+.3g}]", f"{found.probability:.3f}"]
            table.add_row(name, metrics.BY_NAME[metric].label, *texts)
    return table


def separation_table(title: str, found: Mapping[str, Separation]) -> Table:
    """How well embeddings separate networks by test accuracy, one row each."""
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"{title}: embeddings and test accuracy",
        caption="neighbour gap: mean difference in accuracy to the nearest network of another run; random gap: to any; "
        "trustworthiness: of the picture in two dimensions",
    )
    for column in ("embedding", "networks", "dimensions", "neighbour gap", "random gap", "trustworthiness"):
        table.add_column(column, justify="left" if column == "embedding" else "right")
    for name, measured in found.items():
        numbers = (measured.neighbour_gap, measured.random_gap, measured.trustworthiness)
        table.add_row(name, f"{measured.rows:,}", f"{measured.dimensions:,}", *map(number, numbers))
    return table


def zoo_table(specs: list[tuple[ZooSpec, list[str]]]) -> Table:
    """Declared zoos, each with the ids that are built on this machine."""
    table = Table(title="Declared zoos")
    for column in ("zoo", "also known as", "weights", "runs (paper)", "rows (paper)", "can build", "built here"):
        table.add_column(column, justify="right" if column in ("weights", "runs (paper)", "rows (paper)") else "left")
    for spec, built in specs:
        table.add_row(
            spec.id,
            spec.also_known_as,
            f"{layout_of(spec.network).size:,}",
            f"{spec.published_runs:,}",
            f"{spec.published_rows:,}",
            ", ".join(scale for scale, _ in spec.scales),
            ", ".join(built) or "-",
        )
    return table


def build_table(outcomes: Sequence[Outcome]) -> Table:
    """What became of zoos that were to be built; a model is one run with all its checkpoints."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    for column in ("zoo", "weights", "runs", "dropped", "checkpoints", "rows", "MB", "seconds", "models/s"):
        table.add_column(column, justify="left" if column == "zoo" else "right")
    for outcome in outcomes:
        zoo, config, seconds = outcome.zoo, outcome.config, outcome.seconds
        if config is None:
            table.add_row(zoo.id, "not built")
            continue
        runs, size = config.runs + len(config.dropped), sum(entry.size for entry in config.files) / 1e6
        counts = (layout_of(zoo.spec.network).size, runs, len(config.dropped), len(config.checkpoints), config.rows)
        table.add_row(
            zoo.id, *(f"{count:,}" for count in counts), f"{size:,.0f}", f"{seconds:.0f}", f"{runs / seconds:.2f}"
        )
    return table


def task_table(described: list[tuple[Task, list[str]]]) -> Table:
    """Declared tasks, each with the repos or zoos where it makes sense."""
    table = Table(title="Tasks")
    for column in ("task", "target", "unit", "main metric", "paper", "zoos"):
        table.add_column(column)
    for task, where in described:
        table.add_row(task.name, task.description, task.unit, task.main_metric, task.paper, ", ".join(where))
    return table
