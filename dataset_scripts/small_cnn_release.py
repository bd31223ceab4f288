"""The release of the Small CNN Zoo (Unterthiner et al. 2020): ``weights.npy``, ``metrics.csv.gz``, ``layout.csv``.

One archive per image data set. Rows are checkpoints; ``layout.csv`` says where each TensorFlow variable stands in a
row, and its shape: kernels are (height, width, in, out) or (in, out), PyTorch's are (out, in, height, width) or
(out, in).
"""

from __future__ import annotations

import ast
import gzip
import io
import lzma
import math
import random
import shutil
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from zoobench import zoos
from zoobench.data.manifest import ConfigManifest, OriginalFile, ReleaseEntry, original_file
from zoobench.errors import ZoobenchError, did_you_mean
from zoobench.publishing.releases import OnRows, Release, Weights, work_folder, write_release
from zoobench.zoos.layout import Layer, layout_of

from . import names

FILES = ("weights.npy", "metrics.csv.gz", "layout.csv")
_ZOO_OF = {
    "mnist": "small-cnn-zoo/mnist",
    "fashion_mnist": "small-cnn-zoo/fashion_mnist",
    "cifar10": "small-cnn-zoo/cifar10",
    "svhn_cropped": "small-cnn-zoo/svhn",
    "svhn": "small-cnn-zoo/svhn",
}
_COLUMNS = {
    "modeldir": "run_id",
    "step": "epoch",
    "config.activation": "activation",
    "config.w_init": "init",
    "config.optimizer": "optimizer",
    "config.learning_rate": "learning_rate",
    "config.l2reg": "weight_decay",
    "config.dropout": "dropout",
    "config.train_fraction": "train_fraction",
    "config.init_std": "init_std",
    "config.random_seed": "seed",
    "train_accuracy": "train_accuracy",
    "test_accuracy": "test_accuracy",
    "train_loss": "train_loss",
    "test_loss": "test_loss",
}
_BATCH_SIZE = 512
_NOTES = (
    f"The batch size is not in the files; {_BATCH_SIZE} is the paper's.",
    "`generalization_gap` is rounded to six decimals, since the released accuracies are single precision.",
    "Losses are as released; whether they include the L2 term is not said.",
    "Initialisers have their PyTorch names: glorot is xavier, he is kaiming.",
    "The paper trains with Adam for 18 epochs; the release varies the optimizer and stores epochs up to 86.",
)
_NFN_STEP = 86
_BROKEN = (EOFError, lzma.LZMAError, tarfile.TarError, zlib.error, gzip.BadGzipFile)
# A line of metrics.csv has some 400 bytes, one of a permutation at most 20: what is longer is no file of a release.
_METRICS_LINE, _INDEX_LINE = 4096, 32
_LAYOUT_BYTES = 1 << 20


def import_small_cnn_zoo(
    source: Path, out: Path, nfn_split: Path | None = None, on_rows: OnRows | None = None, *, replace: bool = False
) -> tuple[Path, ConfigManifest]:
    """Import one archive of the release as ``out/small-cnn-zoo``, config by the data set that it names.

    Args:
        source: the ``.tar.xz`` archive, or the folder with its three files.
        out: parent of the dataset folder.
        nfn_split: the permutation of later papers, one row index per line; adds the protocol ``nfn``.
        on_rows: told (checkpoints written, checkpoints in all).
        replace: take the place of what was imported from other files before.

    Raises:
        ZoobenchError: a missing or broken file, a missing column, a layout that is not that of the network, a row
            count that differs, values out of range.
    """
    with work_folder(out, "small-cnn-zoo") as work:
        if source.is_file():
            files, origin = _extract(source, work), [original_file(source)]
        else:
            files = _found(source)
            origin = [original_file(path) for path in files.values()]
        release = read_small_cnn_zoo(files, origin, nfn_split)
        return write_release(release, out, work, on_rows, replace=replace)


