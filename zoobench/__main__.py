"""``python -m zoobench``: the command line."""

from .cli import main

main()
