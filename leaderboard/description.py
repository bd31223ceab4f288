"""What ``submission.yaml`` says of a method, checked field by field; errors name the line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, Field, StringConstraints, ValidationError, field_validator

from zoobench.errors import ZoobenchError, did_you_mean
from zoobench.strict import Strict

FILE_NAME = "submission.yaml"
ANONYMOUS = "anonymous"
TRACKS = ("standard", "open")
# Seeds that a random method needs on the standard track.
STANDARD_SEEDS = 3
_MOST_BYTES = 64_000
# Characters that are no text: controls, and those that turn the direction of what stands around them.
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def _plain(text: str) -> str:
    if found := _NO_TEXT.search(text):
        raise ValueError(f"the character U+{ord(found[0]):04X} is no text")
    return text


def _of_one_line(text: str) -> str:
    if set(text) & set("\n\r\t"):
        raise ValueError("this field is one line")
    return text


_Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=5000), AfterValidator(_plain)]
_Line = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=200),
    AfterValidator(_plain),
    AfterValidator(_of_one_line),
]
_Filled = Annotated[_Line, Field(min_length=1)]
# Numbers that every reader of JSON keeps.
_Count = Annotated[int, Field(ge=0, le=2**53)]


class Description(Strict):
    """What ``submission.yaml`` says of a method; ``docs/submitting.md`` explains the fields.

    Attributes:
        method: what it is called on the board.
        version: of the method, the submitter's own.
        authors: names, or "anonymous".
        description: what it does, in a few sentences.
        paper: link or citation.
        code: link or path.
        parameters: numbers that the method learns; one number, or one for each zoo id.
        training_data: "same-zoo" if each predictor learned from the train split of one zoo alone, the one that it
            predicts or names in ``trained_on``; "other-zoos" if from train splits of several; "external" if from
            anything else.
        validation_labels: "none", "selection" if they chose parameters or the time to stop, "fitting" if the final
            model was fitted to them.
        seeds: one predictions file for each; empty for a method that draws nothing.
        hardware: that it was trained on.
        training_hours: for one zoo and one seed, about.
        command: that makes the predictions.
    """

    method: _Filled
    version: _Filled = "1"
    authors: Annotated[list[_Filled], Field(min_length=1)] | Literal["anonymous"]
    description: Annotated[_Text, Field(min_length=1)]
    paper: _Line = ""
    code: _Line = ""
    parameters: _Count | dict[_Filled, _Count] | None = None
    training_data: Literal["same-zoo", "other-zoos", "external"]
    validation_labels: Literal["none", "selection", "fitting"]
    seeds: list[_Count] = Field(default=[])
    hardware: _Line = ""
    training_hours: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    command: _Text = ""

    @field_validator("authors", mode="before")
    @classmethod
    def _list_or_anonymous(cls, authors: object) -> object:
        if authors != ANONYMOUS and not isinstance(authors, list):
            raise ValueError(f"names, one per line as '- Name', or: {ANONYMOUS}")
        return authors

    @field_validator("seeds")
    @classmethod
    def _once(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed is named twice")
        return sorted(seeds)

    @property
    def track(self) -> str:
        """One of ``TRACKS``: "standard", or "open" for what its rules leave out."""
        seeds_suffice = not self.seeds or len(self.seeds) >= STANDARD_SEEDS
        standard = self.training_data == "same-zoo" and self.validation_labels != "fitting" and seeds_suffice
        return TRACKS[0] if standard else TRACKS[1]

    def parameters_on(self, zoo: str) -> int | None:
        """Numbers that the method learns for a zoo, if it is known."""
        return self.parameters.get(zoo) if isinstance(self.parameters, dict) else self.parameters

    @property
    def names(self) -> str:
        return self.authors if isinstance(self.authors, str) else ", ".join(self.authors)


class _Loader(yaml.SafeLoader):
    """Without aliases, by which a short text can stand for one without end."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.get_event()
            raise yaml.composer.ComposerError(None, None, f"found alias {event.anchor!r}", event.start_mark)
        return super().compose_node(parent, index)


def read_description(path: Path) -> Description:
    """Read a ``submission.yaml``.

    Raises:
        ZoobenchError: missing, too large, not YAML, or a field that is unknown, missing, repeated or wrong.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ZoobenchError(f"{path} has more than {_MOST_BYTES:,} bytes; describe the method in less")
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=_Loader)
        _check_keys(path, node)
        content = yaml.load(text, Loader=_Loader)
    except FileNotFoundError:
        raise ZoobenchError(f"submission {path.parent.name!r} has no {FILE_NAME} in {path.parent}") from None
    except OSError as error:
        raise ZoobenchError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ZoobenchError(f"cannot read {path}: it is not text in UTF-8 ({error.reason})") from error
    except RecursionError as error:
        raise ZoobenchError(f"cannot read {path}: it is nested too deeply") from error
    except (LookupError, TypeError, AttributeError) as error:
        raise ZoobenchError(f"cannot read {path}: a value is not what its tag says") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise ZoobenchError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    try:
        return Description.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        line = _lines(node).get(field, 1)
        problem = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            problem = f"there is no such field{did_you_mean(field, Description.model_fields)}"
        elif first["type"] == "missing":
            problem = "this field is missing"
        shown = f"{field}: " if field else "one field per line, as zoobench leaderboard new writes them: "
        raise ZoobenchError(f"{path}:{line}: {shown}{problem}") from error


def _check_keys(path: Path, node: yaml.Node | None) -> None:
    if not isinstance(node, yaml.MappingNode):
        raise ZoobenchError(f"{path}:1: this is no list of fields; zoobench leaderboard new writes one to fill in")
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise ZoobenchError(f"{path}:{key.start_mark.line + 1}: the name of a field is one word")
        if key.value in seen:
            raise ZoobenchError(f"{path}:{key.start_mark.line + 1}: {key.value}: this field is there twice")
        seen.add(key.value)


def _lines(node: yaml.Node | None) -> dict[str, int]:
    """Line of each field, from 1."""
    assert isinstance(node, yaml.MappingNode)
    return {key.value: key.start_mark.line + 1 for key, _ in node.value}


TEMPLATE = """\
# What the method is called on the board, and its version.
method: "{name}"
version: "1"
# Names, one per line as "- Name", or: anonymous
authors: anonymous
# What it does, in a few sentences.
description: >
  ...
# Links, or nothing.
paper: ""
code: ""
# How many numbers the method learns, as a plain number, or one line for each zoo, as "  tetris-zoo/seed: 1234"; empty
# if that makes no sense.
parameters:
# same-zoo: each predictor learned from the train split of one zoo alone, the one that it predicts (or that the column
# trained_on names). other-zoos: from train splits of several. external: from anything else.
training_data: same-zoo
# none, selection (they chose parameters, or when to stop), or fitting (the final model was fitted to them).
validation_labels: selection
# A random method: the seeds, one predictions file for each, <zoo repo>/<config>-seed<k>.parquet; three for the
# standard track. A method that draws nothing: [], and <zoo repo>/<config>.parquet.
seeds: [0, 1, 2]
# What it was trained on, and for about how many hours for one zoo and one seed.
hardware: ""
training_hours:
# A command that makes the predictions, if there is one.
command: ""
"""
