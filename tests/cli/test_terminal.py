"""Tables at every width: no number is cut or broken, and names are text, whatever they hold."""

import dataclasses
import io
import re

import numpy as np
import pandas as pd
import pytest

from zoobench.cli import tables
from zoobench.cli.terminal import TableConsole, console
from zoobench.data import hub
from zoobench.scoring.compare import compare
from zoobench.scoring.harness import evaluate
from zoobench.weightspace.embeddings import Separation

WIDTHS = [40, 60, 80, 100, 240]
NUMBER = re.compile(r"[-+]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]\d+)?")


def rendered(table, width, encoding="utf-8"):
    output = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    TableConsole(file=output, width=width, markup=False, emoji=False).print(table)
    output.flush()
    return output.buffer.getvalue().decode(encoding)


@pytest.fixture(scope="module")
def results(tiny_hyp_home, tiny_home):
    """A result with all that tables show: long names, references, seeds, changes, matrices and averages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOOBENCH_DATA", str(tiny_hyp_home))
        from zoobench.zoos import resolve

        zoo = resolve("tetris-zoo-tiny/hyp")
        labels = hub.load_labels(zoo, "test").frame
        rng = np.random.default_rng(0)
        frame = pd.DataFrame({"zoo": zoo.id, "example_id": labels["example_id"], "activation": labels["activation"]})
        for name, column in (("accuracy", "test_accuracy"), ("generalization_gap",) * 2, ("epoch", "epoch")):
            frame[name] = 3e30 * rng.normal(size=len(labels)) if name == "epoch" else labels[column] - 0.01
        away = frame.assign(trained_on="tetris-zoo-tiny/seed")
        perturbed = pd.concat(
            [frame.assign(perturbation=name) for name in ("scale-2", "first-layers-permutation-mixed")]
        )
        both = [perturbed.assign(trained_on=name) for name in (zoo.id, "tetris-zoo-tiny/seed")]
        result = evaluate([frame, away], against=pd.concat(both))
        return result, compare(frame, frame.assign(accuracy=frame["accuracy"] * 0.5))


def all_tables(results):
    result, comparisons = results
    found = {f"result-{k}": table for k, table in enumerate(tables.result_tables(result))}
    found |= {f"comparison-{k}": tables.comparison_table(one) for k, one in enumerate(comparisons)}
    found["separation"] = tables.separation_table("zoo", {"W" * 60: Separation(12_345, 75_146, 0.123, 4.56e-7, 0.9, 1)})
    return found


def numbers(table):
    """Every number in a cell of numbers: columns that are aligned to the right."""
    cells = [cell for column in table.columns if column.justify == "right" for cell in column.cells]
    return [number for cell in cells for number in NUMBER.findall(cell)]


def words(text):
    return {word.strip("[],%") for word in re.split(r"[\s┃│]+", text)}


@pytest.mark.parametrize("width", WIDTHS)
def test_every_number_of_every_table_is_whole_at_every_width(width, results):
    for name, table in all_tables(results).items():
        shown = rendered(table, width)
        missing = set(numbers(table)) - {word for found in words(shown) for word in (found, found.lstrip("±"))}
        assert not missing, (name, shown)
        assert max(map(len, shown.splitlines())) <= width, (name, shown)
        assert "…" not in shown
    assert len(all_tables(results)) >= 10


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("verb", ["zoos", "tasks"])
def test_verbs_keep_to_the_width_that_columns_says(verb, width, zoobench, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    shown = zoobench(verb).out
    assert max(map(len, shown.splitlines())) <= width
    for number in ("75,146", "269,973", "30,000") if verb == "zoos" else ("2020,", "2021,"):
        assert number in shown.replace("│", " ").split()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_board_with_long_names_is_whole(width, results):
    from rich.table import Table

    table = Table()
    table.add_column("#", justify="right")
    table.add_column("submission", no_wrap=True)
    table.add_column("mean", justify="right")
    for task in range(20):
        table.add_column(f"task {task}", justify="right")
    table.add_row("1", "a-very-long-name-" * 12, "-12.345", *(f"{task}.000{task}" for task in range(20)))
    shown = rendered(table, width)
    assert set(numbers(table)) <= words(shown)
    # What a row is about stands in each of the tables.
    assert shown.count("-12.345") == 1
    assert shown.replace("\n", "").count("submission") == shown.count("#") >= 1


def test_a_table_that_fits_is_left_as_it_is(results):
    table = all_tables(results)["separation"]
    assert rendered(table, 240).count("embedding ") == 1
    assert rendered(table, 60).count("embedding ") > 1


def test_names_that_look_like_markup_or_hold_escapes_are_text(results):
    hostile = "\x1b[31mred\x1b[0m[bold]b[/bold]:smile: \u202eltr\r"
    result, _ = results
    part = result.results[0].model_copy(update={"zoo": hostile, "references": []})
    shown = rendered(tables.result_tables(result.model_copy(update={"results": [part]}))[0], 240)
    assert "\\x1b[31mred\\x1b[0m[bold]b[/bold]:smile: \\u202eltr\\r" in " ".join(shown.split())
    assert all(line.isprintable() for line in shown.splitlines())
    comparison = dataclasses.replace(results[1][0], zoo=hostile)
    assert "\x1b" not in rendered(tables.comparison_table(comparison), 80)


def test_letters_that_an_encoding_lacks_have_names(results):
    shown = rendered(all_tables(results)["comparison-0"], 240, "ascii")
    assert {"tau-b", "rho", "R2", "MSE"} <= set(shown.replace("|", " ").split())


def test_without_a_terminal_a_table_is_wide_unless_columns_says_otherwise(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert console().width == 240
    monkeypatch.setenv("COLUMNS", "80")
    assert console().width == 80
