import pytest
from pydantic import TypeAdapter, ValidationError

from zoobench.errors import ZoobenchError
from zoobench.paths import InsidePath, inside

LEADING_OUT = [
    "",
    ".",
    "..",
    "/etc/passwd",
    "../thesis.tex",
    "seed/../../thesis.tex",
    "seed//test.parquet",
    "./seed",
    "seed/",
    "~/../x/..",
    "..\\thesis.tex",
    "C:/thesis.tex",
    "seed/\x00",
    "seed\n/test",
]


@pytest.mark.parametrize("path", LEADING_OUT)
def test_a_path_that_is_not_plainly_inside_is_refused(path, tmp_path):
    with pytest.raises(ZoobenchError, match="is no path inside the folder"):
        inside(tmp_path, path)
    with pytest.raises(ValidationError):
        TypeAdapter(InsidePath).validate_python(path)


def test_a_plain_path_is_below_the_folder(tmp_path):
    assert inside(tmp_path, "labels/seed/test.parquet") == tmp_path / "labels" / "seed" / "test.parquet"
    assert TypeAdapter(InsidePath).validate_python("a..b/.c") == "a..b/.c"


@pytest.mark.parametrize("link", ["seed", "seed/test.parquet"])
def test_a_link_on_the_way_is_refused_even_if_it_is_broken(link, tmp_path):
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ZoobenchError, match=f"{tmp_path / link} is a link"):
        inside(tmp_path, "seed/test.parquet")


def test_a_folder_that_is_itself_reached_by_a_link_is_the_users_own(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "zoos").symlink_to(tmp_path / "disk")
    assert inside(tmp_path / "zoos", "seed") == tmp_path / "zoos" / "seed"
