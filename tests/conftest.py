"""Shared parts: the command line in-process, images, and zoos built once per test session."""

from __future__ import annotations

import atexit
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from zoobench import cli
from zoobench.building.build import build
from zoobench.training.images import Images, load_images
from zoobench.zoos import Zoo, resolve
from zoobench.zoos.sources import CIFAR10, FASHION_MNIST, MNIST, SVHN, USPS
from zoobench.zoos.spec import HubImages

# Decoded images and compiled code go to a cache of this session, which its workers share, not to the user's.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="zoobench-tests-")
    atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)
# Read where huggingface_hub is imported first; it would try for 23 seconds otherwise.
os.environ["HF_HUB_OFFLINE"] = "1"
# What tests ask is on this machine, whatever proxy the user has.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"

SHARED_IMAGES = Path(__file__).resolve().parents[2] / "shared" / "images"


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


CommandLine = Callable[..., Outcome]
Once = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(autouse=True)
def _no_ambient_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests see neither the user's zoos nor the network, nor a width of the terminal that runs them."""
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("ZOOBENCH_DATA", str(tmp_path_factory.getbasetemp() / "no-zoos"))
    monkeypatch.delenv("ZOOBENCH_IMAGES", raising=False)


@pytest.fixture
def zoobench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """Run the command line in this process: ``zoobench("evaluate", "--predictions", path)``."""

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["zoobench", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        code = stop.value.code
        return Outcome(code if isinstance(code, int) else 0, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """``once(name, make)``: a folder that ``make`` has filled, in whichever worker of this session came first.

    The others wait for it; all of them only read it.
    """
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = shared / "once" / name, shared / "once" / f"{name}.done"
        folder.parent.mkdir(exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def all_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all five image data sets: the real ones beside the checkout where they exist, and in the place of
    those that do not (SVHN always) scikit-learn's digits, resized and coloured as theirs are."""
    folder = tmp_path_factory.mktemp("images")
    for source, side, colours in (
        (MNIST, 28, 1),
        (FASHION_MNIST, 28, 1),
        (USPS, 16, 1),
        (CIFAR10, 32, 3),
        (SVHN, 32, 3),
    ):
        if (SHARED_IMAGES / source.folder).is_dir():
            (folder / source.folder).symlink_to(SHARED_IMAGES / source.folder)
        else:
            write_digits(folder, source, side, colours)
    return folder


@pytest.fixture(scope="session")
def images_folder(all_images: Path) -> Path:
    """The same folder, for tests that want MNIST only."""
    return all_images


def write_digits(folder: Path, source: HubImages = MNIST, side: int = 28, colours: int = 1) -> Path:
    """Lay scikit-learn's 8x8 digits out as an image data set: PNGs in parquet, with its column names."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    rows = []
    for image, label in zip(digits.images, digits.target, strict=True):
        grey = Image.fromarray((image * 15.9375).astype(np.uint8)).resize((side, side))
        encoded = io.BytesIO()
        (grey.convert("RGB") if colours == 3 else grey).save(encoded, "PNG")
        rows.append({source.image_column: {"bytes": encoded.getvalue(), "path": None}, "label": int(label)})
    (folder / source.folder).mkdir(parents=True)
    for part, chosen in (("train", rows[:1300]), ("test", rows[1300:])):
        pq.write_table(pa.Table.from_pylist(chosen), folder / source.folder / f"{part}-00000-of-00001.parquet")
    return folder


@pytest.fixture(scope="session")
def tetris_images() -> Images:
    zoo = resolve("tetris-zoo-tiny/seed")
    return load_images(zoo.spec, zoo.size)


@pytest.fixture(scope="session")
def tiny_home(once: Once) -> Path:
    """A data home that holds ``tetris-zoo-tiny/seed``."""
    return once("tiny-home", lambda home: build(resolve("tetris-zoo-tiny/seed"), home))


@pytest.fixture
def tiny(tiny_home: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    """The zoo ``tetris-zoo-tiny/seed``, found through ``ZOOBENCH_DATA``."""
    monkeypatch.setenv("ZOOBENCH_DATA", str(tiny_home))
    return resolve("tetris-zoo-tiny/seed")


@pytest.fixture(scope="session")
def tiny_hyp_home(once: Once) -> Path:
    """A data home that holds ``tetris-zoo-tiny/hyp``: two activations, every configuration with two seeds."""
    return once("tiny-hyp-home", lambda home: build(resolve("tetris-zoo-tiny/hyp"), home))


@pytest.fixture
def tiny_hyp(tiny_hyp_home: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    """The zoo ``tetris-zoo-tiny/hyp``, found through ``ZOOBENCH_DATA``."""
    monkeypatch.setenv("ZOOBENCH_DATA", str(tiny_hyp_home))
    return resolve("tetris-zoo-tiny/hyp")


@dataclass(frozen=True)
class Quickstart:
    """The folders of one real ``zoobench quickstart`` run and what it printed."""

    data: Path
    hub_cache: Path
    out: Path
    printed: str

    def environment(self, **more: str) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "ZOOBENCH_"))}
        return kept | {"ZOOBENCH_DATA": str(self.data), "HF_HOME": str(self.hub_cache)} | more


@pytest.fixture(scope="session")
def quickstart(once: Once) -> Quickstart:
    """Run ``zoobench quickstart`` once, in a process of its own: the Tetris zoo at full scale and four baselines."""

    def at(root: Path) -> Quickstart:
        printed = root / "printed.txt"
        return Quickstart(root / "data", root / "hf", root / "out", printed.read_text() if printed.exists() else "")

    def make(root: Path) -> None:
        run = at(root)
        command = [sys.executable, "-m", "zoobench", "quickstart", "--out", str(run.out)]
        done = subprocess.run(command, env=run.environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        (root / "printed.txt").write_text(done.stdout)

    return at(once("quickstart", make))
