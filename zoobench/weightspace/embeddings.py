"""Looking at embeddings of networks: in two dimensions, by similarity, and in numbers.

As Figures 4 to 13 of Liu and Figure 4 of Schürholt 2021. What looks well separated is measured too: how far apart in
accuracy nearest neighbours are, and how much of the neighbourhoods a picture in two dimensions keeps.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors

from ..data import hub
from ..errors import ZoobenchError, did_you_mean
from ..files import write_atomically
from ..zoos import Zoo
from ..zoos.splits import SPLITS
from .figures import Figure, own_style, save
from .projections import plane, scatter_by, umap_plane

_NEIGHBOURS = 10
# Trustworthiness and similarity matrices are quadratic.
_MOST_ROWS = 2000
# In a legend: as many as there are colours.
_MOST_NAMES = 10
_ACCURACY = "test_accuracy"


@dataclass(frozen=True)
class Separation:
    """How well an embedding separates networks by test accuracy.

    Attributes:
        rows: networks.
        dimensions: of the embedding.
        neighbour_gap: mean absolute difference in accuracy between a network and its nearest neighbour (Euclidean) of
            another run.
        random_gap: the same with any network of another run: what no embedding at all would give.
        trustworthiness: of the picture in two dimensions, with 10 neighbours (Venna and Kaski 2001); 1 if every
            neighbour there is one in the embedding.
        explained: share of the variance that the picture shows.
    """

    rows: int
    dimensions: int
    neighbour_gap: float
    random_gap: float
    trustworthiness: float
    explained: float


def read_embeddings(path: Path) -> tuple[list[str], dict[str, np.ndarray]]:
    """Ids (rows,), and vectors (rows, D) by column name, of a parquet file as ``zoobench encode`` writes it.

    Raises:
        ZoobenchError: no such file, or no ids and vectors of finite numbers in it.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise ZoobenchError(f"cannot read embeddings {path}: {str(error).splitlines()[0]}") from error
    vectors = {name: _vectors(table[name]) for name in table.column_names if _is_list(table.schema.field(name).type)}
    if "example_id" not in table.column_names or not vectors:
        raise ZoobenchError(
            f"{path} has no example_id or no vectors of fixed length; zoobench encode writes such files"
        )
    for name, values in vectors.items():
        if not np.isfinite(values).all():
            raise ZoobenchError(f"{path}: column {name!r} holds NaN or infinite numbers")
    return table["example_id"].to_pylist(), vectors


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_list(kind) and pa.types.is_floating(kind.value_type))


def _vectors(column: pa.ChunkedArray) -> np.ndarray:
    width = column.type.list_size
    return np.asarray(column.combine_chunks().flatten().to_numpy(zero_copy_only=False), np.float64).reshape(-1, width)


def labels_of(zoo: Zoo, ids: Sequence[str]) -> pd.DataFrame:
    """The labels of networks of any split, in the order of their ids.

    Raises:
        ZoobenchError: an id that the zoo does not have.
    """
    store = hub.Store()
    everything = pd.concat([hub.load_labels(zoo, split, store).frame for split in SPLITS]).set_index("example_id")
    wanted = pd.Index(ids)
    unknown = wanted[~wanted.isin(everything.index)]
    if len(unknown):
        raise ZoobenchError(f"{zoo.id} has no network {unknown[0]!r} ({len(unknown):,} unknown ids)")
    return everything.loc[wanted]


def weights_of(zoo: Zoo, ids: Sequence[str]) -> np.ndarray:
    """The weights (rows, N) of networks of any split, in the order of their ids."""
    wanted, store = pd.Index(ids), hub.Store()
    found: np.ndarray | None = None
    for split in SPLITS:
        part = hub.load_split(zoo, split, columns=["example_id"], store=store)
        position = wanted.get_indexer(pd.Index(part.labels["example_id"]))
        if found is None:
            found = np.empty((len(wanted), part.layout.size), np.float32)
        found[position[position >= 0]] = part.weights[position >= 0]
    assert found is not None
    return found


def separation(vectors: np.ndarray, labels: pd.DataFrame) -> Separation:
    """Measure an embedding (rows, D), beside the labels of its rows."""
    accuracy, run = labels["test_accuracy"].to_numpy(), pd.factorize(labels["run_id"])[0]
    points, explained = plane(vectors)
    nearest = NearestNeighbors(n_neighbors=min(len(vectors), 1 + int(np.bincount(run).max()))).fit(vectors)
    candidates = nearest.kneighbors(vectors, return_distance=False)
    other = run[candidates] != run[:, None]
    has_one = other.any(axis=1)
    neighbour = candidates[np.arange(len(vectors)), other.argmax(axis=1)]
    gaps = np.abs(accuracy - accuracy[neighbour])[has_one]
    apart = run[:, None] != run[None, :]
    random_gap = np.abs(accuracy[:, None] - accuracy[None, :])[apart].mean() if apart.any() else float("nan")
    return Separation(
        rows=len(vectors),
        dimensions=vectors.shape[1],
        neighbour_gap=float(gaps.mean()) if len(gaps) else float("nan"),
        random_gap=float(random_gap),
        trustworthiness=_trust(vectors, points),
        explained=explained,
    )


