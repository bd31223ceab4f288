"""Training a network of ``transformers`` on rows in memory, by its Trainer."""

from __future__ import annotations

import contextlib
import hashlib
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch.utils.data import Dataset
from transformers import (
    EarlyStoppingCallback,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerState,
    TrainingArguments,
)
from transformers.utils import SAFE_WEIGHTS_NAME, logging

from zoobench.errors import ZoobenchError, note_once
from zoobench.files import locked, remove
from zoobench.native import keep_freed_memory
from zoobench.predictors.predictor import Examples

from .checkpoints import Sealing, best_of, last_whole, waited

_ON_A_TERMINAL = sys.stderr is not None and sys.stderr.isatty()
if not _ON_A_TERMINAL:
    logging.disable_progress_bar()

DEVICES = ("auto", "cpu")
PRECISIONS = ("auto", "float32", "bfloat16")
_EVALUATION_BATCH = 1024
# Columns by name, numpy arrays or tensors, of as many rows each.
Columns = Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """How to train.

    Attributes:
        optimizer: of the model's parameters.
        epochs: upper limit.
        batch_size: rows per step.
        seed: of batch order and dropout.
        patience: epochs without a better validation loss before stopping, and the best epoch's weights are kept;
            ``None`` for all epochs, and the last one's.
        schedule: name of a learning-rate schedule of ``transformers``.
        clip: largest norm of a gradient; 0 for no limit.
        device: "cpu", or "auto" for GPUs where there are any.
        precision: "float32", "bfloat16" for products of matrices, or "auto" for that on GPUs that have it alone.
        checkpoints: a folder where a training that was killed leaves its last epochs, and from where the same training
            goes on; removed when it is done.
        training: which training it is; only its own checkpoints are gone on from.
    """

    optimizer: torch.optim.Optimizer
    epochs: int
    batch_size: int
    seed: int
    patience: int | None = None
    schedule: str = "constant"
    clip: float = 1.0
    device: str = "auto"
    precision: str = "auto"
    checkpoints: Path | None = None
    training: str = ""


def identity(predictor: object, *parts: Examples) -> str:
    """Of a training: checkpoints of other parameters, other networks or other targets are others.

    Parameters are the predictor's attributes, but for those that are fitted (``name_``) and where it works.
    """
    skipped = ("checkpoints", "device")
    facts = {name: value for name, value in vars(predictor).items() if name not in skipped and not name.endswith("_")}
    digest = hashlib.sha256(repr((sorted(facts.items()), *(examples.weights.shape for examples in parts))).encode())
    for examples in parts:
        digest.update(examples.targets.to_csv().encode())
        digest.update(np.ascontiguousarray(examples.weights).data)
    return digest.hexdigest()[:16]


def train(model: PreTrainedModel, rows: Columns, validation: Columns, plan: Plan) -> float:
    """Train a model whose ``forward`` takes the columns of ``rows`` and gives a loss; it ends on the CPU.

    Returns:
        seconds of training.
    """
    keep_freed_memory()
    patience = None if plan.patience is None else EarlyStoppingCallback(plan.patience)
    with _work_folder(plan) as folder:
        sealing = Sealing(plan.training, patience)
        found = _last_whole(folder, plan.training) if plan.checkpoints else None
        if found and _has_ended(found[1], plan):
            model.load_state_dict(safetensors.torch.load_file(best_of(*found) / SAFE_WEIGHTS_NAME))
            model.eval().cpu()
            return 0.0
        trainer = Trainer(
            model,
            _arguments(plan, folder),
            data_collator=_whole,
            train_dataset=_Rows(rows),
            eval_dataset=_Rows(validation),
            optimizers=(plan.optimizer, None),
            callbacks=[*([patience] if patience else []), *([sealing] if plan.checkpoints else [])],
        )
        trainer.remove_callback(PrinterCallback)
        done = trainer.train(resume_from_checkpoint=str(found[0]) if found else None)
    model.eval().cpu()
    return float(done.metrics["train_runtime"])


@contextlib.contextmanager
def _work_folder(plan: Plan) -> Iterator[Path]:
    """Where checkpoints are written, by this process alone; it is gone when the training has ended.

    Raises:
        ZoobenchError: another process trains there, or it cannot be written.
    """
    if plan.checkpoints is None:
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)
        return
    try:
        with locked(plan.checkpoints, wait=False):
            yield plan.checkpoints
            remove(plan.checkpoints)
    except OSError as error:
        raise ZoobenchError(f"cannot keep checkpoints in {plan.checkpoints}: {error.strerror or error}") from error


def _last_whole(folder: Path, training: str) -> tuple[Path, TrainerState] | None:
    """As ``last_whole``, saying so where another was the last."""
    there = sum(1 for _ in folder.glob("checkpoint-*"))
    found = last_whole(folder, training)
    broken = there - sum(1 for _ in folder.glob("checkpoint-*"))
    if broken:
        where = f"goes on from {found[0].name}" if found else "starts anew"
        note_once(f"{broken} of {there} checkpoints in {folder} are not whole, or of another training: it {where}")
    return found


def _has_ended(state: TrainerState, plan: Plan) -> bool:
    """Whether the training was killed after its last epoch."""
    return (state.epoch or 0) >= plan.epochs or (plan.patience is not None and waited(state) >= plan.patience)


def _arguments(plan: Plan, folder: Path) -> TrainingArguments:
    on_gpu = plan.device == "auto" and torch.cuda.is_available()
    best = plan.patience is not None
    return TrainingArguments(
        str(folder),
        per_device_train_batch_size=plan.batch_size,
        per_device_eval_batch_size=_EVALUATION_BATCH,
        num_train_epochs=plan.epochs,
        eval_strategy="epoch" if best else "no",
        save_strategy="epoch" if best or plan.checkpoints else "no",
        # The best, the last, and one to go back to where the last is broken.
        save_total_limit=3 if plan.checkpoints else 1,
        save_only_model=not plan.checkpoints,
        load_best_model_at_end=best,
        metric_for_best_model="eval_loss" if best else None,
        greater_is_better=False if best else None,
        logging_strategy="no",
        lr_scheduler_type=plan.schedule,
        max_grad_norm=plan.clip,
        label_names=["labels"],
        remove_unused_columns=False,
        use_cpu=not on_gpu,
        bf16=plan.precision == "bfloat16" or (plan.precision == "auto" and on_gpu and torch.cuda.is_bf16_supported()),
        disable_tqdm=not _ON_A_TERMINAL,
        report_to="none",
        seed=plan.seed,
    )


class _Rows(Dataset[dict[str, torch.Tensor]]):
    """Rows by batch: one gather for all of them."""

    def __init__(self, rows: Columns) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(next(iter(self.rows.values())))

    def __getitems__(self, rows: list[int]) -> dict[str, torch.Tensor]:
        return {name: torch.as_tensor(values[rows]) for name, values in self.rows.items()}


def _whole(batch: Any) -> Any:
    return batch
