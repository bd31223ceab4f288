"""What `import zoobench` gives a script: typed, light, said once."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import zoobench

ROOT = Path(__file__).resolve().parents[1]
# What the design promises to scripts.
PROMISED = {"load_zoo", "evaluate", "compare", "Examples", "Predictor", "ZoobenchError", "__version__"}


def test_what_is_promised_is_there_and_shown():
    assert set(zoobench.__all__) >= PROMISED
    assert set(dir(zoobench)) >= PROMISED - {"__version__"}
    assert all(getattr(zoobench, name) is not None for name in zoobench.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="load_zo"):
        zoobench.load_zo  # noqa: B018


def test_importing_it_loads_no_numbers_and_no_tables():
    code = (
        "import sys, zoobench; dir(zoobench); "
        "print([name for name in ('numpy', 'pandas', 'pyarrow', 'pydantic', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_version_stands_in_one_place():
    assert importlib.metadata.version("zoobench") == zoobench.__version__
    assert zoobench.__version__ not in (ROOT / "pyproject.toml").read_text()
