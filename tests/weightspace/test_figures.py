"""Pictures are the same in every environment: no setting of the user's reaches them."""

import os
import subprocess
import sys

import matplotlib
import pytest

from zoobench.weightspace.figures import Figure, own_style, save

DRAW = """
import sys, os
from zoobench.weightspace.figures import Figure, own_style, save
with own_style():
    figure = Figure()
    figure.subplots().set_title("10 % of x_1 and 5_2")
save(figure, sys.argv[1])
import matplotlib
print(os.environ.get("MPLBACKEND"), matplotlib.rcParams["text.usetex"])
"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return drawn(tmp_path_factory.mktemp("plain"))[0]


def drawn(folder, **environment):
    """The bytes of a picture that a process of its own draws, and what it says of its settings."""
    command = [sys.executable, "-c", DRAW, "picture.png"]
    environment = {name: value for name, value in os.environ.items() if name[:3] != "MPL"} | environment
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return (folder / "picture.png").read_bytes(), done.stdout.split()


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nonsense", "TkAgg", "pdf"])
def test_a_backend_of_the_environment_changes_nothing(backend, plain, tmp_path):
    picture, (kept, _) = drawn(tmp_path, MPLBACKEND=backend)
    assert picture == plain
    assert kept == backend


def test_a_style_of_the_user_changes_nothing_and_is_left_as_it_is(plain, tmp_path):
    """TeX is not even installed here."""
    style = "text.usetex: True\nsavefig.format: pdf\nfigure.figsize: 1, 1\nsavefig.bbox: tight\naxes.facecolor: red\n"
    (tmp_path / "matplotlibrc").write_text(style, encoding="utf-8")
    picture, (_, tex) = drawn(tmp_path)
    assert picture == plain
    assert tex == "True"


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b'axes.facecolor: "abc\n', b"nonsense: 3\nfont.size: x\naxes.prop_cycle: cycler(exit())\n", None],
    ids=["no text", "an open quote", "values that are none", "a pipe"],
)
def test_settings_that_matplotlib_would_fail_at_or_wait_for_change_nothing(content, plain, tmp_path):
    if content is None:
        os.mkfifo(tmp_path / "matplotlibrc")
    else:
        (tmp_path / "matplotlibrc").write_bytes(content)
    assert drawn(tmp_path)[0] == plain


def cut_fonts(folder):
    drawn(folder, MPLCONFIGDIR=str(folder / "config"))
    (fonts,) = (folder / "config").glob("fontlist*")
    fonts.write_bytes(fonts.read_bytes()[:100])


def style_that_is_no_text(folder):
    (folder / "config" / "stylelib").mkdir(parents=True)
    (folder / "config" / "stylelib" / "bad.mplstyle").write_bytes(b"\xff")


def no_folder(folder):
    (folder / "config").touch()


@pytest.mark.parametrize("spoil", [cut_fonts, style_that_is_no_text, no_folder])
def test_a_folder_of_settings_that_cannot_be_used_changes_nothing_and_is_not_talked_about(spoil, plain, tmp_path):
    spoil(tmp_path)
    command = [sys.executable, "-c", DRAW, "picture.png"]
    environment = os.environ | {"MPLCONFIGDIR": str(tmp_path / "config")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert (tmp_path / "picture.png").read_bytes() == plain


def _fail_in_own_style():
    with own_style():
        assert not matplotlib.rcParams["text.usetex"]
        raise ZeroDivisionError


def test_a_style_set_by_hand_is_back_after_a_failure():
    with matplotlib.rc_context({"text.usetex": True}):
        with pytest.raises(ZeroDivisionError):
            _fail_in_own_style()
        assert matplotlib.rcParams["text.usetex"]


def test_a_picture_is_a_png_whatever_its_name_says(tmp_path):
    save(Figure(), tmp_path / "picture.pdf")
    assert (tmp_path / "picture.pdf").read_bytes().startswith(b"\x89PNG")
