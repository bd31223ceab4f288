"""Records that are read from files: frozen, checked by pydantic, refused in one clear line where they do not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import ZoobenchError

T = TypeVar("T", bound=BaseModel)


class Strict(BaseModel):
    """A record without fields that nobody knows, which nobody changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def first_problem(error: ValidationError) -> str:
    """``field: message`` of the first field that does not fit; ``parent.field`` of a nested one."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else first["msg"]


def validated(model: type[T], content: Any, named: str) -> T:
    """What was read from a file, as a record.

    Args:
        model: the record's class.
        content: plain lists and dictionaries.
        named: what to call the file where it is refused.

    Raises:
        ZoobenchError: a field does not fit.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ZoobenchError(f"{named}: {first_problem(error)}") from error


def read_versioned(model: type[T], path: Path, version: int, named: str, way_out: str) -> T:
    """Read a JSON file that says its ``schema_version``.

    Args:
        model: the record's class.
        path: of the file.
        version: the only schema version that is read.
        named: what to call the file where it is refused.
        way_out: said after the schema version, where that is another.

    Raises:
        ZoobenchError: unreadable, not JSON, of another schema version, or a field does not fit.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ZoobenchError(f"cannot read {named}: {error}") from error
    found = content.get("schema_version") if isinstance(content, dict) else None
    if found != version:
        raise ZoobenchError(f"{named} has schema version {found!r}{way_out}")
    return validated(model, content, named)
