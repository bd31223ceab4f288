"""``python -m tests.kills``: stop every verb at every call; write the table of docs/reliability.md. An hour or two."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .calls import FULL, KILL
from .points import Bench, Counts, place
from .verbs import VERBS, Verb

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
_WORKERS = 2
# A full disk ends a verb as a kill does, but for the line that it says: every fifth call will do.
_FULL_AT_EVERY = 5
_HEAD = (
    "| verb | calls | killed | same bytes after | left-overs | others harmed "
    "| full disk | one line | same bytes after | left-overs |\n|---|" + "---:|" * 9
)


def counted(verb: Verb) -> tuple[Counts, Counts | None]:
    with place() as where:
        bench = Bench(verb, where)
        killed = bench.stop(KILL, range(1, bench.number + 1))
        full = None if verb.hub else bench.stop(FULL, range(1, bench.number + 1, _FULL_AT_EVERY))
    for how, counts in (("killed", killed), ("disk full", full)):
        for point, said in (counts.said if counts else {}).items():
            print(f"{verb.name}, {how} at {point}: {said}", file=sys.stderr, flush=True)
    print(row(verb, killed, full), flush=True)
    return killed, full


def row(verb: Verb, killed: Counts, full: Counts | None) -> str:
    cells: list[object] = [killed.calls, len(killed.stopped), len(killed.same), len(killed.left), len(killed.harmed)]
    if full:
        cells += [len(full.stopped), len(full.stopped) - len(full.wrong_end), len(full.same), len(full.left)]
    return f"| {verb.name} | " + " | ".join(map(str, cells)) + " |" * (1 if full else 5)


def main() -> None:
    """Replace the table between the marks; given names of verbs, only print their rows."""
    if names := set(sys.argv[1:]):
        for verb in VERBS:
            if verb.name in names:
                counted(verb)
        return
    with ThreadPoolExecutor(_WORKERS) as pool:
        found = list(pool.map(counted, VERBS))
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], text=True).strip()
    table = "\n".join([_HEAD, *(row(verb, *counts) for verb, counts in zip(VERBS, found, strict=True))])
    text = DOCUMENT.read_text(encoding="utf-8")
    begin, end = "<!-- counts -->\n", "<!-- end -->"
    fresh = f"{begin}`make reliability`, commit {commit}:\n\n{table}\n\n{end}"
    DOCUMENT.write_text(re.sub(f"{begin}.*{end}", lambda _: fresh, text, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main()
