"""Checkpoints of a training: which of them are whole, and from which it goes on.

A checkpoint is whole when its seal is there and every file has the sha256 that the seal says. The seal is written last,
so that a training that was killed while it wrote leaves a checkpoint without; it also says of which training it is.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from transformers import EarlyStoppingCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME

from zoobench.files import remove, sha256_of, write_atomically

SEAL = "seal.json"
_NAME = re.compile(r"checkpoint-(\d{1,18})")


class Sealing(TrainerCallback):
    """Seals every checkpoint, and lets a training that goes on from one know what it knew.

    Args:
        training: which training it is.
        patience: the callback that stops it early, if one does.
    """

    def __init__(self, training: str, patience: EarlyStoppingCallback | None) -> None:
        self.training = training
        self.patience = patience

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """The folder may have moved, and epochs have been waited."""
        if state.best_global_step:
            state.best_model_checkpoint = str(_checkpoint(Path(args.output_dir or ""), state.best_global_step))
        if self.patience:
            self.patience.early_stopping_patience_counter = waited(state)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Say which files belong to the checkpoint."""
        folder = _checkpoint(Path(args.output_dir or ""), state.global_step)
        files = {path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.name != SEAL}
        content = json.dumps({"training": self.training, "files": files}, indent=1) + "\n"
        write_atomically(folder / SEAL, content.encode())


def waited(state: TrainerState) -> int:
    """For how many epochs the validation loss had not become better."""
    callbacks: Any = state.stateful_callbacks
    kept = callbacks.get(EarlyStoppingCallback.__name__, {}) if isinstance(callbacks, dict) else {}
    found: int = kept.get("attributes", {}).get("early_stopping_patience_counter", 0)
    return found


def last_whole(folder: Path, training: str) -> tuple[Path, TrainerState] | None:
    """The last checkpoint of a training that is whole, as is the best one that it names; others are removed.

    Args:
        folder: of the checkpoints.
        training: which training they must be of.
    """
    found = {int(match[1]): path for path in folder.glob("checkpoint-*") if (match := _NAME.fullmatch(path.name))}
    whole = {step for step, path in found.items() if _is_whole(path, training)}
    states = {step: TrainerState.load_from_json(str(found[step] / TRAINER_STATE_NAME)) for step in sorted(whole)}
    usable = [step for step, state in states.items() if (state.best_global_step or step) in whole]
    last = max(usable, default=None)
    kept = set() if last is None else {step for step in whole if step <= last}
    for step, path in found.items():
        if step not in kept:
            remove(path)
    return None if last is None else (found[last], states[last])


def best_of(checkpoint: Path, state: TrainerState) -> Path:
    """The checkpoint with the weights that a training ends with that ended at another."""
    return _checkpoint(checkpoint.parent, state.best_global_step) if state.best_global_step else checkpoint


def _checkpoint(folder: Path, step: int) -> Path:
    return folder / f"checkpoint-{step}"


def _is_whole(checkpoint: Path, training: str) -> bool:
    try:
        seal: Any = json.loads((checkpoint / SEAL).read_text(encoding="utf-8"))
        files: dict[str, str] = seal["files"]
        if seal["training"] != training or TRAINER_STATE_NAME not in files:
            return False
        there = {path.name for path in checkpoint.iterdir()} - {SEAL}
        return there == set(files) and all(sha256_of(checkpoint / name) == digest for name, digest in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