def _found(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise ZoobenchError(f"no file or folder {folder}; give the .tar.xz archive or the folder extracted from it")
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ZoobenchError(f"no {', '.join(missing)} in {folder}; the release has {', '.join(FILES)}")
    return {name: folder / name for name in FILES}


def _extract(archive: Path, work: Path) -> dict[str, Path]:
    """Extract the three files into the work folder, whatever folder they are in."""
    files = {}
    try:
        with tarfile.open(archive, "r|*") as members:
            for member in members:
                name = Path(member.name).name
                content = members.extractfile(member) if name in FILES else None
                if content is None:
                    continue
                if name in files:
                    raise ZoobenchError(f"{archive} has {name} twice; extract one data set and give its folder")
                free = shutil.disk_usage(work).free
                if member.issparse() or member.size > free:
                    raise ZoobenchError(f"{name} of {archive} takes {member.size:,} bytes; {free:,} are free in {work}")
                files[name] = work / name
                with files[name].open("wb") as target:
                    shutil.copyfileobj(content, target, 1 << 20)
    except _BROKEN as error:
        raise ZoobenchError(f"{archive} is truncated or no tar archive ({error}); download it again") from error
    missing = [name for name in FILES if name not in files]
    if missing:
        raise ZoobenchError(f"no {', '.join(missing)} in {archive}; the release has {', '.join(FILES)}")
    return files


def read_small_cnn_zoo(files: dict[str, Path], origin: Sequence[OriginalFile], nfn_split: Path | None) -> Release:
    """Read labels and layout; the weights stay on disk until their rows are asked for."""
    rows, width = _open(files["weights.npy"]).shape
    metrics = _metrics(files["metrics.csv.gz"], rows)
    zoo = zoos.resolve(_zoo_name(files["metrics.csv.gz"], metrics))
    if rows != len(metrics):
        raise ZoobenchError(f"weights.npy has {rows:,} rows, metrics.csv.gz {len(metrics):,}; they are not one archive")
    index = _layout_index(files["layout.csv"], layout_of(zoo.spec.network).layers, width)
    labels = metrics[list(_COLUMNS)].rename(columns=_COLUMNS)
    labels["run_id"] = labels["run_id"].astype("string").str.rstrip("/")
    labels["init"] = [names.init(name) if isinstance(name, str) else name for name in labels["init"]]
    labels["batch_size"] = _BATCH_SIZE
    protocols = {} if nfn_split is None else {"nfn": _nfn(nfn_split, labels["epoch"].to_numpy())}
    entry = ReleaseEntry(format="small-cnn-zoo", files=list(origin), rows=rows, notes=list(_NOTES))
    return Release(zoo, entry, labels, _fetch(files["weights.npy"], index), protocols=protocols)


def _metrics(path: Path, rows: int) -> pd.DataFrame:
    """The table; no more of it is unpacked than ``rows`` lines can take."""
    limit = (rows + 1) * _METRICS_LINE
    try:
        with gzip.open(path) as file:
            content = file.read(limit + 1)
        if len(content) > limit:
            raise ZoobenchError(f"{path.name} unpacks to more than {limit:,} bytes, too many for {rows:,} rows")
        columns = pd.read_csv(io.BytesIO(content), nrows=0).columns
        missing = [name for name in ("config.dataset", *_COLUMNS) if name not in columns]
        if missing:
            raise ZoobenchError(f"{path.name} has no column {', '.join(missing)}; it has: {', '.join(columns)}")
        return pd.read_csv(io.BytesIO(content), usecols=["config.dataset", *_COLUMNS])
    except (*_BROKEN, ValueError, OverflowError, MemoryError) as error:
        raise ZoobenchError(f"{path} cannot be read ({str(error).splitlines()[0]}); download it again") from error


def _zoo_name(path: Path, metrics: pd.DataFrame) -> str:
    found = metrics["config.dataset"].unique().tolist()
    if len(found) != 1:
        raise ZoobenchError(f"{path.name} names {len(found)} data sets {found[:4]}; an archive of the release has one")
    name = str(found[0])
    zoo = zoo_of(name)
    if zoo is None:
        raise ZoobenchError(f"{path.name} names the data set {name!r}{did_you_mean(name, _ZOO_OF)}")
    return zoo


def zoo_of(dataset: str) -> str | None:
    """The zoo of networks for an image data set, by its name in TensorFlow Datasets."""
    return _ZOO_OF.get(dataset)


def _open(path: Path) -> np.memmap:
    try:
        weights: np.memmap = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OverflowError, MemoryError, SyntaxError) as error:
        raise ZoobenchError(f"{path} is truncated or no .npy file ({error}); download it again") from error
    if weights.ndim != 2 or weights.dtype.kind != "f":
        raise ZoobenchError(f"{path} holds {weights.dtype} of shape {weights.shape}, not rows of float weights")
    if not weights.flags.c_contiguous:
        raise ZoobenchError(f"{path} is in Fortran order; save np.ascontiguousarray of it")
    return weights


def _fetch(path: Path, index: np.ndarray) -> Weights:
    mapped = _open(path)
    offset, dtype, (_, width) = mapped.offset, mapped.dtype, mapped.shape
    del mapped

    def fetch(rows: np.ndarray) -> np.ndarray:
        # Row by row into place: a map of rows in no order would draw most of the file into this process's memory.
        block = np.empty((len(rows), width), dtype)
        with path.open("rb", buffering=0) as file:
            for row, target in zip(rows.tolist(), block, strict=True):
                file.seek(offset + row * block.strides[0])
                if file.readinto(memoryview(target).cast("B")) != block.strides[0]:
                    raise ZoobenchError(f"{path} became shorter while it was read")
        return np.asarray(block, dtype=np.float32).take(index, axis=1)

    return fetch


