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


def run(settings, *arguments):
    command = [sys.executable, "-m", "zoobench", "leaderboard", *map(str, arguments)]
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


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
    for name, settings in {"UTF-8": {"LC_ALL": "C.UTF-8"}, "plain": PLAIN, "eight bits": of_eight_bits}.items():
        own = shutil.copytree(board, tmp_path / name / "board")
        run(settings, "score", "--dir", own)
        run(settings, "page", "--dir", own, "--space", own / "space", "--out", own / "index.html")
        found[name] = {path.relative_to(own).as_posix(): path.read_bytes() for path in own.rglob("*") if path.is_file()}
    assert {"results/linear-w.json", "index.html", "space/README.md"} <= found["UTF-8"].keys()
    assert found["plain"] == found["UTF-8"]
    assert found["eight bits"] == found["UTF-8"]
    for text in (FIELDS["method"], *FIELDS["authors"]):
        assert text.encode() in found["plain"]["index.html"]
        assert text.encode() in found["plain"]["results/linear-w.json"]


def test_the_eight_bit_locale_is_one(of_eight_bits):
    """Else the test above would see UTF-8 three times."""
    ask = "import locale; print(locale.getpreferredencoding(False))"
    done = subprocess.run([sys.executable, "-c", ask], env=os.environ | of_eight_bits, capture_output=True, check=True)
    assert done.stdout.strip().upper() == b"ISO-8859-1"
