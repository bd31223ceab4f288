"""Training a network of ``transformers`` on rows in memory, by its Trainer."""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import EarlyStoppingCallback, PreTrainedModel, PrinterCallback, Trainer, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint
from transformers.utils import logging

from zoobench.native import keep_freed_memory
from zoobench.predictors.predictor import Examples

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
        checkpoints: a folder where a training that was killed leaves its last epoch, and from where the same training
            goes on; removed when it is done.
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


def identity(predictor: object, examples: Examples) -> str:
    """Of a training: checkpoints of other parameters, other networks or other targets are others.

    Parameters are the predictor's attributes, but for those that are fitted (``name_``) and where it works.
    """
    skipped = ("checkpoints", "device")
    facts = {name: value for name, value in vars(predictor).items() if name not in skipped and not name.endswith("_")}
    digest = hashlib.sha256(repr((sorted(facts.items()), examples.weights.shape)).encode())
    digest.update(examples.targets.to_csv().encode())
    digest.update(np.ascontiguousarray(examples.weights).data)
    return digest.hexdigest()[:16]


def train(model: PreTrainedModel, rows: Columns, validation: Columns, plan: Plan) -> float:
    """Train a model whose ``forward`` takes the columns of ``rows`` and gives a loss; it ends on the CPU.

    Returns:
        seconds of training.
    """
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as temporary:
        folder = plan.checkpoints or Path(temporary)
        trainer = Trainer(
            model,
            _arguments(plan, folder),
            data_collator=_whole,
            train_dataset=_Rows(rows),
            eval_dataset=_Rows(validation),
            optimizers=(plan.optimizer, None),
            callbacks=[] if plan.patience is None else [EarlyStoppingCallback(plan.patience)],
        )
        trainer.remove_callback(PrinterCallback)
        found = trainer.train(resume_from_checkpoint=get_last_checkpoint(folder) if folder.is_dir() else None)
        if plan.checkpoints:
            shutil.rmtree(plan.checkpoints, ignore_errors=True)
    model.eval().cpu()
    return float(found.metrics["train_runtime"])


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
        save_total_limit=1,
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
