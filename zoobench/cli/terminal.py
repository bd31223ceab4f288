"""The console that tables are printed on: no number is ever cut or broken, and foreign text stays text."""

from __future__ import annotations

import copy
import dataclasses
import os
from collections.abc import Iterable, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from ..errors import shown

# Where there is no terminal, and COLUMNS does not say how wide one would be.
_WIDE = 240
# Longer words of headers may be folded, and longer texts once they take more than a third of the width.
_HEADER, _TEXT, _NARROW = 16, 12, 6
_PLAIN = str.maketrans(
    {"²": "2", "τ": "tau", "ρ": "rho", "±": "+-", "–": "-", "↑": "^", "↓": "v", "…": "...", "×": "x"}
)


def console() -> TableConsole:
    """Standard output: as wide as the terminal, or as COLUMNS says; else wide enough for nearly every table."""
    output = TableConsole(markup=False, emoji=False)
    if output.is_terminal or os.environ.get("COLUMNS", "").isdigit():
        return output
    return TableConsole(markup=False, emoji=False, width=_WIDE)


class TableConsole(Console):
    """Prints a table that is too wide as several, one below the other, each with the first columns of text as its key.

    Columns that are aligned to the right hold numbers and are never narrowed; text may be folded.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        for given in objects:
            for part in self._fitted(given) if isinstance(given, Table) else [given]:
                super().print(part, **{"crop": False, **options})

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(self._legible(text), **options)

    def _legible(self, text: str) -> str:
        escaped = shown(text, "\n")
        return escaped if self.encoding.startswith("utf") else escaped.translate(_PLAIN)

    def _widest(self, texts: Iterable[object]) -> int:
        return max((cell_len(line) for text in texts for line in self._legible(str(text)).split("\n")), default=1)

    def _fitted(self, table: Table) -> list[Table]:
        columns = table.columns
        _, right, _, left = table.padding
        beside = left + right + 1
        if 1 + sum(self._widest((c.header, *c.cells)) + beside for c in columns) <= self.width:
            return [table]
        keys = _keys(columns)
        room = self.width - 1 - keys * (_NARROW + beside) - beside
        needs = [self._least(column, room) for column in columns]
        # The table's edge, and what the key takes: less than it would like, if nothing else fitted beside it.
        left_over = self.width - 1 - (keys + 1) * beside - max(needs[keys:], default=0)
        key = min(sum(needs[:keys]), max(keys * _NARROW, left_over))
        start = 1 + key + keys * beside
        groups: list[list[int]] = [[]]
        used = start
        for place in range(keys, len(columns)):
            if groups[-1] and used + needs[place] + beside > self.width:
                groups.append([])
                used = start
            groups[-1].append(place)
            used += needs[place] + beside
        parts = []
        for group in groups:
            places = [*range(keys), *group]
            parts.append(_part(table, places, needs))
            least = start + sum(needs[place] + beside for place in group)
            parts[-1].width = least if least > self.width else None
        for number, part in enumerate(parts[1:], 2):
            part.title = f"{table.title} ({number} of {len(parts)})"
        for part in parts[:-1]:
            part.caption = None
        return parts

    def _least(self, column: Column, room: int) -> int:
        cells = self._widest(column.cells)
        if column.justify != "right":
            return min(cells, max(_TEXT, self.width // 3))
        if cells > room:
            # An interval may be broken between its bounds.
            cells = self._widest(word for cell in column.cells for word in str(cell).split())
        return max(cells, min(_HEADER, self._widest(str(column.header).split())))


def _keys(columns: Sequence[Column]) -> int:
    """How many columns say what a row is about: up to the first that holds numbers after a text, or one text."""
    text = next((place for place, column in enumerate(columns) if column.justify != "right"), 0)
    return next((k for k in range(text, len(columns)) if columns[k].justify == "right"), text + 1)


def _part(table: Table, places: Sequence[int], needs: Sequence[int]) -> Table:
    """Some columns of a table, those of numbers as wide as they must be."""
    part = copy.copy(table)
    part.columns = [
        dataclasses.replace(
            table.columns[place],
            _index=index,
            _cells=list(table.columns[place].cells),
            no_wrap=False,
            overflow="fold",
            width=needs[place] if table.columns[place].justify == "right" else None,
        )
        for index, place in enumerate(places)
    ]
    return part
