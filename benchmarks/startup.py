"""How long the command line takes to start, against the interpreter that does nothing.

python -m benchmarks.bench startup
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

from .measured import Measurement, rate_of, taking_turns


def _started(*arguments: str) -> Callable[[], float]:
    return rate_of(lambda: subprocess.run([sys.executable, *arguments], capture_output=True, check=True), 1)


def measurements(quick: bool) -> Iterator[Measurement]:
    rates = taking_turns(
        {"ours": _started("-m", "zoobench", "--help"), "nothing": _started("-c", "")}, 3 if quick else 11
    )
    yield Measurement(
        "`zoobench --help`",
        "starts/s",
        rates["ours"],
        limit="`python -c ''`",
        bound=max(rates["nothing"]),
        rate_goal=2.5,
        guard=0.05,
    )