def _layout_index(path: Path, layers: Sequence[Layer], width: int) -> np.ndarray:
    """int64 (N,): where each weight of the layout stands in a row of the release.

    Layers are matched in the order of the file's columns; the names before ``/kernel:0`` and ``/bias:0`` pair a
    kernel with its bias, whichever comes first.

    Raises:
        ZoobenchError: gaps or overlaps, a size that is not the shape's, shapes that are not the network's.
    """
    found = _released_layers(path, width)
    if len(found) != len(layers):
        raise ZoobenchError(f"{path.name} has {len(found)} layers ({', '.join(found)}), the network {len(layers)}")
    index = np.empty(width, np.int64)
    for (name, parts), layer in zip(found.items(), layers, strict=True):
        turned = {part: to_pytorch(columns) for part, columns in parts.items()}
        wanted = {"kernel": layer.weight, "bias": layer.bias}
        for part, tensor in wanted.items():
            if tensor is None or part not in turned or turned[part].shape != tensor.shape:
                has = {part: columns.shape for part, columns in parts.items()}
                shape = tensor.shape if tensor else None
                raise ZoobenchError(
                    f"{path.name}: {name} has {has}; the {part} of {layer.name} must be {shape} in PyTorch's order"
                )
            index[tensor.slice] = turned[part].ravel()
    return index


def _released_layers(path: Path, width: int) -> dict[str, dict[str, np.ndarray]]:
    """Column numbers of every variable, in its shape: layer -> {"kernel", "bias"}, layers in column order."""
    try:
        if path.stat().st_size > _LAYOUT_BYTES:
            raise ValueError(f"{path.stat().st_size:,} bytes")
        frame = pd.read_csv(path)
        columns = zip(*(frame[name] for name in ("start_idx", "end_idx", "varname", "shape")), strict=True)
        variables = sorted((int(start), int(stop), str(name), _shape(str(text))) for start, stop, name, text in columns)
    except (ValueError, TypeError, SyntaxError, KeyError, OverflowError, MemoryError, RecursionError) as error:
        raise ZoobenchError(
            f"{path.name} cannot be read ({error}); it should have varname, start_idx, end_idx, shape"
        ) from error
    end = 0
    for start, stop, name, shape in variables:
        if start != end or stop - start != math.prod(shape) or min(shape, default=1) < 0:
            raise ZoobenchError(
                f"{path.name}: {name} of shape {shape} takes columns {start:,} to {stop:,}, after one that ends at "
                f"{end:,}; the layout has a gap, an overlap or a wrong size"
            )
        end = stop
    if end != width:
        raise ZoobenchError(f"{path.name} sums to {end:,} weights, a row of weights.npy has {width:,}")
    layers: dict[str, dict[str, np.ndarray]] = {}
    for start, stop, name, shape in variables:
        layer, _, part = name.removesuffix(":0").rpartition("/")
        layers.setdefault(layer, {})[part] = np.arange(start, stop).reshape(shape)
    return layers


def to_pytorch(kernel: np.ndarray) -> np.ndarray:
    """(height, width, in, out) -> (out, in, height, width); (in, out) -> (out, in); a bias stays."""
    if kernel.ndim < 2:
        return kernel
    return np.moveaxis(kernel, (-1, -2), (0, 1))


def _shape(text: str) -> tuple[int, ...]:
    value = ast.literal_eval(text)
    return tuple(int(side) for side in (value if isinstance(value, tuple | list) else (value,)))


def _nfn(path: Path, epochs: np.ndarray) -> pd.DataFrame:
    """The split that later papers use, from the permutation that they publish.

    As in their code: the lines in order, the header ``0`` read as a row like the others; of those rows the ones of
    epoch 86; the second half is the test set, and the first half, shuffled by ``random.Random(0)``, is train (80 %)
    and validation. Row 0 thus comes twice if it is of epoch 86.

    Raises:
        ZoobenchError: not one index per line, or a permutation of another archive.
    """
    rows = len(epochs)
    try:
        if path.stat().st_size > (rows + 2) * _INDEX_LINE:
            raise ValueError(f"{path.stat().st_size:,} bytes, too many for {rows:,} rows")
        lines = [int(float(line)) for line in path.read_text(encoding="utf-8").split()]
    except (OSError, ValueError, OverflowError) as error:
        raise ZoobenchError(f"cannot read the permutation {path} ({error}); it has one row index per line") from error
    wrong = next((row for row in lines if not 0 <= row < rows), None)
    counts = np.bincount(lines if wrong is None else [], minlength=rows)
    if wrong is not None or (counts[1:] != 1).any() or counts[0] not in (1, 2):
        found = f" (it has row {wrong})" if wrong is not None else ""
        raise ZoobenchError(f"{path} is no permutation of the {rows:,} rows of this archive{found}")
    order = np.array(lines, dtype=np.int64)
    final = order[epochs[order] == _NFN_STEP]
    half = int(0.5 * len(final))
    first = list(range(half))
    train_rows = int(0.8 * half)
    random.Random(0).shuffle(first)
    split = np.full(len(final), "test", dtype=object)
    split[first[:train_rows]] = "train"
    split[first[train_rows:]] = "validation"
    return pd.DataFrame({"row": final, "split": split})
