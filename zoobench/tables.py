"""Results and registries as readable tables."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from . import metrics
from .compare import Comparison
from .layout import layout_of
from .results import Score, ZooResult
from .tasks import Task
from .zoos.spec import ZooSpec


def console() -> Console:
    """Standard output: as wide as the terminal, or wide enough for every table where there is none."""
    output = Console()
    return output if output.is_terminal else Console(width=200)


def score_text(score: Score) -> str:
    """``0.912 [0.905, 0.919]``, or a dash where undefined."""
    if score.value is None:
        return "–"
    if score.low is None or score.high is None:
        return f"{score.value:.4g}"
    return f"{number(score.value)} [{number(score.low)}, {number(score.high)}]"


def number(value: float) -> str:
    """Three decimals, or two significant digits where that would be nothing."""
    return f"{value:.3f}" if abs(value) >= 0.01 else f"{value:.2g}"


def result_tables(result: ZooResult) -> list[Table]:
    """A table of the regression tasks and one of the classification tasks, where there are any."""
    kinds = dict.fromkeys(task.kind for task in result.tasks.values())
    return [_result_table(result, kind) for kind in kinds]


def _result_table(result: ZooResult, kind: str) -> Table:
    trained = "" if result.trained_on == result.zoo else f", trained on {result.trained_on}"
    shown = metrics.metrics_of(kind)
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
        title=f"{result.zoo}{trained}: {result.stamp.split} split, protocol {result.stamp.protocol}, "
        f"{result.runs:,} runs, {result.rows:,} checkpoints",
        caption=f"{result.stamp.bootstrap['level']:.0%} intervals: bootstrap over runs, "
        f"{result.stamp.bootstrap['resamples']:.0f} resamples"
        + (
            "; τ ceiling: what ties of the target leave to predictions without ties"
            if kind == metrics.REGRESSION
            else ""
        ),
    )
    table.add_column("task", no_wrap=True)
    for metric in shown:
        table.add_column(f"{metric.label} {'↑' if metric.higher_is_better else '↓'}", justify="right")
    if kind == metrics.REGRESSION:
        table.add_column("τ ceiling", justify="right")
    for name, task in result.tasks.items():
        if task.kind == kind:
            texts = [score_text(task.scores[metric.name]).replace(" ", "\n", 1) for metric in shown]
            if kind == metrics.REGRESSION:
                texts.append("–" if task.tau_ceiling is None else number(task.tau_ceiling))
            table.add_row(name, *texts)
    return table


def comparison_table(comparison: Comparison) -> Table:
    """Differences of every metric of every task, with the probability that A is better."""
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"A - B on {comparison.zoo}, protocol {comparison.protocol}, {comparison.runs:,} runs",
        caption="paired bootstrap over runs; P: share of resamples in which A is better",
    )
    for column in ("task", "metric", "A - B", "95 % interval", "P(A better)"):
        table.add_column(column, justify="left" if column in ("task", "metric") else "right")
    for name, differences in comparison.tasks.items():
        for metric, found in differences.items():
            texts = ["–"] * 3
            if found.value is not None and found.low is not None and found.high is not None:
                texts = [f"{found.value:+.3g}", f"[{found.low:+.3g}, {found.high:+.3g}]", f"{found.probability:.3f}"]
            table.add_row(name, metrics.BY_NAME[metric].label, *texts)
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


def task_table(described: list[tuple[Task, list[str]]]) -> Table:
    """Declared tasks, each with the repos or zoos where it makes sense."""
    table = Table(title="Tasks")
    for column in ("task", "target", "unit", "main metric", "paper", "zoos"):
        table.add_column(column)
    for task, where in described:
        table.add_row(task.name, task.description, task.unit, task.main_metric, task.paper, ", ".join(where))
    return table
