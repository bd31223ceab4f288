"""Names in the original releases, as zoobench has them."""

from __future__ import annotations

import re

# Keras and PyTorch say the same of initialisers: glorot is xavier, he is kaiming.
_INITS = {
    "glorot_normal": "xavier_normal",
    "glorot_uniform": "xavier_uniform",
    "he_normal": "kaiming_normal",
    "he_uniform": "kaiming_uniform",
    "random_normal": "normal",
    "random_uniform": "uniform",
}


def snake(name: str) -> str:
    """``"RandomNormal"`` -> ``"random_normal"``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip()).lower()


def init(name: str) -> str:
    """The initialiser's name in zoobench; an unknown one stays, in snake case."""
    plain = snake(name)
    return _INITS.get(plain, plain)
