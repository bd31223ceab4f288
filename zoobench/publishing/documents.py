"""Documents of measurements: tables between two marks, and the machine that they were made on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..cores import usable_cores


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def hardware() -> str:
    """CPU cores and model, and the GPU if there is one."""
    import torch

    info = Path("/proc/cpuinfo")
    models = [
        line.partition(":")[2].strip() for line in info.read_text(encoding="utf-8").splitlines() if "model name" in line
    ]
    cpu = f"{usable_cores()} CPU cores{f' ({models[0]})' if models else ''}"
    return f"{cpu}, {torch.cuda.get_device_name()}" if torch.cuda.is_available() else cpu


def write(path: Path, title: str, parts: Sequence[str], section: str = "tables") -> None:
    """Put tables into a document, between the two marks of their section; the text around them stays.

    A section that the document does not have comes at its end.
    """
    start, end = f"<!-- {section} -->", f"<!-- /{section} -->"
    text = path.read_text(encoding="utf-8") if path.exists() else f"# {title}\n"
    if start not in text:
        text += f"\n{start}\n{end}\n"
    before, rest = text.split(start)
    content = "\n\n".join(parts)
    path.write_bytes(f"{before}{start}\n\n{content}\n\n{end}{rest.split(end)[1]}".encode())
