"""The zoos of a repo, one after the other: one that cannot be built does not keep the others from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..data.manifest import ConfigManifest, read_manifest
from ..errors import ZoobenchError
from ..zoos import Zoo


@dataclass(frozen=True)
class Outcome:
    """What became of a zoo.

    Attributes:
        zoo: what was to be built.
        seconds: of reading images, training, measuring and writing.
        folder: the dataset folder; ``None`` if it was not built.
        config: what its manifest says of the zoo.
        error: why it was not built.
    """

    zoo: Zoo
    seconds: float
    folder: Path | None = None
    config: ConfigManifest | None = None
    error: str = ""

    def to_json(self) -> dict[str, object]:
        about: dict[str, object] = {"zoo": self.zoo.id, "seconds": round(self.seconds, 1)}
        if self.config is None:
            return about | {"error": self.error}
        return about | {
            "folder": str(self.folder),
            "runs": self.config.runs,
            "dropped": len(self.config.dropped),
            "checkpoints": len(self.config.checkpoints),
            "rows": self.config.rows,
            "bytes": sum(entry.size for entry in self.config.files),
        }


def build_each(zoos: Sequence[Zoo], build_one: Callable[[Zoo], Path]) -> Iterator[Outcome]:
    """Build zoos one after the other, each into the dataset folder that ``build_one`` returns."""
    for zoo in zoos:
        start = time.perf_counter()
        try:
            folder = build_one(zoo)
        except ZoobenchError as error:
            yield Outcome(zoo, time.perf_counter() - start, error=str(error))
        else:
            seconds = time.perf_counter() - start
            yield Outcome(zoo, seconds, folder, read_manifest(folder).configs[zoo.spec.config])
