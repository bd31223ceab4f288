"""Perturbed copies of a test split: written as a plain dataset folder, read back for predictors.

``<perturbation>/test.parquet`` has the columns ``example_id``, ``activation`` and ``weights``; ``README.md`` is a card
that ``datasets`` reads; ``perturbed.json`` says what the copies are of, and the sha256 of each. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml
from pydantic import ValidationError

from ..data import hub, schema, shards, tables, weights
from ..data.digests import digest_of
from ..data.folder import CARD
from ..data.hub import ZooSplit
from ..errors import ZoobenchError
from ..files import beside, remove_abandoned, sha256_of
from ..paths import InsidePath, inside
from ..strict import Strict, first_problem
from ..zoos import Zoo, resolve
from ..zoos.layout import layout_of
from . import symmetry
from .symmetry import Perturbation

FILE_NAME = "perturbed.json"
_BLOCK_BYTES = 64_000_000


class CopyEntry(Strict):
    """One perturbed copy: ``path`` relative to the folder; ``preserves`` says whether the function is the same."""

    preserves: bool
    rows: int
    path: InsidePath
    sha256: str


class PerturbedManifest(Strict):
    """``perturbed.json``: which rows of which zoo; ``sample`` is ``None`` for all rows of its test split."""

    zoo: str
    seed: int
    sample: int | None
    labels_sha256: str
    perturbations: dict[str, CopyEntry]


@dataclass(frozen=True)
class PerturbedRows:
    """One perturbation of a split: ``weights`` (rows, N) float32, beside the ids (rows,) of the original rows."""

    name: str
    preserves: bool
    example_ids: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class PerturbedZoo:
    """A folder of perturbed copies; iterating over it reads one copy after the other."""

    folder: Path
    manifest: PerturbedManifest

    def __iter__(self) -> Iterator[PerturbedRows]:
        """Read the copies, in the order of the manifest.

        Raises:
            ZoobenchError: a file is missing or is not the one that the manifest describes; an unknown zoo.
        """
        width = layout_of(resolve(self.manifest.zoo).spec.network).size
        for name, entry in self.manifest.perturbations.items():
            path = inside(self.folder, entry.path)
            if not path.exists():
                raise ZoobenchError(f"cannot read {path}, which {FILE_NAME} lists: there is no such file")
            with tables.reading(path):
                digest = digest_of(path)
            if digest != entry.sha256:
                other = f"has sha256 {digest[:12]}…, {FILE_NAME} says {entry.sha256[:12]}…"
                if kind := tables.what_it_is(path):
                    other = f"is {kind}"
                raise ZoobenchError(f"{path} {other}; perturb {self.manifest.zoo} again")
            ids = tables.read_table(path, ["example_id"])["example_id"].to_numpy()
            yield PerturbedRows(name, entry.preserves, ids, weights.read([path], width))


def read_perturbed(folder: Path) -> PerturbedZoo:
    """Open a folder that ``perturb`` wrote.

    Raises:
        ZoobenchError: it is no such folder.
    """
    path = folder / FILE_NAME
    try:
        return PerturbedZoo(folder, PerturbedManifest.model_validate_json(path.read_bytes()))
    except FileNotFoundError:
        raise ZoobenchError(f"no {FILE_NAME} in {folder}; a folder made by `zoobench perturb` has one") from None
    except OSError as error:
        raise ZoobenchError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        raise ZoobenchError(f"{path}: {first_problem(error)}") from error


def perturb(
    zoo: Zoo,
    out: Path,
    sample: int | None = None,
    seed: int = 0,
    on_step: Callable[[str], None] = lambda step: None,
) -> list[Path]:
    """Write perturbed copies of a zoo's test split: every perturbation of the rows that it applies to.

    The copies carry no labels: once a function is broken, what the original network reached is no longer true of it.

    Args:
        zoo: whose test split.
        out: the folder to write, whole or not at all.
        sample: how many rows to draw, the same for every perturbation; ``None``, or more than there are, for all.
        seed: of the sample and the perturbations; the same seed gives the same bytes.
        on_step: told what is being done, for a progress display.

    Returns:
        the parquet files, one per perturbation.

    Raises:
        ZoobenchError: ``out`` is there and not empty or cannot be written, ``sample`` or ``seed`` is out of range, or
            the zoo cannot be found.
    """
    if sample is not None and sample < 1:
        raise ZoobenchError(f"a sample has at least 1 row, not {sample}")
    if not 0 <= seed < 2**32:
        raise ZoobenchError(f"a seed is a number from 0 to 2**32 - 1, not {seed}")
    out = out.resolve()
    try:
        remove_abandoned(out.parent, out.name)
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ZoobenchError(f"{out} is already there and not empty; remove it or name another folder")
        with beside(out) as temporary:
            work = temporary / "fresh"
            work.mkdir()
            entries = _write_copies(work, zoo, sample, seed, on_step)
            work.rename(out)
    except OSError as error:
        raise ZoobenchError(f"cannot write perturbed copies to {out}: {error.strerror or error}") from error
    return [out / entry.path for entry in entries.values()]


def _write_copies(
    work: Path, zoo: Zoo, sample: int | None, seed: int, on_step: Callable[[str], None]
) -> dict[str, CopyEntry]:
    """Write every copy, what is said of them, and their card."""
    on_step("loading")
    store = hub.Store()
    labels = hub.load_labels(zoo, "test", store)
    split = hub.load_split(zoo, "test", columns=["example_id", "activation"], store=store)
    if split.labels.empty:
        raise ZoobenchError(f"the test split of {zoo.id} has no rows to perturb")
    # RandomState's streams are frozen by NumPy's policy (NEP 19).
    rows = np.sort(np.random.RandomState(seed).permutation(len(split.labels))[:sample])
    activations = split.labels["activation"].to_numpy()[rows]
    entries = {}
    for perturbation in symmetry.perturbations_of(zoo.spec.network):
        chosen = rows[activations == perturbation.activation] if perturbation.activation else rows
        if len(chosen):
            on_step(perturbation.name)
            entries[perturbation.name] = _write(work, split, chosen, perturbation, seed)
    written = PerturbedManifest(
        zoo=zoo.id, seed=seed, sample=sample, labels_sha256=labels.sha256, perturbations=entries
    )
    (work / FILE_NAME).write_bytes((written.model_dump_json(indent=1) + "\n").encode())
    (work / CARD).write_bytes(_card(written).encode())
    return entries


def _write(work: Path, split: ZooSplit, rows: np.ndarray, perturbation: Perturbation, seed: int) -> CopyEntry:
    """Write one perturbed copy of some rows below ``work``."""
    path = work / perturbation.name / "test.parquet"
    path.parent.mkdir()
    columns = ("example_id", "activation", "weights")
    table_schema = pa.schema([schema.rows(split.layout.size).field(name) for name in columns])
    shards.write_tables(path, table_schema, _tables(table_schema, split, rows, perturbation, seed))
    return CopyEntry(
        preserves=perturbation.preserves,
        rows=len(rows),
        path=path.relative_to(work).as_posix(),
        sha256=sha256_of(path),
    )


def _tables(
    table_schema: pa.Schema, split: ZooSplit, rows: np.ndarray, perturbation: Perturbation, seed: int
) -> Iterator[pa.Table]:
    """The perturbed rows in blocks; a perturbation's stream depends on its name and the seed."""
    rng = np.random.RandomState([seed, *perturbation.name.encode()])
    block = max(1, _BLOCK_BYTES // (8 * split.layout.size))
    for start in range(0, len(rows), block):
        some = rows[start : start + block]
        labels = split.labels.iloc[some]
        changed = perturbation.apply(split.weights[some], split.zoo.spec.network, rng)
        arrays = [
            pa.array(labels["example_id"], pa.string()),
            pa.array(labels["activation"], pa.string()),
            pa.FixedSizeListArray.from_arrays(pa.array(changed.reshape(-1)), type=table_schema.field("weights").type),
        ]
        yield pa.Table.from_arrays(arrays, schema=table_schema)


_CARD = """---
{front_matter}---

# {zoo}, perturbed

The weights of networks of the zoo `{zoo}` ({rows} of its test split), changed in one way per config.

Some changes leave a network's function alone, so that a predictor's answers should stay the same. Others break it, and
the scores that the original network reached are no longer true of it: so there are no labels here. `example_id` names
the original row. Seed {seed}; the zoo's test labels have the sha256 `{labels}`.

```python
from datasets import load_dataset

load_dataset("<this folder>", "{first}", split="test")
```

| perturbation | what it does | keeps the function | rows |
|---|---|---|---|
{table}
"""


def _card(written: PerturbedManifest) -> str:
    """The dataset card: what the copies are, with the configs that ``datasets`` reads."""
    entries = written.perturbations
    configs = [
        {"config_name": name, "data_files": [{"split": "test", "path": entry.path}]} for name, entry in entries.items()
    ]
    front_matter = {"license": "cc-by-4.0", "pretty_name": f"{written.zoo}, perturbed", "configs": configs}
    table = [
        f"| `{name}` | {symmetry.get(name).description} | {'yes' if entry.preserves else 'no'} | {entry.rows:,} |"
        for name, entry in entries.items()
    ]
    return _CARD.format(
        front_matter=yaml.safe_dump(front_matter, sort_keys=False),
        zoo=written.zoo,
        rows="all rows" if written.sample is None else f"at most {written.sample:,} rows, drawn at random,",
        seed=written.seed,
        labels=written.labels_sha256,
        first=next(iter(entries)),
        table="\n".join(table),
    )