# Maps of vectors (rows, D) to points (rows, 2).
MAPS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {"pca": lambda vectors: plane(vectors)[0], "umap": umap_plane}


def _trust(vectors: np.ndarray, points: np.ndarray) -> float:
    """Trustworthiness of points (rows, 2) that stand for vectors (rows, D)."""
    return float(trustworthiness(vectors, points, n_neighbors=min(_NEIGHBOURS, (len(vectors) - 1) // 2)))


def draw_embeddings(
    vectors: Mapping[str, np.ndarray],
    labels: pd.DataFrame,
    title: str,
    folder: Path,
    by: Sequence[str] = (),
    kinds: Sequence[str] = ("pca", "similarity"),
) -> dict[str, Separation]:
    """Draw and measure embeddings: ``<name>-pca.png``, ``<name>-similarity.png`` and ``separation.json``.

    Args:
        vectors: (rows, D) by name; of more than 2,000 rows a random sample is drawn, the same for all.
        labels: of the rows.
        title: of the pictures.
        folder: made if needed.
        by: further labels that maps are coloured by, beside test accuracy: ``<name>-pca-<label>.png``.
        kinds: pictures of each: maps ("pca" and "umap") and "similarity".

    Raises:
        ZoobenchError: fewer than five networks, a label that they do not have or of too many names for a legend, or a
            folder that cannot be written.
        ImportError: "umap" without ``umap-learn``.
    """
    if len(labels) < 5:
        raise ZoobenchError(f"{len(labels)} networks are too few to draw; encode a larger split")
    chosen = np.sort(np.random.RandomState(0).permutation(len(labels))[:_MOST_ROWS])
    shown = labels.iloc[chosen]
    columns = [_ACCURACY, *(_colours(shown, name) for name in by)]
    found = {name: separation(values[chosen], shown) for name, values in vectors.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        content = json.dumps({name: asdict(measured) for name, measured in found.items()}, indent=1) + "\n"
        write_atomically(folder / "separation.json", content.encode())
        for name, values in vectors.items():
            for kind in kinds:
                for suffix, figure in _pictures(values[chosen], shown, columns, kind, f"{title}: {name}", found[name]):
                    save(figure, folder / f"{name}-{kind}{suffix}.png")
    except OSError as error:
        raise ZoobenchError(f"cannot write pictures to {folder}: {error.strerror or error}") from error
    return found


def _pictures(
    vectors: np.ndarray, labels: pd.DataFrame, columns: Sequence[str], kind: str, title: str, found: Separation
) -> list[tuple[str, Figure]]:
    """The pictures of a kind, each after what its name ends in."""
    with own_style():
        if kind == "similarity":
            return [("", similarity_picture(vectors, labels, title))]
        points = MAPS[kind](vectors)
        gaps = f"neighbour gap {found.neighbour_gap:.3f} (random {found.random_gap:.3f})"
        heading = f"{title}\n{gaps}, trustworthiness {_trust(vectors, points):.2f}"
        return [
            ("" if column == _ACCURACY else f"-{column}", map_picture(points, labels[column], kind, heading))
            for column in columns
        ]


def _colours(labels: pd.DataFrame, name: str) -> str:
    """A label to colour by, if it can be shown."""
    if name not in labels.columns:
        raise ZoobenchError(f"unknown label {name!r} to colour by{did_you_mean(name, labels.columns)}")
    if not pd.api.types.is_numeric_dtype(labels[name]) and (names := labels[name].nunique()) > _MOST_NAMES:
        raise ZoobenchError(f"label {name!r} has {names:,} names here; a legend shows at most {_MOST_NAMES}")
    return name


def map_picture(points: np.ndarray, values: pd.Series, kind: str, title: str) -> Figure:
    """Networks at points (rows, 2), coloured by one of their labels (Figures 4 to 6; Figure 4 of Schürholt 2021)."""
    numbers = pd.api.types.is_numeric_dtype(values)
    figure = Figure(figsize=(4.8 if numbers else 5.4, 3.8), layout="constrained")
    axes = figure.subplots()
    scatter_by(axes, points, values, size=6)
    axes.set(xlabel=f"{kind.upper()} 1", ylabel=f"{kind.upper()} 2")
    axes.set_title(title, fontsize="small")
    return figure


def similarity_picture(vectors: np.ndarray, labels: pd.DataFrame, title: str) -> Figure:
    """Cosine similarities of networks sorted by test accuracy, lowest first (Figures 7 to 13)."""
    order = np.argsort(labels["test_accuracy"].to_numpy(), kind="stable")
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = (vectors / np.where(length > 0, length, 1))[order]
    figure = Figure(figsize=(4.6, 3.9), layout="constrained")
    axes = figure.subplots()
    shown = axes.imshow(unit @ unit.T, vmin=-1, vmax=1, cmap="RdBu_r")
    figure.colorbar(shown, label="cosine similarity")
    axes.set(xlabel="networks by test accuracy", ylabel="networks by test accuracy")
    axes.set_title(title, fontsize="small")
    return figure
