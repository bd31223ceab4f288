"""Training steps of hyper-representations: ours against the formulation neuron by neuron, in one run.

    python benchmarks/hyperrep.py [--batch 100] [--rounds 5] [--width 800] [--device cpu]

Networks of 2,464 weights (MNIST zoos), EcD with the sizes of the authors' code. The alternative embeds and restores
one neuron after the other, computes attention step by step, and goes through the network once for each view; it has the
same parameters, and the script stops unless both give the same loss. A sample is one network: two views, forward,
backward, a step of Adam. Rounds alternate, so that a busy machine is busy for all.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from transformers import set_seed

from zoobench.layout import layout_of
from zoobench.zoos import resolve
from zoobench_baselines.hyperrep import HyperRepModel, HyperRepPredictor, losses

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
    normed_outputs: torch.Tensor = attention.norm(outputs)
    return normed_outputs


def loss_by_neuron(model: HyperRepModel, views: torch.Tensor) -> torch.Tensor:
    """EcD of two views, one after the other through the network."""
    projected, rebuilt = [], []
    for view in views.chunk(2):
        tokens = tokens_by_neuron(model, view)
        tokens = torch.cat([model.compression.expand(len(tokens), -1, -1), tokens], dim=1)
        z = torch.tanh(model.squeeze(attend(model.encoder, tokens)[:, 0]))
        expanded = model.expand(z).unflatten(1, (model.tokens.sequence, -1))
        rebuilt.append(losses.reconstruction(view, weights_by_neuron(model, attend(model.decoder, expanded))))
        projected.append(z)
    first, second = model.projector(torch.cat(projected)).chunk(2)
    apart = losses.contrast(first, second, model.config.contrast_temperature)
    return model.config.beta * torch.stack(rebuilt).mean() + (1 - model.config.beta) * apart


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--width", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    layout = layout_of(resolve(ZOO).spec.network)
    set_seed(0)
    model = HyperRepModel(HyperRepPredictor(width=arguments.width).config(layout)).to(arguments.device)
    weights = 0.2 * torch.randn(arguments.batch, layout.size, device=arguments.device)
    views = model.augmentation(weights.repeat(2, 1))
    model.eval()
    with torch.inference_mode():
        ours, loop = model.loss_of(views).item(), loss_by_neuron(model, views).item()
    np.testing.assert_allclose(ours, loop, rtol=1e-4)
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)

    def step(loss_of: Callable[[HyperRepModel, torch.Tensor], torch.Tensor], bf16: bool) -> float:
        start = time.perf_counter()
        optimizer.zero_grad()
        drawn = model.augmentation(weights.repeat(2, 1))
        with torch.autocast(arguments.device, torch.bfloat16, enabled=bf16):
            loss = loss_of(model, drawn)
        loss.backward()
        optimizer.step()
        if arguments.device != "cpu":
            torch.cuda.synchronize()
        return arguments.batch / (time.perf_counter() - start)

    ways = {
        "neuron by neuron": (loss_by_neuron, False),
        "ours, float32": (HyperRepModel.loss_of, False),
        "ours, bfloat16": (HyperRepModel.loss_of, True),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(arguments.rounds + 1):
        for name, (loss_of, bf16) in ways.items():
            rate = step(loss_of, bf16)
            if turn:
                rates[name].append(rate)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(
        f"{parameters:,} parameters, token {model.config.width}, batch {arguments.batch}, loss {ours:.4f} both ways\n"
    )
    print("| formulation | samples/s | spread | ratio |\n|---|---|---|---|")
    base = statistics.median(rates["neuron by neuron"])
    for name, found in rates.items():
        median = statistics.median(found)
        print(f"| {name} | {median:.1f} | {min(found):.1f}–{max(found):.1f} | {median / base:.2f} |")


if __name__ == "__main__":
    main()
