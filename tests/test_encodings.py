"""Every text file is UTF-8, whatever the locale: all that reads or writes text says so."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("zoobench", "baselines", "dataset_scripts", "leaderboard", "reproductions", "benchmarks")
# How many arguments these have in front of `encoding`.
BEFORE = {"read_text": 0, "write_text": 1}
PROCESSES = {"run", "Popen", "check_output", "check_call", "call"}
# Those whose `open` gives bytes where no mode is given.
OF_BYTES = {"os", "gzip", "tarfile", "archive", "Image"}


def of_the_locale(code):
    """Lines of calls that read or write text in the locale's encoding."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and _is_of_the_locale(node):
            yield node.lineno


def _is_of_the_locale(call):
    owner = getattr(getattr(call.func, "value", None), "id", None)
    name = getattr(call.func, "attr", None) or getattr(call.func, "id", "")
    options = {keyword.arg: getattr(keyword.value, "value", None) for keyword in call.keywords}
    if "encoding" in options:
        return False
    if name in BEFORE:
        return len(call.args) <= BEFORE[name]
    if name in PROCESSES:
        return bool(options.get("text") or options.get("universal_newlines"))
    if name == "open":
        # A path's method has the mode first; a function has the path first, which may be a string, too.
        places = call.args[isinstance(call.func, ast.Name) or owner in OF_BYTES :]
        given = [place.value for place in places if isinstance(getattr(place, "value", None), str)]
        mode = options.get("mode") or next(iter(given), "rb" if owner in OF_BYTES else "r")
        return "t" in mode or not ("b" in mode or owner in OF_BYTES)
    return name == "TextIOWrapper"


@pytest.mark.parametrize("room", ROOMS)
def test_no_text_is_read_or_written_in_the_encoding_of_the_locale(room):
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    found = [
        f"{path.relative_to(ROOT)}:{line}" for path in files for line in of_the_locale(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("code", "bad"),
    [
        ("path.read_text()", True),
        ("path.read_text('utf-8')", False),
        ("path.read_text(encoding='utf-8')", False),
        ("path.write_text(x)", True),
        ("path.write_text(x, encoding='utf-8')", False),
        ("open(path)", True),
        ("open(path, 'w')", True),
        ("open(path, 'rb')", False),
        ("path.open()", True),
        ("path.open('w')", True),
        ("path.open(mode='wb')", False),
        ("gzip.open(path, 'wt')", True),
        ("gzip.open(path)", False),
        ("tarfile.open(path, 'r|*')", False),
        ("subprocess.run(x, text=True)", True),
        ("subprocess.run(x)", False),
        ("io.TextIOWrapper(x)", True),
    ],
)
def test_calls_in_the_encoding_of_the_locale_are_seen(code, bad):
    assert list(of_the_locale(code)) == [1] * bad
