"""One line that names the thing, the value and the way out."""

import warnings

import pytest

from zoobench import errors
from zoobench.errors import ZoobenchError, check_known, look_up, note_once

SHAPES = {"square": 4, "triangle": 3}


def test_a_known_name_gives_what_is_registered():
    assert look_up("shape", "triangle", SHAPES) == 3
    check_known("shape", "square", ("square", "circle"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sqare", "unknown shape 'sqare'; did you mean 'square'?"),
        ("line", "unknown shape 'line'; choose from: square, triangle"),
    ],
)
def test_an_unknown_name_is_refused_with_the_way_out(name, message):
    for refuse in (look_up, check_known):
        with pytest.raises(ZoobenchError) as refused:
            refuse("shape", name, SHAPES)
        assert str(refused.value) == message


@pytest.fixture
def _nothing_said(monkeypatch):
    monkeypatch.setattr(errors, "_said", set())


@pytest.mark.usefixtures("_nothing_said")
def test_a_note_is_said_once_as_one_line_of_text():
    with warnings.catch_warnings(record=True, action="always") as heard:
        for _ in range(3):
            note_once("no room in '\x1b[2J'")
        for why in ("full", "another reason"):
            note_once("no room elsewhere", why)
    assert [str(each.message) for each in heard] == ["no room in '\\x1b[2J'", "no room elsewhere: full"]


@pytest.mark.usefixtures("_nothing_said")
def test_a_note_never_ends_the_work_even_where_warnings_are_errors():
    with warnings.catch_warnings(action="error"):
        note_once("no room")
