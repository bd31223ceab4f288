"""``python -m zoobench``: the command line."""

import sys
from pathlib import Path

# `python -m` looks for modules in the current folder first, where a `yaml.py` may be anything.
if not sys.flags.safe_path and Path(sys.path[0]) != Path(__file__).parents[1]:
    del sys.path[0]

from .cli import main

main()
