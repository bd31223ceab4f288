"""JSON files in which a row is a line: a score, or any list, stands on one, so that a diff shows which have changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from zoobench.scoring.results import Score

# What a score's row holds, from the left; what is undefined at its end is left out. Neither ranking nor the page need
# ``by_seed``, which would be a quarter of all numbers: ``zoobench evaluate`` finds it again.
_FIELDS = ("value", "low", "high", "spread", "reason")


def row_of(score: Score) -> list[Any]:
    """A score as its ``_FIELDS``."""
    row = [getattr(score, name) for name in _FIELDS]
    while len(row) > 1 and row[-1] is None:
        row.pop()
    return row


def score_of_row(row: Sequence[Any]) -> Score:
    """The score of a row, without ``by_seed``.

    Raises:
        ValueError: no such row.
    """
    if not 1 <= len(row) <= len(_FIELDS):
        raise ValueError(f"a score has 1 to {len(_FIELDS)} fields, not {len(row)}")
    return Score.model_validate(dict(zip(_FIELDS, row, strict=False)))


def laid_out(content: object, indent: str = "") -> str:
    """JSON: objects, and lists of objects, have a line for each item; everything else stands on one."""
    inner = f"{indent} "
    if isinstance(content, dict) and content:
        items = [f"{inner}{_plain(str(name))}: {laid_out(value, inner)}" for name, value in content.items()]
        return "{\n" + ",\n".join(items) + f"\n{indent}}}"
    if isinstance(content, list) and content and all(isinstance(item, dict) for item in content):
        return "[\n" + ",\n".join(inner + laid_out(item, inner) for item in content) + f"\n{indent}]"
    return _plain(content)


def _plain(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False)
