"""The four architectures of Liu, sec. 3: one encoder per layer of a network, then a multilayer perceptron.

The encoders have no activation. ``linear`` flattens [W | b] of a layer, ``conv`` slides kernels of height 3 over its
neurons and takes the maximum over positions; both give E numbers per layer. ``fc-linear`` is one linear map of all
weights to as many numbers as all encoders together, ``fc`` starts with a hidden layer instead.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from zoobench.errors import look_up
from zoobench.zoos.layout import Layer, Layout

from ..heads import Head
from ..matrices import to_matrix

ARCHITECTURES = ("fc", "fc-linear", "linear", "conv")
_KERNEL = 3
# Weights of diverged networks are cut here: squares of gradients stay within single precision.
_LARGEST = 1e15
# "original" is what PyTorch draws, biases too; "he" draws the same weights, which is its bound with a = sqrt(5).
INITS: Mapping[str, Callable[[torch.Tensor], object] | None] = {
    "original": None,
    "xavier": nn.init.xavier_uniform_,
    "he": lambda weight: nn.init.kaiming_uniform_(weight, a=math.sqrt(5)),
    "orthogonal": lambda weight: nn.init.orthogonal_(weight),
}


class ComVeXConfig(PreTrainedConfig):
    """What a model is built from.

    Args:
        architecture: one of ``ARCHITECTURES``.
        layout: of the networks' weights, as in a zoo's manifest.
        embedding: numbers per encoder, E.
        hidden_layers: of the perceptron after the encoders; ``fc`` has one more.
        hidden_size: H.
        dropout: after each hidden layer.
        init: one of ``INITS``; biases start at 0, but for "original".
        heads: what is predicted (see ``heads``).
    """

    model_type = "comvex"

    def __init__(
        self,
        architecture: str = "conv",
        layout: Sequence[dict[str, Any]] = (),
        embedding: int = 64,
        hidden_layers: int = 3,
        hidden_size: int = 384,
        dropout: float = 0.1,
        init: str = "original",
        heads: Sequence[Mapping[str, Any]] = (),
        **kwargs: Any,
    ) -> None:
        self.architecture = architecture
        self.layout = list(layout)
        self.embedding = embedding
        self.hidden_layers = hidden_layers
        self.hidden_size = hidden_size
        self.dropout = dropout
        self.init = init
        self.heads = list(heads)
        super().__init__(**kwargs)


class LinearEncoder(nn.Module):
    """[W | b] of one layer, flattened, to E numbers: |phi| E + E parameters."""

    def __init__(self, layer: Layer, embedding: int) -> None:
        super().__init__()
        self.layer = layer
        self.map = nn.Linear(layer.index.size, embedding)

    def forward(self, weights: torch.Tensor) -> torch.Tensor:
        """(batch, N) -> (batch, E)."""
        encoded: torch.Tensor = self.map(to_matrix(weights, self.layer).flatten(1))
        return encoded


class ConvEncoder(nn.Module):
    """Kernels over three neurons at a time, the maximum over positions: 3 (|phi| / h) E + E parameters."""

    def __init__(self, layer: Layer, embedding: int) -> None:
        super().__init__()
        self.layer = layer
        neurons, columns = layer.index.shape
        self.map = nn.Conv1d(columns, embedding, min(_KERNEL, neurons))

    def forward(self, weights: torch.Tensor) -> torch.Tensor:
        """(batch, N) -> (batch, E)."""
        encoded: torch.Tensor = self.map(to_matrix(weights, self.layer).transpose(1, 2)).amax(dim=2)
        return encoded


class ComVeXModel(PreTrainedModel):
    """Weights (batch, N) in layout order to the outputs of all heads, side by side."""

    config_class = ComVeXConfig
    main_input_name = "weights"

    def __init__(self, config: ComVeXConfig) -> None:
        super().__init__(config)
        layout = Layout.from_json(config.layout)
        compact = config.embedding * len(layout.layers)
        encoder: nn.Module
        match config.architecture:
            case "fc":
                encoder = nn.Identity()
                compact = layout.size
            case "fc-linear":
                encoder = nn.Linear(layout.size, compact)
            case kind:
                made: type[LinearEncoder | ConvEncoder] = LinearEncoder if kind == "linear" else ConvEncoder
                encoder = nn.ModuleList(made(layer, config.embedding) for layer in layout.layers)
        self.encoder = encoder
        hidden = config.hidden_layers + (config.architecture == "fc")
        widths = [compact, *[config.hidden_size] * hidden]
        parts: list[nn.Module] = []
        for fan_in, fan_out in itertools.pairwise(widths):
            parts += [nn.Linear(fan_in, fan_out), nn.ReLU(), nn.Dropout(config.dropout)]
        self.heads = [Head.from_json(head) for head in config.heads]
        self.predictor = nn.Sequential(*parts, nn.Linear(widths[-1], sum(head.outputs for head in self.heads)))
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Conv1d):
            module.reset_parameters()
            draw = look_up("init", self.config.init, INITS)
            if draw is not None:
                assert module.bias is not None
                draw(module.weight)
                nn.init.zeros_(module.bias)

    def encode(self, weights: torch.Tensor) -> torch.Tensor:
        """The compact vectors: (batch, E * layers), one vector of E numbers per layer unless fully connected."""
        weights = weights.clamp(-_LARGEST, _LARGEST)
        if isinstance(self.encoder, nn.ModuleList):
            return torch.cat([encoder(weights) for encoder in self.encoder], dim=1)
        encoded: torch.Tensor = self.encoder(weights)
        return encoded

    def parts(self) -> dict[str, slice]:
        """Which of a compact vector's numbers come from which layer, if each has an encoder of its own."""
        if not isinstance(self.encoder, nn.ModuleList):
            return {}
        size = self.config.embedding
        names = [layer.name for layer in Layout.from_json(self.config.layout).layers]
        return {name: slice(number * size, (number + 1) * size) for number, name in enumerate(names)}

    def forward(self, weights: torch.Tensor, labels: torch.Tensor | None = None) -> ModelOutput:
        """Outputs ``logits`` (batch, outputs of all heads), and the mean ``loss`` of the heads if there are labels.

        ``labels`` are (batch, heads), encoded as the heads do.
        """
        logits = self.predictor(self.encode(weights))
        if labels is None:
            return ModelOutput(logits=logits)
        parts = logits.split([head.outputs for head in self.heads], dim=1)
        losses = [head.loss(part, labels[:, k]) for k, (head, part) in enumerate(zip(self.heads, parts, strict=True))]
        return ModelOutput(loss=torch.stack(losses).mean(), logits=logits)
