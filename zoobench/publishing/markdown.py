"""Foreign text on a card: shown as it is, whatever Markdown, HTML or YAML would make of it."""

from __future__ import annotations

import html
import re
from urllib.parse import quote

from ..errors import shown

# Code of these characters means nothing else, and is kept: notes name columns so.
_SAFE_CODE = re.compile(r"(?<!`)(`[\w./*=+ -]+`)(?!`)", re.ASCII)
# What Markdown reads into a line: emphasis, code, cells, formulas, and links, whose text ends so.
_MARKUP = re.compile(r"[\\`*~$|]|(?<![^\W_])_|_(?![^\W_])|\](?=[(\[:])")
_AT_START = re.compile(r"[#+=-]|(?<=\d)[.)](?!\S)")


def text(foreign: object) -> str:
    """A text within a line, without markup of its own but for simple `code`."""
    parts = _SAFE_CODE.split(shown(str(foreign)).strip())
    return "".join(part if number % 2 else _escaped(part) for number, part in enumerate(parts))


def item(foreign: object) -> str:
    """A text that begins an entry of a list, and is not to begin a heading, a rule or another list."""
    line = text(foreign)
    start = re.match(r"\d*", line)
    place = start.end() if start else 0
    return f"{line[:place]}\\{line[place:]}" if _AT_START.match(line, place) else line


def _escaped(part: str) -> str:
    return html.escape(_MARKUP.sub(lambda found: "\\" + found[0], part), quote=False)


def code(foreign: object) -> str:
    """A text as code within a line, or a cell of a table."""
    line = shown(str(foreign)).replace("|", "\\|")
    longest = max(map(len, re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    # A space beside a backtick is no part of the code.
    space = " " if longest or not line else ""
    return f"{fence}{space}{line}{space}{fence}"


def address(path: object) -> str:
    """A path as the target of a link."""
    return quote(shown(str(path)))
