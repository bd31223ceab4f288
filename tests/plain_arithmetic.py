"""A process in which NumPy and torch use no vector instructions but those that they were built on."""

from __future__ import annotations

import os
import subprocess
import sys

from numpy._core._multiarray_umath import __cpu_dispatch__  # type: ignore[import-not-found]

PLAIN = {"NPY_DISABLE_CPU_FEATURES": " ".join(__cpu_dispatch__), "ATEN_CPU_CAPABILITY": "default"}


def run_plainly(code: str) -> None:
    """Raises where the code does; NumPy warns of instructions that this machine lacks anyway."""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], env={**os.environ, **PLAIN}, check=True)
