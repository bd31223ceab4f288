"""One line that names the thing, the value and the way out."""

import pytest

from zoobench.errors import ZoobenchError, check_known, look_up

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
