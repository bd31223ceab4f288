"""Encoder, decoder and projection head of hyper-representations (Schürholt 2021, sec. 3).

The attention blocks are those of ViT in ``transformers``, pre-norm with ReLU as in the authors' code, without a layer
norm after the last; of their dropouts the one between a block's two maps is missing. A token is a neuron (or filter)
with all its weights and its bias, embedded linearly by a map for each layer, or a single weight. Positions are learned,
drawn from N(0, 1) as the compression token is. The bottleneck is linear with a tanh: of all output tokens, or of the
compression token alone. The decoder expands z to a sequence as long as the encoder's, and has as many blocks. In the
projection head every map has batch norm after it, and but for the last ReLU.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel, ViTConfig
from transformers.models.vit.modeling_vit import ViTLayer
from transformers.utils import ModelOutput

from zoobench.errors import ZoobenchError, look_up
from zoobench.zoos.layout import Layout

from ..matrices import from_matrices, to_matrix
from . import losses
from .augment import Augmentation

LOSSES = ("ed", "ec", "ecd", "ec+d")
ARCHITECTURES = ("attention", "ff")
TOKENS = ("neuron", "weight")
_FF_LAYERS = 10
# Models of another form have other parts; what is saved without a form has form 1, with a layer norm after the blocks.
FORM = 2


class HyperRepConfig(PreTrainedConfig):
    """What a model is built from, and what it learns.

    Args:
        layout: of the networks' weights, as in a zoo's manifest.
        form: of the model; this code makes and reads ``FORM``.
        loss: one of ``LOSSES``: reconstruction ED, contrast Ec, both EcD, or with positive contrast Ec+D.
        objective: whose terms these are, a key of ``OBJECTIVES``.
        beta: weight of the reconstruction where there are both; the contrast has 1 - beta.
        contrast_temperature: T of the contrast.
        architecture: "attention", or "ff" for 10 fully-connected layers with ReLU.
        tokens: "neuron" or "weight".
        compression: whether a compression token is encoded.
        width: of a token.
        heads: per attention block.
        blocks: of the encoder, and of the decoder.
        feed_forward: units between the two maps of a block's multilayer perceptron.
        latent: size L of z.
        dropout: in the attention blocks.
        projection: widths of the projection head's layers.
        permute: whether views are permuted.
        erase: probability that a view has a block erased.
        noise: standard deviation of the noise on views.
        mean: of each tensor of the layout, subtracted before encoding and added after decoding; empty for 0.
        std: divided and multiplied by, likewise; empty for 1.
        limit: where weights end, on both sides of 0: those of diverged networks, of 1e20 and more, overflow; 0 for
            nowhere.
    """

    model_type = "hyperrep"

    def __init__(
        self,
        layout: Sequence[dict[str, Any]] = (),
        form: int = 1,
        loss: str = "ecd",
        objective: str = "paper",
        beta: float = 0.5,
        contrast_temperature: float = 0.1,
        architecture: str = "attention",
        tokens: str = "neuron",
        compression: bool = True,
        width: int = 128,
        heads: int = 4,
        blocks: int = 2,
        feed_forward: int = 512,
        latent: int = 50,
        dropout: float = 0.1,
        projection: Sequence[int] = (50, 50, 50, 20),
        permute: bool = True,
        erase: float = 0.5,
        noise: float = 0.0,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        limit: float = 0.0,
        **kwargs: Any,
    ) -> None:
        self.layout = list(layout)
        self.form = form
        self.loss = loss
        self.objective = objective
        self.beta = beta
        self.contrast_temperature = contrast_temperature
        self.architecture = architecture
        self.tokens = tokens
        self.compression = compression
        self.width = width
        self.heads = heads
        self.blocks = blocks
        self.feed_forward = feed_forward
        self.latent = latent
        self.dropout = dropout
        self.projection = list(projection)
        self.permute = permute
        self.erase = erase
        self.noise = noise
        self.mean = list(mean)
        self.std = list(std)
        self.limit = limit
        super().__init__(**kwargs)


class Tokens(nn.Module):
    """Weights to tokens and back: linear maps, one pair for each layer, or for single weights one pair."""

    def __init__(self, layout: Layout, kind: str, width: int) -> None:
        super().__init__()
        self.layers = layout.layers if kind == "neuron" else ()
        shapes = [layer.index.shape for layer in self.layers] or [(layout.size, 1)]
        self.sequence = sum(neurons for neurons, _ in shapes)
        self.lengths = [neurons for neurons, _ in shapes]
        self.embed = nn.ModuleList(nn.Linear(fan_in, width) for _, fan_in in shapes)
        self.restore = nn.ModuleList(nn.Linear(width, fan_in) for _, fan_in in shapes)

    def forward(self, weights: torch.Tensor) -> torch.Tensor:
        """(batch, N) -> (batch, sequence, width)."""
        matrices = [to_matrix(weights, layer) for layer in self.layers] or [weights[:, :, None]]
        return torch.cat([embed(matrix) for embed, matrix in zip(self.embed, matrices, strict=True)], dim=1)

    def inverse(self, tokens: torch.Tensor) -> torch.Tensor:
        """(batch, sequence, width) -> (batch, N)."""
        parts = tokens.split(self.lengths, dim=1)
        matrices = [restore(part) for restore, part in zip(self.restore, parts, strict=True)]
        return from_matrices(matrices, self.layers) if self.layers else matrices[0][:, :, 0]


class Attention(nn.Module):
    """Blocks of self-attention on a sequence with learned positions."""

    def __init__(self, config: HyperRepConfig, sequence: int) -> None:
        super().__init__()
        block = ViTConfig(
            hidden_size=config.width,
            num_hidden_layers=config.blocks,
            num_attention_heads=config.heads,
            intermediate_size=config.feed_forward,
            hidden_act="relu",
            hidden_dropout_prob=config.dropout,
            attention_probs_dropout_prob=config.dropout,
        )
        self.block = block
        self.positions = nn.Parameter(torch.empty(sequence, config.width))
        self.blocks = nn.ModuleList(ViTLayer(block) for _ in range(config.blocks))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(batch, sequence, width) -> the same shape."""
        # PyTorch's fused attention for CPUs takes half of a training step on sequences as short as a small network's.
        self.block._attn_implementation = "eager" if tokens.device.type == "cpu" else "sdpa"
        tokens = tokens + self.positions
        for block in self.blocks:
            tokens = block(tokens)
        return tokens


