"""Training steps of hyper-representations: ours against the formulation neuron by neuron.

    python -m benchmarks.bench hyperrep

Networks of 2,464 weights (MNIST zoos), EcD with the sizes of the authors' code. The alternative embeds and restores
one neuron after the other, computes attention step by step, and goes through the network once for each view; it has the
same parameters, and nothing is measured unless both give the same loss. A sample is one network: two views, forward,
backward, a step of Adam.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from transformers import set_seed

from zoobench.zoos import resolve
from zoobench.zoos.layout import layout_of
from zoobench_baselines.hyperrep import HyperRepModel, HyperRepPredictor, losses

from .measured import Measurement, matmul_flops, rate_of, taking_turns

ZOO = "mnist-zoo/seed"


def tokens_by_neuron(model: HyperRepModel, weights: torch.Tensor) -> torch.Tensor:
    tokens = []
    for layer, embed in zip(model.tokens.layers, model.tokens.embed, strict=True):
        fan_in = layer.weight.size // layer.weight.shape[0]
        for neuron in range(layer.weight.shape[0]):
            start = layer.weight.offset + neuron * fan_in
            parts = [weights[:, start : start + fan_in]]
            if layer.bias is not None:
                parts.append(weights[:, layer.bias.offset + neuron, None])
            tokens.append(embed(torch.cat(parts, dim=1)))
    return torch.stack(tokens, dim=1)


def weights_by_neuron(model: HyperRepModel, tokens: torch.Tensor) -> torch.Tensor:
    columns: dict[int, torch.Tensor] = {}
    place = 0
    for layer, restore in zip(model.tokens.layers, model.tokens.restore, strict=True):
        fan_in = layer.weight.size // layer.weight.shape[0]
        for neuron in range(layer.weight.shape[0]):
            restored = restore(tokens[:, place])
            columns[layer.weight.offset + neuron * fan_in] = restored[:, :fan_in]
            if layer.bias is not None:
                columns[layer.bias.offset + neuron] = restored[:, fan_in:]
            place += 1
    return torch.cat([columns[offset] for offset in sorted(columns)], dim=1)


def attend(attention: Any, tokens: torch.Tensor) -> torch.Tensor:
    outputs = tokens + attention.positions
    for block in attention.blocks:
        normed = block.layernorm_before(outputs)
        part = block.attention
        heads = part.num_attention_heads
        q, k, v = (
            project(normed).unflatten(2, (heads, -1)).transpose(1, 2)
            for project in (part.q_proj, part.k_proj, part.v_proj)
        )
        shares = (q @ k.transpose(2, 3) * part.scaling).softmax(dim=3)
        mixed = (F.dropout(shares, part.attention_dropout, block.training) @ v).transpose(1, 2).flatten(2)
        outputs = outputs + block.dropout(part.o_proj(mixed))
        outputs = outputs + block.dropout(block.mlp(block.layernorm_after(outputs)))
    return outputs


def loss_by_neuron(model: HyperRepModel, views: torch.Tensor) -> torch.Tensor:
    """EcD of two views, one after the other through the network, by a model with a compression token."""
    assert model.compression is not None
    assert model.projector is not None
    projected, rebuilt = [], []
    for view in views.chunk(2):
        tokens = tokens_by_neuron(model, view)
        tokens = torch.cat([model.compression.expand(len(tokens), -1, -1), tokens], dim=1)
        z = torch.tanh(model.squeeze(attend(model.encoder, tokens)[:, 0]))
        expanded = model.expand(z).unflatten(1, (model.tokens.sequence, -1))
        rebuilt.append(model.objective.reconstruction(view, weights_by_neuron(model, attend(model.decoder, expanded))))
        projected.append(z)
    first, second = model.projector(torch.cat(projected)).chunk(2)
    apart = losses.contrast(first, second, model.config.contrast_temperature)
    return model.config.beta * torch.stack(rebuilt).mean() + (1 - model.config.beta) * apart


def measurements(quick: bool) -> Iterator[Measurement]:
    batch, width = (10, 64) if quick else (100, 0)
    layout = layout_of(resolve(ZOO).spec.network)
    set_seed(0)
    model = HyperRepModel(HyperRepPredictor(width=width).config(layout))
    weights = 0.2 * torch.randn(batch, layout.size)
    views = model.augmentation(weights.repeat(2, 1))
    model.eval()
    with torch.inference_mode():
        ours, loop = model.loss_of(views).item(), loss_by_neuron(model, views).item()
    np.testing.assert_allclose(ours, loop, rtol=1e-4)
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)

    def step(loss_of: Callable[[HyperRepModel, torch.Tensor], torch.Tensor], bf16: bool) -> None:
        optimizer.zero_grad()
        drawn = model.augmentation(weights.repeat(2, 1))
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = loss_of(model, drawn)
        loss.backward()
        optimizer.step()

    ways = {
        "neuron by neuron": functools.partial(step, loss_by_neuron, False),
        "float32": functools.partial(step, HyperRepModel.loss_of, False),
        "bfloat16": functools.partial(step, HyperRepModel.loss_of, True),
    }
    rates = taking_turns({name: rate_of(work, batch) for name, work in ways.items()}, 2 if quick else 5)
    with FlopCounterMode(display=False) as counter:
        step(HyperRepModel.loss_of, False)
    bound = matmul_flops(torch.get_num_threads()) / (counter.get_total_flops() / batch)
    for precision, goal in (("float32", 2.0), ("bfloat16", None)):
        yield Measurement(
            f"hyper-representations, token {model.config.width}, batch {batch}, {precision}",
            "samples/s",
            rates[precision],
            "neuron by neuron, float32",
            rates["neuron by neuron"],
            "float32 matmul",
            bound,
            ratio_goal=goal,
            guard=0.7,
        )
