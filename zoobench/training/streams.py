"""Counter-based random streams: what a run draws depends on its seed, a purpose and a counter, and on nothing else.

A draw is a pure function ``hash(seed, purpose, counter, index)``, computed for all runs at once in 64-bit integers.
So a run draws the same initial weights and batch orders whichever chunk, device or worker it falls into, after a
resume too. The hash is the SplitMix64 finaliser (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number
generators"), applied to keys that are themselves hashed.
"""

from __future__ import annotations

import hashlib

import torch

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit integer
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB


def _shift_right(x: torch.Tensor, bits: int) -> torch.Tensor:
    """Logical shift: ``>>`` on int64 copies the sign bit, so it is masked off."""
    return (x >> bits).bitwise_and_((1 << (64 - bits)) - 1)


def _mix(x: torch.Tensor) -> torch.Tensor:
    """Hash ``x`` in place: a large draw is bound by memory, not by arithmetic."""
    x.bitwise_xor_(_shift_right(x, 30)).mul_(_MIX_1)
    x.bitwise_xor_(_shift_right(x, 27)).mul_(_MIX_2)
    return x.bitwise_xor_(_shift_right(x, 31))


def _purpose_key(purpose: str) -> int:
    return int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "little", signed=True)


def keys(seeds: torch.Tensor, purpose: str, counter: int) -> torch.Tensor:
    """What each run's draws of a purpose and counter start from: int64 (runs,).

    The draw number i, from 1 on, is the finaliser of key + i * 0x9E3779B97F4A7C15.
    """
    step = torch.full_like(seeds, counter) * _GOLDEN
    return _mix(_mix(seeds * _GOLDEN + _purpose_key(purpose)) + step)


def bits(seeds: torch.Tensor, purpose: str, counter: int, count: int) -> torch.Tensor:
    """Draw ``count`` random 64-bit integers for each run.

    Args:
        seeds: int64 tensor (runs,).
        purpose: names the use ("init/fc1.weight", "order"); different purposes are independent streams.
        counter: which draw of that purpose (an epoch, a step).
        count: numbers per run.

    Returns:
        int64 tensor (runs, count) on the device of ``seeds``.
    """
    key = keys(seeds, purpose, counter)
    index = torch.arange(1, count + 1, device=seeds.device, dtype=torch.int64) * _GOLDEN
    return _mix(key[:, None] + index[None, :])


def uniform(seeds: torch.Tensor, purpose: str, counter: int, count: int) -> torch.Tensor:
    """Draw from U[0, 1): float64 (runs, count), multiples of 2^-53."""
    return _shift_right(bits(seeds, purpose, counter, count), 11).to(torch.float64) * 2.0**-53


def permutation(seeds: torch.Tensor, purpose: str, counter: int, count: int) -> torch.Tensor:
    """Draw one permutation of ``range(count)`` per run: int64 (runs, count)."""
    return torch.argsort(bits(seeds, purpose, counter, count), dim=1, stable=True)