def _fully_connected(widths: Sequence[int]) -> nn.Sequential:
    parts: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(widths):
        parts += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


class HyperRepModel(PreTrainedModel):
    """Weights (batch, N) in layout order to z (batch, L), and back."""

    config_class = HyperRepConfig
    main_input_name = "weights"
    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, config: HyperRepConfig) -> None:
        if config.form != FORM:
            raise ZoobenchError(
                f"it is a hyper-representation of form {config.form}, and this version makes and reads form {FORM}: "
                "learn it again by zoobench run hyperrep --save"
            )
        super().__init__(config)
        self.objective = look_up("objective", config.objective, losses.OBJECTIVES)
        layout = Layout.from_json(config.layout)
        self.augmentation = Augmentation(layout, config.permute, config.erase, config.noise)
        sizes = [tensor.size for tensor in layout.tensors]
        for name, values, neutral in (("mean", config.mean, 0.0), ("std", config.std, 1.0)):
            spread = np.repeat(list(values) or [neutral] * len(sizes), sizes)
            self.register_buffer(name, torch.tensor(spread, dtype=torch.float32))
        self.attends = config.architecture == "attention"
        self.encoder: nn.Module
        self.decoder: nn.Module
        if self.attends:
            self.tokens = Tokens(layout, config.tokens, config.width)
            sequence = self.tokens.sequence
            self.compression = nn.Parameter(torch.empty(1, config.width)) if config.compression else None
            self.encoder = Attention(config, sequence + config.compression)
            self.squeeze = nn.Linear(config.width * (1 if config.compression else sequence), config.latent)
            if config.loss != "ec":
                self.expand = nn.Linear(config.latent, config.width * sequence)
                self.decoder = Attention(config, sequence)
        else:
            widths = np.linspace(layout.size, config.latent, _FF_LAYERS + 1).round().astype(int).tolist()
            self.encoder = _fully_connected(widths)
            if config.loss != "ec":
                self.decoder = _fully_connected(widths[::-1])
        self.projector: nn.Module | None = None
        if config.loss != "ed":
            parts: list[nn.Module] = []
            for fan_in, fan_out in itertools.pairwise([config.latent, *config.projection]):
                parts += [nn.Linear(fan_in, fan_out), nn.BatchNorm1d(fan_out), nn.ReLU()]
            self.projector = nn.Sequential(*parts[:-1])
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """As PyTorch draws linear maps and embeddings."""
        if isinstance(module, nn.Linear | nn.LayerNorm | nn.BatchNorm1d):
            module.reset_parameters()
        elif isinstance(module, Attention):
            nn.init.normal_(module.positions)
        elif module is self and self.attends and self.compression is not None:
            nn.init.normal_(self.compression)

    def encode(self, weights: torch.Tensor) -> torch.Tensor:
        """The hyper-representations z: (batch, N) -> (batch, L), each number between -1 and 1."""
        return self._encode(self._normalised(weights))

    def parts(self) -> dict[str, slice]:
        """No part of z comes from one layer alone."""
        return {}

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Weights from hyper-representations: (batch, L) -> (batch, N)."""
        return self._decode(z) * self.std + self.mean

    def forward(self, weights: torch.Tensor) -> ModelOutput:
        """The ``loss`` on views of networks (batch, N): two of each, or one where there is no contrast.

        While it trains, views are drawn by PyTorch's own generator; in evaluation they are always the same.
        """
        generator = None if self.training else torch.Generator(weights.device).manual_seed(0)
        views = self.augmentation(self._normalised(weights).repeat(1 if self.config.loss == "ed" else 2, 1), generator)
        return ModelOutput(loss=self.loss_of(views))

    def loss_of(self, views: torch.Tensor) -> torch.Tensor:
        """The loss on views (batch, N); where there is a contrast, the second half are other views of the first."""
        config = self.config
        z = self._encode(views)
        rebuilt = None if config.loss == "ec" else self.objective.reconstruction(views, self._decode(z))
        if self.projector is None:
            assert rebuilt is not None
            return rebuilt
        first, second = self.projector(z).chunk(2)
        kind = self.objective.positive if config.loss == "ec+d" else losses.contrast
        apart = kind(first, second, config.contrast_temperature)
        return apart if rebuilt is None else config.beta * rebuilt + (1 - config.beta) * apart

    def _normalised(self, weights: torch.Tensor) -> torch.Tensor:
        limit = self.config.limit
        return ((weights.clamp(-limit, limit) if limit else weights) - self.mean) / self.std

    def _encode(self, weights: torch.Tensor) -> torch.Tensor:
        if not self.attends:
            return torch.tanh(self.encoder(weights))
        tokens = self.tokens(weights)
        if self.compression is not None:
            tokens = torch.cat([self.compression.expand(len(tokens), -1, -1), tokens], dim=1)
        encoded = self.encoder(tokens)
        kept = encoded[:, 0] if self.compression is not None else encoded.flatten(1)
        return torch.tanh(self.squeeze(kept))

    def _decode(self, z: torch.Tensor) -> torch.Tensor:
        if not self.attends:
            return self.decoder(z)
        tokens = self.expand(z).unflatten(1, (self.tokens.sequence, -1))
        return self.tokens.inverse(self.decoder(tokens))
