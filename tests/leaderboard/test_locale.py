"""Inherited settings: what is written has the same bytes in any locale."""

import os
import shutil
import subprocess
import sys

import pytest
import yaml

FIELDS = {
    "method": "Größen-R² → τ",
    "authors": ["Ada Łukasiewicz", "李明"],
    "description": "Text of many scripts: ελληνικά, ру́сский, 日本語, 🏆.",
    "training_data": "same-zoo",
    "validation_labels": "selection",
}
PLAIN = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def zoobench(*arguments, **settings):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))} | settings
    command = [sys.executable, "-m", "zoobench", "leaderboard", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, check=False)


@pytest.fixture
def of_eight_bits(tmp_path):
    """Settings of a locale in ISO 8859-1."""
    if shutil.which("localedef") is None:
        pytest.skip("no localedef here")
    folder = tmp_path / "locales"
    folder.mkdir()
    made = ["localedef", "-i", "en_US", "-f", "ISO-8859-1", "--no-archive", str(folder / "en_US.ISO-8859-1")]
    subprocess.run(made, check=False, capture_output=True)
    if not (folder / "en_US.ISO-8859-1").exists():
        pytest.skip("no sources of locales here")
    return PLAIN | {"LC_ALL": "en_US.ISO-8859-1", "LANG": "en_US.ISO-8859-1", "LOCPATH": str(folder)}


def test_results_and_page_are_the_same_bytes_in_any_locale(board, tmp_path, of_eight_bits):
    description = board / "submissions" / "linear-w" / "submission.yaml"
    description.write_bytes(yaml.safe_dump(FIELDS, allow_unicode=True).encode())
    found = {}
    for name, settings in {"utf-8": {"LC_ALL": "C.UTF-8"}, "plain": PLAIN, "eight bits": of_eight_bits}.items():
        own = shutil.copytree(board, tmp_path / name / "board")
        scored = zoobench("score", "--dir", own, **settings)
        assert (scored.returncode, scored.stderr) == (0, b"")
        page = zoobench("page", "--dir", own, "--space", own / "space", "--out", own / "index.html", **settings)
        assert (page.returncode, page.stderr) == (0, b"")
        made = zoobench("new", "another", "--dir", own, **settings)
        assert (made.returncode, made.stderr) == (0, b"")
        found[name] = {path.relative_to(own): path.read_bytes() for path in own.rglob("*") if path.is_file()}
    results = {path for path in found["utf-8"] if path.suffix != ".parquet"}
    assert any(path.name == "linear-w.json" for path in results)
    for name in ("plain", "eight bits"):
        assert {path: found[name].get(path) for path in found["utf-8"]} == found["utf-8"]
        assert found[name].keys() == found["utf-8"].keys()
    for text in (FIELDS["method"], *FIELDS["authors"]):
        assert text.encode() in next(content for path, content in found["plain"].items() if path.name == "index.html")


def test_the_eight_bit_locale_is_one(of_eight_bits):
    """Else the test above would see UTF-8 three times."""
    ask = "import locale; print(locale.getpreferredencoding(False))"
    for settings, encoding in ((of_eight_bits, b"ISO-8859-1"), (PLAIN, b"ANSI_X3.4-1968")):
        done = subprocess.run([sys.executable, "-c", ask], env=os.environ | settings, capture_output=True, check=True)
        assert done.stdout.strip().upper() == encoding
