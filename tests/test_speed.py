"""What is said to be fast still is: ratios of one run, with bounds far below those in docs/benchmarks.md."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.mark.parametrize("name", ["population", "loading", "features", "scoring", "hyperrep", "startup"])
def test_ratios_stay_above_their_guards(name):
    command = [sys.executable, BENCHMARKS / "bench.py", name, "--quick", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
