"""A record is read whole, or refused in one line that names the file, the field and what is wrong with it."""

import json

import pytest
from pydantic import ValidationError

from zoobench.errors import ZoobenchError
from zoobench.strict import Strict, read_versioned


class Shelf(Strict):
    width: int


class Room(Strict):
    schema_version: int
    shelf: Shelf


def read(path):
    return read_versioned(Room, path, 2, f"room {path.name}", "; this shop sells 2")


def test_a_file_that_fits_is_read(tmp_path):
    path = tmp_path / "room.json"
    path.write_text('{"schema_version": 2, "shelf": {"width": 3}}')
    room = read(path)
    assert room.shelf.width == 3
    with pytest.raises(ValidationError, match="frozen"):
        room.shelf.width = 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"schema_version": 2, "shelf": {"width": "wide"}}, "room room.json: shelf.width: Input should be a valid int"),
        ({"schema_version": 2, "shelf": {"width": 3, "depth": 1}}, "room room.json: shelf.depth: Extra inputs are not"),
        ({"schema_version": 2}, "room room.json: shelf: Field required"),
        ({"schema_version": 1}, "room room.json has schema version 1; this shop sells 2"),
        ([], "room room.json has schema version None; this shop sells 2"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_line(tmp_path, content, message):
    path = tmp_path / "room.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ZoobenchError) as refused:
        read(path)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [None, b"{", b"\xff"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / "room.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ZoobenchError, match=r"cannot read room room\.json: "):
        read(path)
