"""What an engine is: it takes the chunks of a build and gives the rows of each; every engine gives the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from ..training.images import Images
from .chunks import Chunk, TrainedChunk

OnEpoch = Callable[[Chunk, int], None]


class Engine(Protocol):
    def __call__(
        self, chunks: Sequence[Chunk], images: Images, device: str, workers: int | None, on_epoch: OnEpoch
    ) -> Iterator[tuple[Chunk, TrainedChunk]]:
        """Train chunks and yield each as it is finished, in any order.

        Args:
            chunks: what to train.
            images: what all chunks train on.
            device: a torch device.
            workers: how many chunks at a time; ``None`` for one per CPU core, or one per GPU.
            on_epoch: called after each epoch of each chunk, from one thread at a time.

        Raises:
            ZoobenchError: the work cannot be done, or its workers died.
        """
