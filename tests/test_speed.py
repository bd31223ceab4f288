"""What is said to be fast still is: ratios of one run, with bounds far below those in docs/benchmarks.md."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("name", ["population", "loading", "features", "scoring", "hyperrep", "startup"])
def test_ratios_stay_above_their_guards(name):
    command = [sys.executable, "-m", "benchmarks.bench", name, "--quick", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
