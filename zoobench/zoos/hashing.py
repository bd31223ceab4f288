"""Numbers from names: what must never depend on an order, a count or a random state."""

from __future__ import annotations

import hashlib


def unit_interval(*parts: object) -> float:
    """Hash the parts (sha256 of their texts, one per line) to a number in [0, 1)."""
    digest = hashlib.sha256("\n".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
