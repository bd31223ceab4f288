"""The house: what a declaration needs, and what scoring and the command line load. Floors: `lint-imports`."""

import ast
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

DECLARATIONS = Path(__file__).resolve().parents[1] / "zoobench" / "zoos"
# What is read off the declarations.
READERS = {"__init__.py", "hashing.py", "layout.py", "runs.py", "splits.py"}


def imported(path):
    """Top-level names that a file imports, anywhere in it, but for its siblings."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level != 1:
            yield (node.module or "").split(".")[0]


def test_declarations_import_declarations_only():
    files = [path for path in DECLARATIONS.glob("*.py") if path.name not in READERS]
    assert len(files) > 5
    for path in files:
        assert set(imported(path)) <= {"__future__", "dataclasses", "distributions", "errors", "typing"}


@pytest.mark.parametrize(
    "modules",
    [
        "zoobench.scoring.harness",
        "zoobench.cli",
        "zoobench.data.hub",
        "zoobench_leaderboard.score",
        "zoobench_leaderboard.page",
        # Every start of the command line loads these.
        *(point.module for point in entry_points(group="zoobench.commands")),
    ],
)
def test_scoring_needs_no_heavy_library(modules):
    code = (
        f"import sys, {modules}; "
        "heavy = ('torch', 'transformers', 'sklearn', 'scipy', 'lightgbm', 'datasets', 'ray', 'numba'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_command_line_starts_without_tables_and_numbers():
    code = (
        "import sys; from zoobench.cli import main; sys.argv = ['zoobench', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([name for name in ('numpy', 'pandas', 'pyarrow', 'pydantic', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
