"""The metrics as modules of the ``evaluate`` library, so that a Trainer's loop scores with the harness's numbers.

One folder per metric, ``zoobench_r2`` to ``zoobench_macro_f1``, each with a script of a few lines over ``base``. This
file needs no ``evaluate``; whoever loads a module has it: ``pip install 'zoobench[evaluate]'``.
"""

from __future__ import annotations

from pathlib import Path


def folder() -> str:
    """Where the modules are installed: ``evaluate.load(f"{folder()}/zoobench_r2")``."""
    return str(Path(__file__).resolve().parent)
